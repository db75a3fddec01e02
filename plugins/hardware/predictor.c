/* Predicts a network's latency as the sum of its layers', each by a regressor of its operation: the
 * idea of nn-Meter (Zhang et al., MobiSys 2021, doi 10.1145/3458864.3467882). The samples are a
 * latency table, which is also the model's portable form: fitting takes a moment and always gives
 * the same regressors.
 *
 * A regressor is a law, a + b * multiply-accumulates + c * elements moved with no coefficient below
 * 0, which extends beyond the samples, times the exponential of boosted trees (Friedman, "Greedy
 * function approximation", Annals of Statistics 29(5), 2001), which learn what the law leaves. Both
 * minimise relative errors. */
#include <nashost/hardware.h>
#include <nashost/kit/layers.h>
#include <nashost/kit/lut_file.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct predictor_config {
    const char *samples;
    int64_t trees, depth, folds;
    double rate;
} predictor_config;

#define MOST_DEPTH 8
#define MIN_LEAF 3 /* samples */

static const nas_option options[] = {
    NAS_PATH("samples", predictor_config, samples, NULL,
             "latency table that the regressors are fitted to: a JSON file that `nashost lut "
             "build` made, "
             "of all layers of a space or of some"),
    NAS_INT("trees", predictor_config, trees, "200", 0, 5000, NULL,
            "number of boosted trees that are fitted for each operation"),
    NAS_INT("depth", predictor_config, depth, "4", 1, MOST_DEPTH, "levels", "depth of a tree"),
    NAS_FLOAT("rate", predictor_config, rate, "0.1", 1e-3, 1, NULL,
              "learning rate of boosting: the share of a tree's prediction that is added"),
    NAS_INT(
        "folds", predictor_config, folds, "5", 0, 20, NULL,
        "number of folds of the cross-validation whose error is logged; below 2: there is none"),
    {0},
};

enum { OPS = NAS_OP_ADD + 1, LAW = 3 };

/* What a tree sees of a layer. */
enum { AREA, IN_C, OUT_C, KERNEL, STRIDE, ACTIVATION, MACS, ELEMENTS, FEATURES };
static const char *const feature_names[FEATURES] = {"area",   "in.c",       "out.c", "kernel",
                                                    "stride", "activation", "macs",  "elements"};

typedef struct sample {
    double x[FEATURES], ms;
} sample;

/* A tree in heap order: the children of i are 2 i + 1 and 2 i + 2. */
typedef struct node {
    int feature; /* -1: a leaf */
    double threshold, value;
} node;

typedef struct regressor {
    size_t n; /* samples */
    double low[FEATURES], high[FEATURES];
    double law[LAW];
    size_t trees, tree_nodes;
    double rate;
    node *nodes; /* [trees][tree_nodes] */
} regressor;

typedef struct predictor {
    const nas_host *host;
    predictor_config config;
    nas_lut lut;
    regressor ops[OPS];
    double error[OPS]; /* cross-validated, relative; NaN: not known */
    nas_lut_chain chain;
    bool told; /* of a layer outside the samples */
} predictor;

static sample describe(const nas_layer *layer, double ms) {
    sample s = {.ms = ms};
    s.x[AREA] = (double)layer->in.h * layer->in.w;
    s.x[IN_C] = layer->in.c;
    s.x[OUT_C] = layer->out.c;
    s.x[KERNEL] = layer->kernel;
    s.x[STRIDE] = layer->stride;
    s.x[ACTIVATION] = layer->activation;
    nas_layer_work(layer, &s.x[MACS], &s.x[ELEMENTS]);
    return s;
}

/* ---- The law ---- */

static double law_of(const double law[LAW], const sample *s) {
    return law[0] + law[1] * s->x[MACS] + law[2] * s->x[ELEMENTS];
}

