/* Uniform random search: distinct subnets, drawn until one meets the constraints. */
#include <nashost/kit/strategy.h>

#include <stdlib.h>

typedef struct random_config {
    int64_t tries;
} random_config;

static const nas_option options[] = {
    NAS_INT("tries", random_config, tries, "1000", 1, 1e9, "draws",
            "most draws for a proposal until one meets the constraints; if none does, the one that "
            "comes "
            "closest is proposed"),
    {0},
};

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    const random_config *given = config;
    nas_strategy *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "random: out of memory");
    *me =
        (nas_strategy){.id = "random", .host = host, .tries = (uint64_t)given->tries, .version = 2};
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    if (self) nas_strategy_finish(self);
    free(self);
}

/* Looks at no objective. */
static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    return nas_strategy_start(self, problem, 0, err);
}

static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    int rc = nas_strategy_ready(self, count, err);
    return rc ? rc : nas_strategy_fill(self, nas_draw_genome, self, n, genomes, count, err);
}

static const nas_search_api api = {sizeof api, start, ask, nas_strategy_tell};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SEARCH,
    .id = "random",
    .version = "0.1.0",
    .summary = "uniform random subnets that meet the constraints, none of them twice",
    .license = "Apache-2.0",
    .source = "Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012",
    .options = options,
    .config_size = sizeof(random_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = nas_strategy_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
