/* Labelled images alone: the baseline that every semi-supervised loss must beat. */
#include <nashost/kit/logits.h>

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    out->n_views = 0;
    out->mu = 0;
    out->teacher = NULL;
    return NAS_OK;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    (void)self;
    int rc = nas_labelled_term(batch, result, err);
    return rc ? rc : nas_total_loss(result, 0, 0, err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "supervised",
    .version = "0.1.0",
    .summary = "cross-entropy on labelled images alone",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1512.00567",
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