/* Solves the symmetric a x = b of the variables in mask by elimination; false: singular. */
static bool solve(double a[LAW][LAW], const double b[LAW], unsigned mask, double x[LAW]) {
    double m[LAW][LAW + 1];
    for (int i = 0; i < LAW; i++) {
        for (int j = 0; j < LAW; j++)
            m[i][j] = mask >> i & mask >> j & 1 ? a[i][j] : i == j ? 1 : 0;
        m[i][LAW] = mask >> i & 1 ? b[i] : 0;
    }
    for (int k = 0; k < LAW; k++) {
        if (!(m[k][k] > 1e-12 * a[k][k])) return false;
        for (int i = 0; i < LAW; i++) {
            double f = i == k ? 0 : m[i][k] / m[k][k];
            for (int j = k; j <= LAW && f != 0; j++) m[i][j] -= f * m[k][j];
        }
    }
    for (int k = 0; k < LAW; k++) x[k] = m[k][LAW] / m[k][k];
    return true;
}

/* The least sum of squared relative errors among the laws without a negative coefficient: the best
 * of the unconstrained ones over every choice of terms. */
static void fit_law(const sample *samples, size_t n, double law[LAW]) {
    law[0] = law[1] = law[2] = 0;
    double a[LAW][LAW] = {{0}}, b[LAW] = {0}, scale[LAW] = {1, 0, 0}, least = INFINITY;
    for (size_t s = 0; s < n; s++) {
        scale[1] = fmax(scale[1], samples[s].x[MACS]);
        scale[2] = fmax(scale[2], samples[s].x[ELEMENTS]);
    }
    for (size_t s = 0; s < n; s++) {
        double term[LAW] = {1, scale[1] > 0 ? samples[s].x[MACS] / scale[1] : 0,
                            scale[2] > 0 ? samples[s].x[ELEMENTS] / scale[2] : 0};
        for (int i = 0; i < LAW; i++) {
            b[i] += term[i] / samples[s].ms;
            for (int j = 0; j < LAW; j++) a[i][j] += term[i] * term[j] / pow(samples[s].ms, 2);
        }
    }
    for (unsigned mask = 1; mask < 1u << LAW; mask++) {
        double x[LAW], error = (double)n;
        if (!solve(a, b, mask, x) || x[0] < 0 || x[1] < 0 || x[2] < 0) continue;
        /* The sum of (1 - law / ms)^2 at a solution of the normal equations. */
        for (int i = 0; i < LAW; i++) error -= x[i] * b[i];
        if (!(error < least)) continue;
        least = error;
        for (int i = 0; i < LAW; i++) law[i] = scale[i] > 0 ? x[i] / scale[i] : 0;
    }
}

/* ---- The trees ---- */

/* Boosting in progress, over n samples. */
typedef struct fit {
    const sample *samples;
    size_t n;
    size_t *order[FEATURES]; /* [n]: the samples by ascending feature */
    double *rest;            /* [n]: what is left to learn, a logarithm */
    size_t *at;              /* [n]: the node that a sample has reached */
} fit;

/* A node on the level that is being split. */
typedef struct open_node {
    size_t n, left_n;
    double sum, left_sum, last, gain;
} open_node;

static void free_fit(fit *f) {
    for (int i = 0; i < FEATURES; i++) free(f->order[i]);
    free(f->rest);
    free(f->at);
}

typedef struct ranked {
    double x;
    size_t sample;
} ranked;

static int by_value(const void *a, const void *b) {
    const ranked *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return (p->sample > q->sample) - (p->sample < q->sample);
}

static bool sort_feature(fit *f, int feature) {
    ranked *list = malloc((f->n ? f->n : 1) * sizeof *list);
    f->order[feature] = malloc((f->n ? f->n : 1) * sizeof *f->order[feature]);
    bool good = list && f->order[feature];
    for (size_t i = 0; good && i < f->n; i++) list[i] = (ranked){f->samples[i].x[feature], i};
    if (good) qsort(list, f->n, sizeof *list, by_value);
    for (size_t i = 0; good && i < f->n; i++) f->order[feature][i] = list[i].sample;
    free(list);
    return good;
}

