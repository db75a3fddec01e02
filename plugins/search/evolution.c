/* Regularised (aging) evolution, arXiv 1802.01548: the best of a random sample of the population
 * has a child, and the oldest member dies. With survival "rank", generations as in Once-for-All,
 * arXiv 1908.09791: children of the best, which alone survive. */
#include <nashost/kit/strategy.h>

#include <stdlib.h>
#include <string.h>

enum { SURVIVAL_AGE = 0, SURVIVAL_RANK = 1 };

typedef struct evolution_config {
    int64_t population, sample, tries;
    double parents, crossover, mutation;
    int survival;
} evolution_config;

typedef struct evolution {
    nas_strategy base;
    evolution_config config;
    /* With survival "rank": a function of what was told, hence in no state. */
    size_t *members; /* [parents of a generation + population], best first */
    size_t n_members;
    size_t settled; /* told genomes that the members come from */
} evolution;

static const char *const survivals[] = {"age", "rank", NULL};

static const nas_option options[] = {
    NAS_INT("population", evolution_config, population, "100", 2, 1e6, "subnets",
            "number of subnets that are alive at once; at most a tenth of the evaluations, or 4"),
    NAS_INT(
        "sample", evolution_config, sample, "25", 1, 1e6, "subnets",
        "number of members that are drawn, with replacement, to choose a parent from: the best of "
        "them (survival \"age\" alone)"),
    NAS_ENUM("survival", evolution_config, survival, "\"age\"", survivals,
             "who dies: age, the oldest member; rank, in each generation all but the best"),
    NAS_FLOAT("parents", evolution_config, parents, "0.25", 0.01, 1, NULL,
              "share of a generation that survives and has children (survival \"rank\" alone)"),
    NAS_FLOAT(
        "crossover", evolution_config, crossover, "0", 0, 1, NULL,
        "share of the children that mix two parents gene by gene; the others are mutants of one"),
    NAS_FLOAT("mutation", evolution_config, mutation, "0", 0, 1, NULL,
              "probability with which a mutant's gene changes; 0: exactly one gene changes"),
    NAS_INT("tries", evolution_config, tries, "1000", 1, 1e9, "draws",
            "most children that are drawn for a proposal until one meets the constraints; if none "
            "does, "
            "the one that comes closest is proposed"),
    {0},
};

static void forget(void *self) {
    evolution *me = self;
    me->n_members = me->settled = 0;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    evolution *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "evolution: out of memory");
    me->config = *(const evolution_config *)config;
    me->base = (nas_strategy){.id = "evolution",
                              .host = host,
                              .tries = (uint64_t)me->config.tries,
                              .version = 1,
                              .loaded = forget};
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    evolution *me = self;
    if (!me) return;
    nas_strategy_finish(&me->base);
    free(me->members);
    free(me);
}

static size_t population_of(const evolution *me) {
    return nas_strategy_round(&me->base, me->config.population, 10);
}

static size_t survivors_of(const evolution *me) {
    size_t n = (size_t)(me->config.parents * (double)population_of(me));
    return n > 2 ? n : 2;
}

static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    evolution *me = self;
    int rc = nas_strategy_start(&me->base, problem, problem->n_objectives, err);
    if (rc) return rc;
    free(me->members);
    forget(me);
    me->members = calloc(survivors_of(me) + population_of(me), sizeof *me->members);
    return me->members ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "evolution: out of memory");
}

/* ---- Who has children ---- */

/* The best of a sample of those told last. */
static size_t parent_by_age(evolution *me) {
    const nas_genomes *known = &me->base.known;
    size_t room = population_of(me);
    size_t alive = known->n_told < room ? known->n_told : room;
    const size_t *youngest = known->told + known->n_told - alive;
    size_t best = 0;
    for (int64_t i = 0; i < me->config.sample; i++) {
        size_t one = youngest[nas_draw_below(&me->base, (uint32_t)alive)];
        if (!i || nas_genomes_better(known, one, best)) best = one;
    }
    return best;
}

/* Puts a told genome in its place among the members, behind its equals. */
static void join(evolution *me, size_t number) {
    size_t i = me->n_members++;
    for (; i && nas_genomes_better(&me->base.known, number, me->members[i - 1]); i--)
        me->members[i] = me->members[i - 1];
    me->members[i] = number;
}

/* Closes every generation that is complete: of parents and children only the best survive. */
static void settle(evolution *me) {
    const nas_genomes *known = &me->base.known;
    size_t generation = population_of(me);
    while (me->settled + generation <= known->n_told) {
        for (size_t i = 0; i < generation; i++) join(me, known->told[me->settled++]);
        if (me->n_members > survivors_of(me)) me->n_members = survivors_of(me);
    }
}

static size_t parent(evolution *me) {
    if (me->config.survival == SURVIVAL_AGE) return parent_by_age(me);
    return me->members[nas_draw_below(&me->base, (uint32_t)me->n_members)];
}

/* Each gene of one of the two parents, of the one in which it is active if it is in one only. */
static void mix(evolution *me, const uint16_t *a, const uint16_t *b, uint16_t *genes) {
    for (uint32_t g = 0; g < me->base.known.n_genes; g++) {
        bool in_a = nas_gene_matters(&me->base, a, g), in_b = nas_gene_matters(&me->base, b, g);
        bool from_a = in_a == in_b ? nas_draw_below(&me->base, 2) : in_a;
        genes[g] = from_a ? a[g] : b[g];
    }
}

static void make_child(void *self, uint16_t *genes) {
    evolution *me = self;
    const nas_genomes *known = &me->base.known;
    const uint16_t *first = nas_genomes_at(known, parent(me));
    if (me->config.crossover > 0 && nas_draw_unit(&me->base) < me->config.crossover) {
        mix(me, first, nas_genomes_at(known, parent(me)), genes);
    } else {
        memcpy(genes, first, known->n_genes * sizeof *genes);
        nas_mutate(&me->base, me->config.mutation, genes);
    }
}

/* ---- Ask and tell ---- */

static bool has_parents(const evolution *me) {
    const nas_genomes *known = &me->base.known;
    if (me->config.survival == SURVIVAL_RANK) return me->n_members > 0;
    return known->n >= population_of(me) && known->n_told > 0;
}

static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    evolution *me = self;
    int rc = nas_strategy_ready(&me->base, count, err);
    if (rc) return rc;
    if (me->config.survival == SURVIVAL_RANK) settle(me);
    /* More would die before they can be parents. */
    if (n > population_of(me)) n = population_of(me);
    while (*count < n && !rc) {
        size_t before = *count;
        rc = nas_strategy_fill(&me->base, has_parents(me) ? make_child : nas_draw_genome, me,
                               before + 1, genomes, count, err);
        if (*count == before) break;
    }
    return rc;
}

static const nas_search_api api = {sizeof api, start, ask, nas_strategy_tell};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SEARCH,
    .id = "evolution",
    .version = "0.1.0",
    .summary = "regularised evolution: the best of a sample has a child, the oldest dies",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1802.01548",
    .options = options,
    .config_size = sizeof(evolution_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = nas_strategy_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
