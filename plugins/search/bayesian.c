/* Bayesian optimisation of the first objective: a Gaussian process with a Matern 5/2 kernel,
 * expected improvement among subnets that meet the constraints, which are known beforehand, and
 * batches by a constant liar.
 *
 * Snoek, Larochelle and Adams, arXiv 1206.2944 (kernel, likelihood, expected improvement); Gardner
 * et al., ICML 2014 (constraints); Ginsbourger, Le Riche and Carraro, 2010 (constant liar); Ament
 * et al., arXiv 2310.20708 (why its logarithm); Hvarfner, Hellsten and Nardi, arXiv 2402.02229
 * (length scales that grow with the number of genes). */
#include <lapacke.h>
#include <nashost/strategy.h>

enum { LENGTHS_KIND = 0, LENGTHS_GENE = 1, LENGTHS_ONE = 2 };

enum {
    MOST_GROUPS = 255,  /* length scales; further groups share the last */
    MOST_AT_ONCE = 256, /* proposals of one ask */
    CENTRES = 3,        /* told genomes whose neighbours are candidates */
    CLIMB = 40,         /* steps of Rprop from one start */
};

typedef struct bayesian_config {
    int64_t initial, candidates, points, tries;
    int lengths;
} bayesian_config;

/* The process, given n observations. Matrices are column-major and symmetric ones have their lower
 * triangle only. */
typedef struct process {
    size_t n, dims, groups;
    const size_t *group; /* [dims]: which length scale */
    double *x, *y;       /* [n][dims]; [n], of mean 0 and variance 1; x owns every array */
    double *scale;       /* [dims]: 1 / length scale */
    double *factor;      /* [n][n]: Cholesky's of the correlations plus noise */
    double *inverse;     /* [n][n]: of the same */
    double *z, *alpha;   /* [n]: factor^-1 y; (factor factor')^-1 y */
    double noise;        /* variance, relative to the signal's */
    double signal;       /* variance */
} process;

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
        double hyper[MOST_GROUPS + 1]; /* log length scale of each group, then log noise */
        uint64_t fitted; /* genomes that had been told when they were fitted; 0: never */
    } own;
} bayesian;

static const char *const lengths[] = {"kind", "gene", "one", NULL};

static const nas_option options[] = {
    {"initial", NAS_TYPE_INT, "20", offsetof(bayesian_config, initial), 2, 1e6, "subnets",
     "random ones to begin with; at most a quarter of the evaluations, or 4", NULL},
    {"candidates", NAS_TYPE_INT, "500", offsetof(bayesian_config, candidates), 1, 1e5, "subnets",
     "random ones to choose from, besides neighbours of the best and of the most promising", NULL},
    {"lengths", NAS_TYPE_ENUM, "\"kind\"", offsetof(bayesian_config, lengths), 0, 0, NULL,
     "length scales: one for each kind of gene (the last part of its name), each gene, or all",
     lengths},
    {"points", NAS_TYPE_INT, "400", offsetof(bayesian_config, points), 10, 5000, "subnets",
     "results that the process is given at most: the best, and as many of the newest", NULL},
    {"tries", NAS_TYPE_INT, "1000", offsetof(bayesian_config, tries), 1, 1e9, "draws",
     "for each random proposal, until one meets the constraints", NULL},
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
        if (group == MOST_GROUPS) group--;
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

/* ---- The process ---- */

static double squared_distance(const process *p, const double *a, const double *b) {
    double sum = 0;
    for (size_t d = 0; d < p->dims; d++) {
        double step = (a[d] - b[d]) * p->scale[d];
        sum += step * step;
    }
    return sum;
}

/* Matern 5/2 of a squared distance in length scales. */
static double matern(double squared) {
    double s = sqrt(5 * squared);
    return (1 + s + s * s / 3) * exp(-s);
}

/* Factorises the correlations plus noise; if they are singular to rounding, adds to the diagonal
 * until they are not. False: even 1 % does not help. */
static bool factorise(process *p) {
    size_t n = p->n;
    for (int attempt = 0; attempt < 10; attempt++) {
        double jitter = attempt ? pow(10, attempt - 11) : 0;
        for (size_t j = 0; j < n; j++) {
            p->factor[j * n + j] = 1 + p->noise + jitter;
            for (size_t i = j + 1; i < n; i++)
                p->factor[j * n + i] =
                    matern(squared_distance(p, p->x + i * p->dims, p->x + j * p->dims));
        }
        if (!LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, p->factor, (lapack_int)n))
            return true;
    }
    return false;
}

/* v [columns][height] = factor^-1 v, or factor'^-1 v. */
static void solve(const process *p, char transposed, size_t columns, double *v, size_t height) {
    LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, 'L', transposed, 'N', (lapack_int)p->n,
                        (lapack_int)columns, p->factor, (lapack_int)p->n, v, (lapack_int)height);
}

