#include <nashost/kit/proxy.h>

/* ---- Options: rows of a table ---- */

/* ---- Calls ---- */

int nas_proxy_gradients(const nas_proxy_labelled *options, const nas_subnet *subnet,
                        void (*add)(void *context, const nas_probe_layer *at), double *value,
                        nas_error *err) {
    nas_probe probe = {.size = sizeof probe,
                       .images = options->batch ? NAS_PROBE_BALANCED : NAS_PROBE_LABELLED,
                       .count = (uint32_t)options->images,
                       .weights = (uint32_t)options->weights,
                       .objective = NAS_PROBE_CROSS_ENTROPY,
                       .context = value,
                       .backward = add};
    *value = 0;
    return nas_probe_run(subnet, &probe, err);
}

int nas_proxy_start(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self, (void)largest, (void)err;
    return NAS_OK;
}

/* ---- The descriptor ---- */
