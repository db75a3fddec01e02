/* Bayesian optimisation of the first objective: a Gaussian process (gaussian.h), expected
 * improvement among subnets that meet the constraints, which are known beforehand, and batches by a
 * constant liar.
 *
 * Snoek, Larochelle and Adams, arXiv 1206.2944 (expected improvement); Gardner et al., ICML 2014
 * (constraints); Ginsbourger, Le Riche and Carraro, 2010 (constant liar); Ament et al., arXiv
 * 2310.20708 (why its logarithm). */
#include "gaussian.h"

#include <nashost/kit/strategy.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTHS_KIND = 0, LENGTHS_GENE = 1, LENGTHS_ONE = 2 };

enum {
    MOST_AT_ONCE = 256, /* proposals of one ask */
    CENTRES = 3,        /* told genomes whose neighbours are candidates */
};

typedef struct bayesian_config {
    int64_t initial, candidates, points, tries;
    int lengths;
} bayesian_config;

/* What the process says of a genome. */
typedef struct candidate {
    double mean, variance; /* the variance relative to the signal's */
    double gain;           /* log of the expected improvement */
    bool taken, expanded;  /* lied about; its neighbours are candidates */
} candidate;

/* A candidate whose value is taken to be as good as the best. */
typedef struct lie {
    size_t who;
    double diagonal, z; /* what it adds to the factor and to z */
} lie;

/* Genomes to choose from. */
typedef struct pool {
    nas_genomes genomes;
    size_t room, height; /* most genomes; most rows */
    size_t ready;        /* genomes that the process was asked about */
    candidate *each;     /* [room] */
    double *x;           /* [room][dims] */
    double *rows;        /* [room][height]: factor^-1 correlations, then a row for each lie */
    lie *lies;           /* [height] */
    size_t n_lies;
} pool;

typedef struct bayesian {
    nas_strategy base;
    bayesian_config config;
    size_t n_dims, n_groups;
    uint32_t *gene; /* [n_dims]: those with a choice */
    size_t *group;  /* [n_dims] */
    struct {
        double hyper[NAS_GAUSSIAN_HYPER]; /* of the process */
        uint64_t fitted; /* genomes that had been told when they were fitted; 0: never */
    } own;
} bayesian;

static const char *const lengths[] = {"kind", "gene", "one", NULL};

static const nas_option options[] = {
    NAS_INT("initial", bayesian_config, initial, "5", 2, 1e6, "subnets",
            "number of random subnets to begin with; at most a quarter of the evaluations, or 4"),
    NAS_INT("candidates", bayesian_config, candidates, "500", 1, 1e5, "subnets",
            "number of random subnets that each proposal is chosen from, besides neighbours of the "
            "best "
            "and of the most promising ones"),
    NAS_ENUM("lengths", bayesian_config, lengths, "\"kind\"", lengths,
             "how many length scales the Gaussian process has: one for each kind of gene (the last "
             "part of "
             "its name), one for each gene, or one for all"),
    NAS_INT("points", bayesian_config, points, "400", 10, 5000, "subnets",
            "most results that the Gaussian process is fitted to: half of them the best, half the "
            "newest"),
    NAS_INT("tries", bayesian_config, tries, "1000", 1, 1e9, "draws",
            "most draws for a random subnet until one meets the constraints"),
    {0},
};

static int out_of_memory(nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "bayesian: out of memory");
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    bayesian *me = calloc(1, sizeof *me);
    if (!me) return out_of_memory(err);
    me->config = *(const bayesian_config *)config;
    me->base = (nas_strategy){.id = "bayesian",
                              .host = host,
                              .tries = (uint64_t)me->config.tries,
                              .version = 1,
                              .own = &me->own,
                              .own_bytes = sizeof me->own};
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    bayesian *me = self;
    if (!me) return;
    nas_strategy_finish(&me->base);
    free(me->gene);
    free(me->group);
    free(me);
}