/* Conditions the process on its observations under the hyper-parameters. The signal's variance is
 * the likeliest one; one more observation, of variance 1, keeps it from 0. */
static bool condition(process *p, const double *hyper) {
    for (size_t d = 0; d < p->dims; d++) p->scale[d] = exp(-hyper[p->group[d]]);
    p->noise = exp(hyper[p->groups]);
    if (!factorise(p)) return false;
    double sum = 1;
    memcpy(p->z, p->y, p->n * sizeof *p->z);
    solve(p, 'N', 1, p->z, p->n);
    for (size_t i = 0; i < p->n; i++) sum += p->z[i] * p->z[i];
    memcpy(p->alpha, p->z, p->n * sizeof *p->alpha);
    solve(p, 'T', 1, p->alpha, p->n);
    p->signal = sum / (double)(p->n + 1);
    return true;
}

/* Priors: log length ~ N(sqrt 2 + log(dims) / 2, 3), log noise ~ N(-6, 4). */
static double centre_of(const process *p, size_t k) {
    return k < p->groups ? sqrt(2) + log((double)p->dims) / 2 : -6;
}

static double spread_of(const process *p, size_t k) {
    return k < p->groups ? 3 : 4;
}

/* The log of likelihood times prior, up to a constant, and its gradient [groups + 1]; -infinity if
 * the correlations cannot be factorised. (Rasmussen and Williams, Gaussian Processes for Machine
 * Learning, 2006, equations 2.30 and 5.9.) */
static double likelihood(process *p, const double *hyper, double *gradient) {
    size_t n = p->n;
    if (!condition(p, hyper)) return -INFINITY;
    double value = -0.5 * (double)(n + 1) * log(p->signal);
    for (size_t i = 0; i < n; i++) value -= log(p->factor[i * n + i]);
    for (size_t k = 0; k <= p->groups; k++) {
        double off = hyper[k] - centre_of(p, k);
        value -= off * off / (2 * spread_of(p, k));
        gradient[k] = -off / spread_of(p, k);
    }
    memcpy(p->inverse, p->factor, n * n * sizeof *p->inverse);
    if (LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, p->inverse, (lapack_int)n))
        return -INFINITY;
    for (size_t j = 0; j < n; j++) {
        const double *b = p->x + j * p->dims;
        gradient[p->groups] +=
            0.5 * p->noise * (p->alpha[j] * p->alpha[j] / p->signal - p->inverse[j * n + j]);
        for (size_t i = j + 1; i < n; i++) {
            const double *a = p->x + i * p->dims;
            double s = sqrt(5 * squared_distance(p, a, b));
            double slope = 5.0 / 3 * (1 + s) * exp(-s) *
                           (p->alpha[i] * p->alpha[j] / p->signal - p->inverse[j * n + i]);
            for (size_t d = 0; d < p->dims; d++) {
                double step = (a[d] - b[d]) * p->scale[d];
                gradient[p->group[d]] += slope * step * step;
            }
        }
    }
    return value;
}

/* Climbs by Rprop (Riedmiller and Braun, 1993) from hyper, which becomes the best point met.
 * Returns its value. */
static double climb(process *p, double *hyper) {
    double at[MOST_GROUPS + 1], gradient[MOST_GROUPS + 1], best = -INFINITY;
    double last[MOST_GROUPS + 1] = {0}, step[MOST_GROUPS + 1] = {0};
    size_t n = p->groups + 1;
    memcpy(at, hyper, n * sizeof *at);
    for (int i = 0; i < CLIMB; i++) {
        double value = likelihood(p, at, gradient);
        if (!isfinite(value)) break;
        if (value > best) {
            best = value;
            memcpy(hyper, at, n * sizeof *at);
        }
        for (size_t k = 0; k < n; k++) {
            double agree = gradient[k] * last[k];
            step[k] = !i          ? 0.3
                      : agree > 0 ? fmin(1, 1.2 * step[k])
                      : agree < 0 ? 0.5 * step[k]
                                  : step[k];
            last[k] = agree < 0 ? 0 : gradient[k];
            at[k] += last[k] > 0 ? step[k] : last[k] < 0 ? -step[k] : 0;
            at[k] = fmax(centre_of(p, k) - 8, fmin(centre_of(p, k) + 8, at[k]));
        }
    }
    return best;
}

/* Fits the hyper-parameters: from the centre of the priors, and from where they were or, the first
 * time, from shorter lengths. False: the correlations cannot be factorised. */
static bool fit(bayesian *me, process *p) {
    double best = -INFINITY, from[2][MOST_GROUPS + 1];
    for (size_t k = 0; k <= p->groups; k++) {
        from[0][k] = centre_of(p, k);
        from[1][k] = me->own.fitted ? me->own.hyper[k] : centre_of(p, k) - 1.5;
    }
    for (int i = 0; i < 2; i++) {
        double value = climb(p, from[i]);
        if (!(value > best)) continue;
        best = value;
        memcpy(me->own.hyper, from[i], (p->groups + 1) * sizeof **from);
    }
    return isfinite(best);
}