/* Finds the best place to split each of the nodes [count] from `first` on by one feature: one walk
 * over the samples serves all of them. */
static void try_feature(const fit *f, int feature, size_t first, open_node *open, node *nodes,
                        size_t count) {
    for (size_t m = 0; m < count; m++) open[m].left_n = 0, open[m].left_sum = 0;
    for (size_t k = 0; k < f->n; k++) {
        size_t i = f->order[feature][k];
        if (f->at[i] < first) continue; /* in a leaf above */
        open_node *o = &open[f->at[i] - first];
        double x = f->samples[i].x[feature];
        size_t right_n = o->n - o->left_n;
        if (o->left_n >= MIN_LEAF && right_n >= MIN_LEAF && x > o->last) {
            double right_sum = o->sum - o->left_sum;
            double gain = o->left_sum * o->left_sum / (double)o->left_n +
                          right_sum * right_sum / (double)right_n - o->sum * o->sum / (double)o->n;
            if (gain > o->gain * (1 + 1e-9) + 1e-12) {
                o->gain = gain;
                nodes[f->at[i]].feature = feature;
                nodes[f->at[i]].threshold = (o->last + x) / 2;
            }
        }
        o->last = x;
        o->left_n++;
        o->left_sum += f->rest[i];
    }
}

static void split_level(fit *f, size_t first, size_t count, node *nodes) {
    open_node open[1 << MOST_DEPTH] = {{0}};
    for (size_t i = 0; i < f->n; i++) {
        if (f->at[i] < first) continue;
        open[f->at[i] - first].n++;
        open[f->at[i] - first].sum += f->rest[i];
    }
    for (int feature = 0; feature < FEATURES; feature++)
        try_feature(f, feature, first, open, nodes, count);
    for (size_t i = 0; i < f->n; i++) {
        const node *now = &nodes[f->at[i]];
        if (f->at[i] < first || now->feature < 0) continue;
        f->at[i] = 2 * f->at[i] + 1 + (f->samples[i].x[now->feature] > now->threshold);
    }
}

/* Grows one tree on the rest, and takes its share of it off. */
static void grow_tree(fit *f, int depth, double rate, node *nodes) {
    size_t count[2 << MOST_DEPTH] = {0}, n_nodes = (2u << depth) - 1;
    for (size_t m = 0; m < n_nodes; m++) nodes[m] = (node){.feature = -1};
    for (size_t i = 0; i < f->n; i++) f->at[i] = 0;
    for (int level = 0; level < depth; level++)
        split_level(f, ((size_t)1 << level) - 1, (size_t)1 << level, nodes);
    for (size_t i = 0; i < f->n; i++) {
        nodes[f->at[i]].value += f->rest[i];
        count[f->at[i]]++;
    }
    for (size_t m = 0; m < n_nodes; m++)
        if (count[m]) nodes[m].value /= (double)count[m];
    for (size_t i = 0; i < f->n; i++) f->rest[i] -= rate * nodes[f->at[i]].value;
}

static double tree_value(const node *nodes, const double x[FEATURES]) {
    size_t i = 0;
    while (nodes[i].feature >= 0) i = 2 * i + 1 + (x[nodes[i].feature] > nodes[i].threshold);
    return nodes[i].value;
}

static double predict(const regressor *r, const sample *s) {
    double log_ratio = 0;
    for (size_t t = 0; t < r->trees; t++)
        log_ratio += r->rate * tree_value(r->nodes + t * r->tree_nodes, s->x);
    return law_of(r->law, s) * exp(log_ratio);
}

