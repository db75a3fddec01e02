/* A subnet's multiply-accumulates for one image. Looks at no weight and no image: a baseline. */
#include <nashost/score.h>

/* There is nothing to keep; but *self must not be NULL. */
static char nothing;

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host, (void)config, (void)err;
    *self = &nothing;
    return NAS_OK;
}

static void destroy(void *self) {
    (void)self;
}

static int start(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self, (void)largest, (void)err;
    return NAS_OK;
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    (void)self, (void)err;
    *value = (double)subnet->network->macs;
    return NAS_OK;
}

static const nas_score_api api = {sizeof api, start, score};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_SCORE,
    .id = "macs",
    .version = "0.1.0",
    .summary = "multiply-accumulates for one image: the baseline that every score must beat",
    .license = "Apache-2.0",
    .source = "baseline in zero-cost proxies, https://arxiv.org/abs/2101.08134",
    .option_size = sizeof(nas_option),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
