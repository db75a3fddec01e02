/* MixMatch (Berthelot et al., arXiv 1905.02249): the sharpened mean of the softmax of two weak
 * views is the target of both; then all rows, labelled and not, are mixed with random others. */
#include <math.h>
#include <nashost/kit/logits.h>
#include <stdlib.h>
#include <string.h>

typedef struct mixmatch_config {
    double temperature, alpha, weight, ramp;
} mixmatch_config;

typedef struct mixmatch {
    mixmatch_config config;
    const nas_host *host;
} mixmatch;

enum { VIEWS = 2 };

static const nas_option options[] = {
    NAS_FLOAT("temperature", mixmatch_config, temperature, "0.5", 0.01, 1, NULL,
              "temperature that sharpens the mean of the guesses: the lower, the surer the target; "
              "1 leaves "
              "it as it is (T)"),
    NAS_FLOAT("alpha", mixmatch_config, alpha, "0.75", 0.05, 1, NULL,
              "parameter of the Beta distribution from which the share of each of two mixed images "
              "is drawn "
              "(alpha)"),
    NAS_FLOAT("weight", mixmatch_config, weight, "100", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    NAS_FLOAT(
        "ramp", mixmatch_config, ramp, "0.015625", 0, 1, NULL,
        "share of the training over which the unlabelled images' term grows linearly from 0 to its "
        "weight"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    out->n_views = VIEWS;
    for (int v = 0; v < VIEWS; v++)
        out->views[v] = (nas_ssl_view){.augment = NAS_AUGMENT_WEAK, .student = 1, .teacher = 1};
    out->mu = 1;
    out->teacher = "self";
    return NAS_OK;
}

/* out [classes]: unlabelled row i's mean probabilities p over the views, sharpened to
 * p^(1/T) / sum p^(1/T). */
static void guess(const mixmatch *me, const nas_ssl_batch *batch, size_t i, float *out) {
    size_t n = batch->classes;
    double lse[VIEWS], most = 0, sum = 0;
    for (size_t v = 0; v < VIEWS; v++) lse[v] = nas_log_sum_exp(batch->teacher[v] + i * n, n);
    for (size_t c = 0; c < n; c++) {
        double p = 0;
        for (size_t v = 0; v < VIEWS; v++)
            p += exp((double)batch->teacher[v][i * n + c] - lse[v]) / VIEWS;
        out[c] = (float)p;
        most = p > most ? p : most;
    }
    /* Over the largest, so that no power underflows to a sum of 0. */
    double power = 1 / me->config.temperature;
    for (size_t c = 0; c < n; c++) sum += pow((double)out[c] / most, power);
    for (size_t c = 0; c < n; c++) out[c] = (float)(pow((double)out[c] / most, power) / sum);
}

/* In (0, 1), never its ends. */
static double uniform(const mixmatch *me, const nas_ssl_batch *batch, uint64_t draw) {
    uint64_t counter = (uint64_t)batch->subnet << 40 | draw;
    uint64_t bits = me->host->random(me->host, batch->step, counter);
    return ((double)(bits >> 12) + 0.5) * 0x1p-52;
}

/* Beta(alpha, alpha) for alpha <= 1 (Joehnk, 1964): one try in two or more is accepted, so TRIES
 * misses in a row are less likely than 2^-TRIES. */
enum { TRIES = 64 };
static double beta(const mixmatch *me, const nas_ssl_batch *batch, uint64_t draw) {
    double power = 1 / me->config.alpha;
    for (uint64_t i = 0; i < TRIES; i++) {
        double x = pow(uniform(me, batch, draw + 2 * i), power);
        double y = pow(uniform(me, batch, draw + 2 * i + 1), power);
        if (x + y <= 1) return x / (x + y);
    }
    return 0.5;
}

/* The targets of all rows before mixing, [rows][classes]. */
static int unmixed_targets(const mixmatch *me, const nas_ssl_batch *batch, float *targets,
                           nas_error *err) {
    size_t n = batch->classes, labelled = batch->labelled, unlabelled = batch->unlabelled;
    double smooth = batch->label_smoothing;
    for (size_t i = 0; i < labelled; i++) {
        int rc = nas_check_label(batch, i, err);
        if (rc) return rc;
        for (size_t c = 0; c < n; c++) targets[i * n + c] = (float)(smooth / (double)n);
        targets[i * n + (size_t)batch->labels[i]] += (float)(1 - smooth);
    }
    for (size_t i = 0; i < unlabelled; i++) {
        float *first = targets + (labelled + i) * n;
        guess(me, batch, i, first);
        for (size_t v = 1; v < VIEWS; v++)
            memcpy(first + v * unlabelled * n, first, n * sizeof *first);
    }
    return NAS_OK;
}

/* Each row's partner is a random permutation's; lambda >= 1/2 keeps a mixed row nearer to itself,
 * so a labelled row stays mainly labelled. */
static int mix(void *self, const nas_ssl_batch *batch, nas_mix *out, nas_error *err) {
    const mixmatch *me = self;
    size_t n = batch->classes, rows = batch->labelled + (size_t)VIEWS * batch->unlabelled;
    if (out->rows != rows)
        return nas_fail(err, NAS_ERR_PLUGIN, "mixmatch: expected %zu rows to mix, found %u", rows,
                        (unsigned)out->rows);
    float *targets = malloc((rows ? rows : 1) * n * sizeof *targets);
    if (!targets) return nas_fail(err, NAS_ERR_MEMORY, "mixmatch: out of memory");
    int rc = unmixed_targets(me, batch, targets, err);
    for (size_t r = 0; r < rows; r++) out->partner[r] = (uint32_t)r;
    for (size_t r = rows; r > 1; r--) {
        size_t other = (size_t)(uniform(me, batch, r - 1) * (double)r);
        uint32_t swap = out->partner[r - 1];
        out->partner[r - 1] = out->partner[other];
        out->partner[other] = swap;
    }
    for (size_t r = 0; !rc && r < rows; r++) {
        double l = beta(me, batch, rows + r * 2 * TRIES);
        l = l > 0.5 ? l : 1 - l;
        out->lambda[r] = (float)l;
        const float *own = targets + r * n, *other = targets + out->partner[r] * n;
        for (size_t c = 0; c < n; c++)
            out->targets[r * n + c] = (float)(l * (double)own[c] + (1 - l) * (double)other[c]);
    }
    free(targets);
    return rc;
}

/* Cross-entropy of the labelled rows with their mixed targets. */
static void labelled_term(const nas_ssl_batch *batch, nas_ssl_result *result) {
    size_t n = batch->classes, rows = batch->labelled;
    double sum = 0;
    for (size_t i = 0; i < rows; i++)
        sum += nas_soft_cross_entropy(batch->labelled_logits + i * n, n, batch->targets + i * n,
                                      1 / (double)rows, result->labelled_grad + i * n);
    result->labelled_loss = rows ? sum / (double)rows : 0;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const mixmatch *me = self;
    if (!batch->targets)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "mixmatch: this host did not mix the images (extension " NAS_EXT_MIX ")");
    labelled_term(batch, result);
    size_t n = batch->classes, rows = batch->unlabelled;
    float *scratch = malloc(n * sizeof *scratch);
    if (!scratch) return nas_fail(err, NAS_ERR_MEMORY, "mixmatch: out of memory");
    for (size_t i = 0; i < rows; i++) {
        guess(me, batch, i, scratch);
        result->pseudo_labels[i] = (int32_t)nas_argmax(scratch, n);
        result->weights[i] = 1;
    }
    free(scratch);
    double weight = me->config.weight * nas_ramp(batch, me->config.ramp);
    double each = rows ? 1 / (double)(VIEWS * rows) : 0, sum = 0;
    const float *target = batch->targets + batch->labelled * n;
    for (size_t v = 0; v < VIEWS; v++)
        for (size_t i = 0; i < rows; i++, target += n)
            sum += each * nas_softmax_mse(batch->student[v] + i * n, n, target, weight * each,
                                          result->student_grad[v] + i * n);
    return nas_total_loss(result, weight, sum, err);
}

static const nas_mix_api mix_api = {sizeof mix_api, mix};

static const void *extension(void *self, const char *id) {
    (void)self;
    return strcmp(id, NAS_EXT_MIX) == 0 ? &mix_api : NULL;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    mixmatch *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "mixmatch: out of memory");
    *me = (mixmatch){*(const mixmatch_config *)config, host};
    *self = me;
    return NAS_OK;
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "mixmatch",
    .version = "0.1.0",
    .summary = "sharpened mean guesses of two weak views, mixed with labelled images",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1905.02249",
    .options = options,
    .config_size = sizeof(mixmatch_config),
    .create = create,
    .destroy = free,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