/* Fits to samples [n], n > 0; false: out of memory. */
static bool fit_regressor(const sample *samples, size_t n, const predictor_config *config,
                          regressor *r) {
    fit f = {.samples = samples,
             .n = n,
             .rest = malloc((n ? n : 1) * sizeof *f.rest),
             .at = calloc(n ? n : 1, sizeof *f.at)};
    *r = (regressor){.n = n,
                     .trees = (size_t)config->trees,
                     .tree_nodes = (2u << config->depth) - 1,
                     .rate = config->rate};
    r->nodes = malloc((r->trees * r->tree_nodes + 1) * sizeof *r->nodes);
    bool good = n > 0 && f.rest && f.at && r->nodes;
    for (int i = 0; good && i < FEATURES; i++) {
        good = sort_feature(&f, i);
        if (!good) break;
        r->low[i] = samples[f.order[i][0]].x[i];
        r->high[i] = samples[f.order[i][n - 1]].x[i];
    }
    if (good) {
        fit_law(samples, n, r->law);
        for (size_t i = 0; i < n; i++) f.rest[i] = log(samples[i].ms / law_of(r->law, &samples[i]));
        for (size_t t = 0; t < r->trees; t++)
            grow_tree(&f, (int)config->depth, config->rate, r->nodes + t * r->tree_nodes);
    }
    free_fit(&f);
    return good;
}

/* ---- The samples ---- */

/* The samples of one operation; the caller frees. NULL: out of memory. */
static sample *samples_of(const nas_lut *lut, uint32_t op, size_t *n) {
    sample *list = malloc((lut->n + 1) * sizeof *list);
    *n = 0;
    for (size_t i = 0; list && i < lut->n; i++)
        if (lut->list[i].layer.op == op)
            list[(*n)++] = describe(&lut->list[i].layer, lut->list[i].ms);
    return list;
}

/* The mean relative error on samples that the regressor was not fitted to: every `folds`-th of them
 * in turn. NaN: too few samples, or out of memory. */
static double cross_validate(const sample *samples, size_t n, const predictor_config *config) {
    size_t folds = (size_t)config->folds;
    sample *others = malloc((n + 1) * sizeof *others);
    double error = folds < 2 || n < 2 * folds ? (double)NAN : 0;
    for (size_t fold = 0; others && !isnan(error) && fold < folds; fold++) {
        regressor r;
        size_t m = 0;
        for (size_t i = 0; i < n; i++)
            if (i % folds != fold) others[m++] = samples[i];
        bool good = fit_regressor(others, m, config, &r);
        for (size_t i = fold; good && i < n; i += folds)
            error += fabs(predict(&r, &samples[i]) / samples[i].ms - 1) / (double)n;
        if (!good) error = NAN;
        free(r.nodes);
    }
    free(others);
    return others ? error : (double)NAN;
}

static void tell_fit(const predictor *p, uint32_t op, size_t n, double error) {
    char line[160];
    if (!p->host) return;
    if (isnan(error))
        snprintf(line, sizeof line, "%s: %zu samples", nas_op_name(op), n);
    else
        snprintf(line, sizeof line, "%s: %zu samples, cross-validated error %.2g %%",
                 nas_op_name(op), n, 100 * error);
    p->host->log(p->host, NAS_INFO, line);
}

static int fit_all(predictor *p, nas_error *err) {
    for (uint32_t op = NAS_OP_CONV; op < OPS; op++) {
        size_t n;
        sample *samples = samples_of(&p->lut, op, &n);
        bool good = samples && (!n || fit_regressor(samples, n, &p->config, &p->ops[op]));
        p->error[op] = good && n ? cross_validate(samples, n, &p->config) : (double)NAN;
        if (good && n) tell_fit(p, op, n, p->error[op]);
        free(samples);
        if (!good) return nas_fail(err, NAS_ERR_MEMORY, "predictor: out of memory");
    }
    return NAS_OK;
}

/* ---- Costs ---- */

/* NaN: no samples of its operation. */
static double layer_ms(const predictor *p, const nas_layer *layer) {
    const regressor *r = layer->op < OPS ? &p->ops[layer->op] : NULL;
    sample s = describe(layer, 0);
    return r && r->n ? predict(r, &s) : (double)NAN;
}

static double key_ms(void *context, const char *key) {
    nas_layer layer;
    return nas_layer_from_key(key, &layer) ? layer_ms(context, &layer) : (double)NAN;
}