static int open_process(process *p, const bayesian *me, size_t n, nas_error *err) {
    size_t dims = me->n_dims;
    *p = (process){.n = n, .dims = dims, .groups = me->n_groups, .group = me->group};
    p->x = calloc(n * (dims + 3 + 2 * n) + dims, sizeof *p->x);
    if (!p->x) return out_of_memory(err);
    p->y = p->x + n * dims;
    p->z = p->y + n;
    p->alpha = p->z + n;
    p->factor = p->alpha + n;
    p->inverse = p->factor + n * n;
    p->scale = p->inverse + n * n;
    return NAS_OK;
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
static void learn_lie(const process *p, pool *c, size_t i, size_t t) {
    const lie *one = &c->lies[t];
    const double *a = c->rows + one->who * c->height, *b = c->rows + i * c->height;
    double row = matern(squared_distance(p, c->x + one->who * p->dims, c->x + i * p->dims));
    for (size_t k = 0; k < p->n + t; k++) row -= a[k] * b[k];
    learn(c, i, p->n + t, row / one->diagonal, one->z);
}

/* Asks the process about the genomes that were added since the last time. */
static void look(bayesian *me, const process *p, pool *c) {
    size_t from = c->ready;
    for (size_t i = from; i < c->genomes.n; i++) {
        double *x = c->x + i * p->dims, *row = c->rows + i * c->height;
        encode(me, nas_genomes_at(&c->genomes, i), x);
        for (size_t k = 0; k < p->n; k++)
            row[k] = matern(squared_distance(p, p->x + k * p->dims, x));
    }
    if (c->genomes.n > from)
        solve(p, 'N', c->genomes.n - from, c->rows + from * c->height, c->height);
    for (size_t i = from; i < c->genomes.n; i++) {
        c->each[i].variance = 1;
        for (size_t k = 0; k < p->n; k++) learn(c, i, k, c->rows[i * c->height + k], p->z[k]);
        for (size_t t = 0; t < c->n_lies; t++) learn_lie(p, c, i, t);
    }
    c->ready = c->genomes.n;
}

/* Takes candidate i and, as if it were as good as the best, adds it to the observations. */
static void lie_about(const process *p, pool *c, size_t i) {
    candidate *one = &c->each[i];
    double diagonal = sqrt(fmax(one->variance + p->noise, 1e-10));
    c->lies[c->n_lies++] = (lie){i, diagonal, (p->y[0] - one->mean) / diagonal};
    one->taken = true;
    for (size_t j = 0; j < c->ready; j++) learn_lie(p, c, j, c->n_lies - 1);
}

/* The most promising candidate, or NAS_NO_GENOME. The neighbours of the most promising one so far
 * join the pool until it is one whose neighbours have. */
static int most_promising(bayesian *me, const process *p, pool *c, size_t *chosen, nas_error *err) {
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
static void observe(bayesian *me, const result *results, process *p) {
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
static int settle(bayesian *me, const result *results, process *p, nas_error *err) {
    uint64_t told = me->base.known.n_told;
    bool due = !me->own.fitted || 5 * told >= 6 * me->own.fitted;
    observe(me, results, p);
    if (due && fit(me, p)) me->own.fitted = told, due = false;
    if (!due && condition(p, me->own.hyper)) return NAS_OK;
    return nas_fail(err, NAS_ERR_NUMERIC,
                    "bayesian: expected correlations of %zu results that can be factorised, found "
                    "singular ones",
                    p->n);
}

/* ---- Ask and tell ---- */

/* The pool before any choice: the newest genomes that were proposed and not told yet, which are
 * lied about, random ones, and neighbours of the best. */
static int fill_pool(bayesian *me, const result *results, const process *p, size_t pending, pool *c,
                     nas_error *err) {
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
static int choose(bayesian *me, const result *results, const process *p, size_t n,
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
    process p = {0};
    result *results = malloc((me->base.known.n_told + 1) * sizeof *results);
    if (!results) return out_of_memory(err);
    size_t n_results = gather(me, results);
    int rc = NAS_OK;
    if (n_results > 1 && me->n_dims) {
        rc = open_process(&p, me, n_results, err);
        if (!rc) rc = settle(me, results, &p, err);
        if (!rc) rc = choose(me, results, &p, n, genomes, count, err);
    }
    free(p.x);
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
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_SEARCH,
    .id = "bayesian",
    .version = "0.1.0",
    .summary = "Gaussian process and expected improvement among subnets that meet the constraints",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1206.2944",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(bayesian_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = nas_strategy_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