static const char *kind_of(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static bool same_group(const bayesian *me, const char *a, const char *b) {
    if (me->config.lengths == LENGTHS_KIND) return !strcmp(kind_of(a), kind_of(b));
    return me->config.lengths == LENGTHS_ONE;
}

/* Each gene that has a choice is a dimension. */
static void set_groups(bayesian *me, const nas_search_problem *problem) {
    me->n_dims = me->n_groups = 0;
    for (uint32_t g = 0; g < problem->n_genes; g++) {
        if (problem->arity[g] < 2) continue;
        size_t d = 0;
        while (d < me->n_dims &&
               !same_group(me, problem->gene_names[g], problem->gene_names[me->gene[d]]))
            d++;
        size_t group = d < me->n_dims ? me->group[d] : me->n_groups;
        if (group == NAS_GAUSSIAN_GROUPS) group--;
        if (group == me->n_groups) me->n_groups++;
        me->group[me->n_dims] = group;
        me->gene[me->n_dims++] = g;
    }
}

static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    bayesian *me = self;
    int rc = nas_strategy_start(&me->base, problem, 1, err);
    if (rc) return rc;
    free(me->gene);
    free(me->group);
    me->gene = calloc(problem->n_genes, sizeof *me->gene);
    me->group = calloc(problem->n_genes, sizeof *me->group);
    if (!me->gene || !me->group) return out_of_memory(err);
    set_groups(me, problem);
    return NAS_OK;
}

/* Places a genome in the unit cube; an inactive gene lies one step below its smallest choice, so
 * that it is one value whatever the genome says. */
static void encode(bayesian *me, const uint16_t *genes, double *x) {
    for (size_t d = 0; d < me->n_dims; d++) {
        uint32_t g = me->gene[d];
        double level = nas_gene_matters(&me->base, genes, g) ? genes[g] : -1.0;
        x[d] = level / (me->base.problem->arity[g] - 1.0);
    }
}

/* ---- The pool ---- */

static void close_pool(pool *c) {
    nas_genomes_free(&c->genomes);
    free(c->each);
    free(c->x);
    free(c->rows);
    free(c->lies);
}

static int open_pool(pool *c, const bayesian *me, size_t room, size_t height, nas_error *err) {
    *c = (pool){.room = room, .height = height};
    c->genomes.n_genes = me->base.known.n_genes;
    c->each = calloc(room, sizeof *c->each);
    c->x = calloc(room, me->n_dims * sizeof *c->x);
    c->rows = calloc(room, height * sizeof *c->rows);
    c->lies = calloc(height, sizeof *c->lies);
    return c->each && c->x && c->rows && c->lies ? NAS_OK : out_of_memory(err);
}

/* Adds a genome unless it is known, breaks a constraint, or there is no room. */
static int consider(bayesian *me, pool *c, const uint16_t *genes, nas_error *err) {
    if (c->genomes.n == c->room || nas_genomes_find(&me->base.known, genes) != NAS_NO_GENOME ||
        nas_genomes_find(&c->genomes, genes) != NAS_NO_GENOME ||
        nas_violation(&me->base, genes) > 0)
        return NAS_OK;
    return nas_genomes_add(&c->genomes, genes, NULL, err);
}

static int consider_neighbours(bayesian *me, pool *c, const uint16_t *genes, nas_error *err) {
    const nas_search_problem *problem = me->base.problem;
    int rc = NAS_OK;
    memcpy(me->base.origin, genes, problem->n_genes * sizeof *genes);
    for (size_t d = 0; d < me->n_dims && !rc; d++)
        for (uint16_t v = 0; v < problem->arity[me->gene[d]] && !rc; v++)
            if (nas_neighbour(problem, me->base.origin, me->gene[d], v, me->base.draft))
                rc = consider(me, c, me->base.draft, err);
    return rc;
}

/* Gives candidate i its row t, and with it what the t-th observation or lie says. */
static void learn(pool *c, size_t i, size_t t, double row, double z) {
    c->rows[i * c->height + t] = row;
    c->each[i].mean += row * z;
    c->each[i].variance -= row * row;
}

/* One more step of candidate i's forward substitution, for lie t. */
static void learn_lie(const nas_gaussian *p, pool *c, size_t i, size_t t) {
    const lie *one = &c->lies[t];
    const double *a = c->rows + one->who * c->height, *b = c->rows + i * c->height;
    double row =
        nas_matern(nas_gaussian_distance(p, c->x + one->who * p->dims, c->x + i * p->dims));
    for (size_t k = 0; k < p->n + t; k++) row -= a[k] * b[k];
    learn(c, i, p->n + t, row / one->diagonal, one->z);
}