/* How far a layer lies outside the samples of its operation: the largest ratio of a feature to the
 * nearest end of its range, 1 inside. *feature is the one. */
static double distance(const regressor *r, const nas_layer *layer, int *feature) {
    sample s = describe(layer, 0);
    double most = 1;
    for (int i = 0; i < FEATURES; i++) {
        /* One more, as the activation may be 0, and then any other is outside. */
        double x = s.x[i] + 1, low = r->low[i] + 1, high = r->high[i] + 1;
        double ratio = x < low ? low / x : x / high;
        if (!(ratio > most)) continue;
        most = ratio;
        *feature = i;
    }
    return most;
}

static void tell_outside(predictor *p, const nas_layer *layer, double ratio, int feature) {
    char line[240];
    if (!p->host) return;
    snprintf(line, sizeof line,
             "layer %.39s lies outside the samples of its operation: %s by a factor of %.3g",
             layer->name, feature_names[feature], ratio);
    p->host->log(p->host, p->told ? NAS_DEBUG : NAS_WARNING, line);
    p->told = true;
}

static int cost(void *self, const nas_network *network, nas_cost *result, nas_error *err) {
    predictor *p = self;
    uint32_t inside = 0;
    double sum = 0, error = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        double ms = layer_ms(p, layer);
        if (isnan(ms))
            return nas_fail(
                err, NAS_ERR_INPUT,
                "%s: layer %.39s: expected samples of operation \"%s\", found none; add "
                "some with `nashost lut build`",
                p->lut.file, layer->name, nas_op_name(layer->op));
        int feature = 0;
        double ratio = distance(&p->ops[layer->op], layer, &feature);
        if (ratio > 1) tell_outside(p, layer, ratio, feature);
        if (!(ratio > 1)) inside++;
        sum += ms;
        error += ms * p->error[layer->op];
    }
    result->latency_ms = nas_lut_chain_ms(&p->chain, network, sum);
    result->energy_mj = NAN;
    result->peak_bytes = network->peak_elements * p->lut.element_bytes;
    result->flash_bytes = nas_network_stored_bytes(network, p->lut.element_bytes);
    result->known_share = network->n_layers ? (double)inside / network->n_layers : 0;
    /* As if all layers erred alike: the errors of some make up for those of others. */
    if (NAS_HAS(result, expected_error))
        result->expected_error = sum > 0 ? error / sum : (double)NAN;
    return NAS_OK;
}

/* ---- Life ---- */

static bool known_network(void *self, uint32_t i, double *predicted_ms, double *measured_ms) {
    predictor *p = self;
    return nas_lut_known(&p->lut, &p->chain, i, key_ms, p, predicted_ms, measured_ms);
}

static const void *extension(void *self, const char *id) {
    static const nas_validation_api validation = {sizeof validation, known_network};
    (void)self;
    return strcmp(id, NAS_EXT_VALIDATION) == 0 ? &validation : NULL;
}

static void destroy(void *self) {
    predictor *p = self;
    if (!p) return;
    for (int op = 0; op < OPS; op++) free(p->ops[op].nodes);
    nas_lut_free(&p->lut);
    free(p);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    predictor *p = calloc(1, sizeof *p);
    if (!p) return nas_fail(err, NAS_ERR_MEMORY, "predictor: out of memory");
    p->host = host;
    p->config = *(const predictor_config *)config;
    int rc = nas_lut_load(p->config.samples, &p->lut, err);
    if (!rc) rc = fit_all(p, err);
    if (!rc) rc = nas_lut_fit_chain(&p->lut, key_ms, p, &p->chain, err);
    if (rc)
        destroy(p);
    else
        *self = p;
    return rc;
}

static const nas_hardware_api api = {sizeof api, cost};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "predictor",
    .version = "0.1.0",
    .summary = "latency from regressors that are fitted to samples of measured layers",
    .license = "Apache-2.0",
    .source = "https://doi.org/10.1145/3458864.3467882",
    .options = options,
    .config_size = sizeof(predictor_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
