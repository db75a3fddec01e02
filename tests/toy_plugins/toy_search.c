/* Asks for random genomes, each round the first one twice. Is told of the smallest and the largest
 * subnet before, unless it is as old as toy_old_search.c. */
#include <math.h>
#include <nashost/search.h>
#include <stdlib.h>
#include <string.h>

#ifndef TOY_ID
#define TOY_ID "toy-search"
#endif

typedef struct toy {
    const nas_host *host;
    const nas_search_problem *problem;
    uint64_t drawn, asked, told;
} toy;

static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    (void)err;
    ((toy *)self)->problem = problem;
    return NAS_OK;
}

static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    toy *me = self;
    uint32_t n_genes = me->problem->n_genes;
    uint64_t ends = NAS_ABI_MINOR > 0 ? 2 : 0;
    if (me->told != me->asked + ends)
        return nas_fail(err, NAS_ERR_PLUGIN, "told of %d results, asked for %d", (int)me->told,
                        (int)me->asked);
    me->asked += n;
    for (size_t i = 0; i < n; i++)
        for (uint32_t g = 0; g < n_genes; g++)
            genomes[i * n_genes + g] =
                (uint16_t)(me->host->random(me->host, 0, me->drawn++) % me->problem->arity[g]);
    if (n > 1) memcpy(genomes + n_genes, genomes, n_genes * sizeof *genomes);
    *count = n;
    return NAS_OK;
}

/* What is infeasible has no objectives, what is feasible has all of them; the violation is what the
 * problem itself says. */
static int tell(void *self, size_t n, const uint16_t *genomes, const double *objectives,
                const double *violation, nas_error *err) {
    toy *me = self;
    double costs[8];
    me->told += n;
    uint32_t n_objectives = me->problem->n_objectives;
    for (size_t i = 0; i < n; i++) {
        const uint16_t *genes = genomes + i * me->problem->n_genes;
        if (me->problem->violation(me->problem, genes) != violation[i])
            return nas_fail(err, NAS_ERR_PLUGIN, "told another violation than asked");
        if (!NAS_HAS(me->problem, costs) || !me->problem->costs(me->problem, genes, costs))
            return nas_fail(err, NAS_ERR_PLUGIN, "costs are not known");
        for (uint32_t o = 0; o < n_objectives; o++)
            if (o ? violation[i] <= 0 && costs[o] != objectives[i * n_objectives + o]
                  : !isnan(costs[o]))
                return nas_fail(err, NAS_ERR_PLUGIN, "told another cost than asked");
        for (uint32_t o = 0; o < n_objectives; o++)
            if (isfinite(objectives[i * n_objectives + o]) != (violation[i] <= 0))
                return nas_fail(err, NAS_ERR_PLUGIN, "told %g with violation %g",
                                objectives[i * n_objectives + o], violation[i]);
    }
    return NAS_OK;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)config;
    toy *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    me->host = host;
    *self = me;
    return NAS_OK;
}

static const nas_search_api api = {sizeof api, start, ask, tell};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SEARCH,
    .id = TOY_ID,
    .version = "1.0.0",
    .summary = "random genomes, for tests",
    .license = "Apache-2.0",
    .source = "tests/toy_plugins/toy_search.c",
    .create = create,
    .destroy = free,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