/* Asks the process about the genomes that were added since the last time. */
static void look(bayesian *me, const nas_gaussian *p, pool *c) {
    size_t from = c->ready;
    for (size_t i = from; i < c->genomes.n; i++) {
        double *x = c->x + i * p->dims, *row = c->rows + i * c->height;
        encode(me, nas_genomes_at(&c->genomes, i), x);
        for (size_t k = 0; k < p->n; k++)
            row[k] = nas_matern(nas_gaussian_distance(p, p->x + k * p->dims, x));
    }
    if (c->genomes.n > from)
        nas_gaussian_solve(p, 'N', c->genomes.n - from, c->rows + from * c->height, c->height);
    for (size_t i = from; i < c->genomes.n; i++) {
        c->each[i].variance = 1;
        for (size_t k = 0; k < p->n; k++) learn(c, i, k, c->rows[i * c->height + k], p->z[k]);
        for (size_t t = 0; t < c->n_lies; t++) learn_lie(p, c, i, t);
    }
    c->ready = c->genomes.n;
}

/* Takes candidate i and, as if it were as good as the best, adds it to the observations. */
static void lie_about(const nas_gaussian *p, pool *c, size_t i) {
    candidate *one = &c->each[i];
    double diagonal = sqrt(fmax(one->variance + p->noise, 1e-10));
    c->lies[c->n_lies++] = (lie){i, diagonal, (p->y[0] - one->mean) / diagonal};
    one->taken = true;
    for (size_t j = 0; j < c->ready; j++) learn_lie(p, c, j, c->n_lies - 1);
}

/* The most promising candidate, or NAS_NO_GENOME. The neighbours of the most promising one so far
 * join the pool until it is one whose neighbours have. */
static int most_promising(bayesian *me, const nas_gaussian *p, pool *c, size_t *chosen,
                          nas_error *err) {
    for (;;) {
        *chosen = NAS_NO_GENOME;
        for (size_t i = 0; i < c->ready; i++) {
            candidate *one = &c->each[i];
            if (one->taken) continue;
            double deviation = sqrt(fmax(p->signal * one->variance, 1e-12));
            one->gain = nas_log_improvement(p->y[0], one->mean, deviation);
            if (*chosen == NAS_NO_GENOME || one->gain > c->each[*chosen].gain) *chosen = i;
        }
        if (*chosen == NAS_NO_GENOME || c->each[*chosen].expanded) return NAS_OK;
        c->each[*chosen].expanded = true;
        int rc = consider_neighbours(me, c, nas_genomes_at(&c->genomes, *chosen), err);
        if (rc) return rc;
        look(me, p, c);
    }
}

/* ---- Observations ---- */

typedef struct result {
    double value;
    size_t number, age; /* age: how many were told later */
} result;

static int by_value(const void *a, const void *b) {
    const result *x = a, *y = b;
    if (x->value < y->value) return -1;
    if (x->value > y->value) return 1;
    return (x->number > y->number) - (x->number < y->number);
}

static int by_age(const void *a, const void *b) {
    const result *x = a, *y = b;
    return (x->age > y->age) - (x->age < y->age);
}

/* The scored genomes, the best first, then, if they are more than `points`, only the best half of
 * as many and the newest of the others. results [n_told]. Returns how many. */
static size_t gather(const bayesian *me, result *results) {
    const nas_genomes *known = &me->base.known;
    size_t n = 0, most = (size_t)me->config.points;
    for (size_t i = 0; i < known->n_told; i++) {
        size_t number = known->told[i];
        if (known->violation[number] > 0) continue;
        results[n++] = (result){*nas_genomes_objectives(known, number), number, known->n_told - i};
    }
    qsort(results, n, sizeof *results, by_value);
    if (n <= most) return n;
    qsort(results + most / 2, n - most / 2, sizeof *results, by_age);
    return most;
}

/* Fills the process's observations; the best is the first. */
static void observe(bayesian *me, const result *results, nas_gaussian *p) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < p->n; i++) mean += results[i].value / (double)p->n;
    for (size_t i = 0; i < p->n; i++)
        variance += (results[i].value - mean) * (results[i].value - mean) / (double)p->n;
    for (size_t i = 0; i < p->n; i++) {
        p->y[i] = variance > 0 ? (results[i].value - mean) / sqrt(variance) : 0;
        encode(me, nas_genomes_at(&me->base.known, results[i].number), p->x + i * p->dims);
    }
}

/* Fits, when a fifth more genomes were told than the last time, and conditions. */
static int settle(bayesian *me, const result *results, nas_gaussian *p, nas_error *err) {
    uint64_t told = me->base.known.n_told;
    bool due = !me->own.fitted || 5 * told >= 6 * me->own.fitted;
    observe(me, results, p);
    if (due && nas_gaussian_fit(p, me->own.hyper, me->own.fitted > 0))
        me->own.fitted = told, due = false;
    if (!due && nas_gaussian_condition(p, me->own.hyper)) return NAS_OK;
    return nas_fail(err, NAS_ERR_NUMERIC,
                    "bayesian: expected correlations of %zu results that can be factorised, found "
                    "singular ones",
                    p->n);
}

