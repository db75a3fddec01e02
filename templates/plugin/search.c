/* A search strategy: random subnets at first, then changes of the best one so far. */
#include <nashost/kit/strategy.h>

#include <stdlib.h>
#include <string.h>

/* Filled by the table below before create() is called. */
typedef struct config {
    int64_t random, tries;
    double rate;
} config;

/* nas_strategy keeps what was proposed and told, draws random numbers, and saves both with a
 * checkpoint. It must come first. */
typedef struct climber {
    nas_strategy base;
    config config;
} climber;

static const nas_option options[] = {
    NAS_INT("random", config, random, "8", 1, 1e6, "subnets",
            "number of random subnets at the start"),
    NAS_INT("tries", config, tries, "1000", 1, 1e9, "draws",
            "most draws for a proposal until one is new and meets the constraints"),
    NAS_FLOAT("rate", config, rate, "0.2", 0.001, 1, NULL,
              "probability with which each gene of the best subnet changes in a proposal"),
    {0},
};

static int create(const nas_host *host, const void *options_given, void **self, nas_error *err) {
    climber *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "@ID@: out of memory");
    me->config = *(const config *)options_given;
    me->base = (nas_strategy){
        .id = "@ID@", .host = host, .tries = (uint64_t)me->config.tries, .version = 1};
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    if (self) nas_strategy_finish(self);
    free(self);
}

static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    return nas_strategy_start(self, problem, 1, err); /* it looks at the first objective alone */
}

/* The number of the best genome that was told and meets the constraints, or NAS_NO_GENOME. */
static size_t find_best(const nas_genomes *known) {
    size_t best = NAS_NO_GENOME;
    for (size_t i = 0; i < known->n; i++) {
        if (!nas_genomes_is_told(known, i) || known->violation[i] > 0) continue;
        double value = nas_genomes_objectives(known, i)[0];
        if (best == NAS_NO_GENOME || value < nas_genomes_objectives(known, best)[0]) best = i;
    }
    return best;
}

/* Makes one proposal; nas_strategy_fill sees to it that it is new and feasible. */
static void make(void *self, uint16_t *genes) {
    climber *me = self;
    const nas_genomes *known = &me->base.known;
    size_t best = find_best(known);
    if (best == NAS_NO_GENOME || known->n < (size_t)me->config.random) {
        nas_draw_genome(self, genes);
        return;
    }
    memcpy(genes, nas_genomes_at(known, best), known->n_genes * sizeof *genes);
    nas_mutate(&me->base, me->config.rate, genes);
}

static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    int rc = nas_strategy_ready(self, count, err);
    return rc ? rc : nas_strategy_fill(self, make, self, n, genomes, count, err);
}

static const nas_search_api api = {
    .size = sizeof api, .start = start, .ask = ask, .tell = nas_strategy_tell};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SEARCH,
    .id = "@ID@",
    .version = "0.1.0",
    .summary = "random subnets, then changes of the best one",
    .license = "Apache-2.0",
    .source = "where the method is described",
    .options = options,
    .config_size = sizeof(config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = nas_strategy_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