/* ---- Ask and tell ---- */

/* The pool before any choice: the newest genomes that were proposed and not told yet, which are
 * lied about, random ones, and neighbours of the best. */
static int fill_pool(bayesian *me, const result *results, const nas_gaussian *p, size_t pending,
                     pool *c, nas_error *err) {
    const nas_genomes *known = &me->base.known;
    int rc = NAS_OK;
    for (size_t i = known->n; i-- > 0 && c->genomes.n < pending && !rc;)
        if (!nas_genomes_is_told(known, i))
            rc = nas_genomes_add(&c->genomes, nas_genomes_at(known, i), NULL, err);
    if (rc) return rc;
    look(me, p, c);
    for (size_t i = 0; i < pending; i++) lie_about(p, c, i);
    size_t wanted = pending + (size_t)me->config.candidates;
    for (int64_t i = 0; i < 4 * me->config.candidates && c->genomes.n < wanted && !rc; i++) {
        nas_draw_genome(&me->base, me->base.draft);
        me->base.problem->canonical(me->base.problem, me->base.draft);
        rc = consider(me, c, me->base.draft, err);
    }
    for (size_t i = 0; i < p->n && i < CENTRES && !rc; i++)
        rc = consider_neighbours(me, c, nas_genomes_at(known, results[i].number), err);
    if (!rc) look(me, p, c);
    return rc;
}

/* Proposes up to n genomes; fewer if no candidate is left that meets the constraints. */
static int choose(bayesian *me, const result *results, const nas_gaussian *p, size_t n,
                  uint16_t *genomes, size_t *count, nas_error *err) {
    size_t pending = me->base.known.n - me->base.known.n_told, most = (size_t)me->config.points;
    if (pending > most) pending = most;
    pool c;
    size_t room = 4 * (size_t)me->config.candidates + pending, n_genes = me->base.known.n_genes;
    int rc = open_pool(&c, me, room, p->n + pending + n, err);
    if (!rc) rc = fill_pool(me, results, p, pending, &c, err);
    while (*count < n && !rc) {
        size_t chosen;
        rc = most_promising(me, p, &c, &chosen, err);
        if (rc || chosen == NAS_NO_GENOME) break;
        const uint16_t *genes = nas_genomes_at(&c.genomes, chosen);
        rc = nas_genomes_add(&me->base.known, genes, NULL, err);
        if (rc) break;
        memcpy(genomes + *count * n_genes, genes, n_genes * sizeof *genes);
        lie_about(p, &c, chosen);
        ++*count;
    }
    close_pool(&c);
    return rc;
}

static int ask_process(bayesian *me, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    nas_gaussian p = {0};
    result *results = malloc((me->base.known.n_told + 1) * sizeof *results);
    if (!results) return out_of_memory(err);
    size_t n_results = gather(me, results);
    int rc = NAS_OK;
    if (n_results > 1 && me->n_dims) {
        rc = nas_gaussian_open(&p, n_results, me->n_dims, me->n_groups, me->group, err);
        if (!rc) rc = settle(me, results, &p, err);
        if (!rc) rc = choose(me, results, &p, n, genomes, count, err);
    }
    nas_gaussian_close(&p);
    free(results);
    return rc;
}

/* Random ones to begin with, and one where the process has nothing to say. */
static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    bayesian *me = self;
    int rc = nas_strategy_ready(&me->base, count, err);
    if (rc) return rc;
    size_t initial = nas_strategy_round(&me->base, me->config.initial, 4);
    size_t known = me->base.known.n, wanted = known < initial ? initial - known : 1;
    if (n > MOST_AT_ONCE) n = MOST_AT_ONCE;
    if (known >= initial) rc = ask_process(me, n, genomes, count, err);
    if (rc || *count) return rc;
    return nas_strategy_fill(&me->base, nas_draw_genome, me, n < wanted ? n : wanted, genomes,
                             count, err);
}

static const nas_search_api api = {sizeof api, start, ask, nas_strategy_tell};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SEARCH,
    .id = "bayesian",
    .version = "0.1.0",
    .summary = "Gaussian process and expected improvement among subnets that meet the constraints",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1206.2944",
    .options = options,
    .config_size = sizeof(bayesian_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = nas_strategy_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
