/* SoftMatch (Chen et al., arXiv 2301.10921): every pseudo-label counts, by a Gaussian of how far
 * the teacher's confidence lies below its running mean; the confidence is that of probabilities
 * aligned to uniform classes, the label is not. */
#include <nashost/logits.h>
#include <nashost/state.h>
#include <stdlib.h>

typedef struct softmatch_config {
    double momentum, sigmas, weight;
} softmatch_config;

typedef struct softmatch {
    softmatch_config config;
    size_t classes; /* 0 before the first step */
    double *stats;  /* seen, mu, variance, p [classes]: 1 after the first batch; running mean and
                       variance of the largest aligned probability; running mean of the teacher's
                       probabilities */
} softmatch;

enum { SEEN, MU, VARIANCE, P }; /* in stats */

static const nas_option options[] = {
    {"momentum", NAS_TYPE_FLOAT, "0.999", offsetof(softmatch_config, momentum), 0, 1, NULL,
     "of the running statistics, per step (m)", NULL},
    {"sigmas", NAS_TYPE_FLOAT, "2", offsetof(softmatch_config, sigmas), 0.01, 100, NULL,
     "the Gaussian is this much narrower than the running deviation (n)", NULL},
    {"weight", NAS_TYPE_FLOAT, "1", offsetof(softmatch_config, weight), 0, 1e6, NULL,
     "weight of the unlabelled term (lambda_u)", NULL},
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static size_t count(size_t classes) {
    return classes ? P + classes : 0;
}

static int reserve(softmatch *me, size_t classes, nas_error *err) {
    if (me->classes == classes) return NAS_OK;
    if (me->classes)
        return nas_fail(err, NAS_ERR_INPUT,
                        "softmatch: its state is of %zu classes, the run has %zu: start the run "
                        "again",
                        me->classes, classes);
    me->stats = malloc(count(classes) * sizeof *me->stats);
    if (!me->stats) return nas_fail(err, NAS_ERR_MEMORY, "softmatch: out of memory");
    me->stats[SEEN] = 0;
    me->stats[MU] = 1 / (double)classes;
    me->stats[VARIANCE] = 1;
    for (size_t c = 0; c < classes; c++) me->stats[P + c] = 1 / (double)classes;
    me->classes = classes;
    return NAS_OK;
}

/* p: the first batch's mean probabilities, then the running mean of the batches'. */
static void update_classes(softmatch *me, const nas_ssl_batch *batch) {
    double keep = me->stats[SEEN] > 0 ? me->config.momentum : 0;
    nas_running_mean(batch->teacher[NAS_VIEW_WEAK], batch->unlabelled, batch->classes, keep,
                     me->stats + P);
    me->stats[SEEN] = 1;
}

static double aligned_confidence(const softmatch *me, const float *logits) {
    return nas_aligned_confidence(logits, me->classes, me->stats + P, NULL);
}

/* Mean and unbiased variance of the batch's confidence (0 of one row), into the running ones. */
static void update_confidence(softmatch *me, const nas_ssl_batch *batch) {
    size_t n = batch->classes, rows = batch->unlabelled;
    const float *logits = batch->teacher[NAS_VIEW_WEAK];
    double mean = 0, variance = 0, m = me->config.momentum;
    for (size_t i = 0; i < rows; i++) mean += aligned_confidence(me, logits + i * n) / (double)rows;
    for (size_t i = 0; rows > 1 && i < rows; i++) {
        double d = aligned_confidence(me, logits + i * n) - mean;
        variance += d * d / (double)(rows - 1);
    }
    me->stats[MU] = m * me->stats[MU] + (1 - m) * mean;
    me->stats[VARIANCE] = m * me->stats[VARIANCE] + (1 - m) * variance;
}

/* exp(-d^2 / (2 sigma^2 / n^2)) of the distance d below mu; 1 above. */
static double weight_of(const softmatch *me, double confidence) {
    double below = me->stats[MU] - confidence, n = me->config.sigmas;
    if (below <= 0) return 1;
    return exp(-below * below * n * n / (2 * me->stats[VARIANCE]));
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    softmatch *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (!rc) rc = reserve(me, batch->classes, err);
    if (rc) return rc;
    if (batch->unlabelled && batch->subnet == 0) {
        update_classes(me, batch);
        update_confidence(me, batch);
    }
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        const float *logits = batch->teacher[NAS_VIEW_WEAK] + i * n;
        result->pseudo_labels[i] = (int32_t)nas_argmax(logits, n);
        result->weights[i] = (float)weight_of(me, aligned_confidence(me, logits));
    }
    result->n_metrics = 2;
    result->metrics[0].name = "confidence_mean";
    result->metrics[0].value = me->stats[MU];
    result->metrics[1].name = "confidence_deviation";
    result->metrics[1].value = sqrt(me->stats[VARIANCE]);
    double weight = me->config.weight;
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, weight);
    return nas_total_loss(result, weight, term, err);
}

/* State: header with the number of classes, then the statistics, seen, mu, variance, p [classes].
 */
enum { STATE_VERSION = 1 };

static size_t state_bytes(void *self) {
    const softmatch *me = self;
    return sizeof(nas_state_header) + count(me->classes) * sizeof(double);
}

static int state_save(void *self, void *buffer, nas_error *err) {
    (void)err;
    const softmatch *me = self;
    void *at = nas_state_put_header(buffer, "softmatch", STATE_VERSION, me->classes, 0);
    if (me->classes) memcpy(at, me->stats, count(me->classes) * sizeof(double));
    return NAS_OK;
}

static int state_load(void *self, const void *buffer, size_t bytes, nas_error *err) {
    softmatch *me = self;
    nas_state_header header = {0};
    int rc = nas_state_get_header(buffer, bytes, "softmatch", STATE_VERSION, &header, err);
    if (rc) return rc;
    size_t classes = (size_t)header.lengths[0];
    size_t expected = sizeof header + count(classes) * sizeof(double);
    rc = nas_state_check_bytes(expected, bytes, "softmatch", err);
    if (rc) return rc;
    free(me->stats);
    me->stats = NULL, me->classes = 0;
    if (!classes) return NAS_OK;
    rc = reserve(me, classes, err);
    if (rc) return rc;
    memcpy(me->stats, (const char *)buffer + sizeof header, count(classes) * sizeof(double));
    return NAS_OK;
}

static const nas_state_api state_api = {sizeof state_api, state_bytes, state_save, state_load};

static const void *extension(void *self, const char *id) {
    (void)self;
    return strcmp(id, NAS_EXT_STATE) == 0 ? &state_api : NULL;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    softmatch *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "softmatch: out of memory");
    me->config = *(const softmatch_config *)config;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    softmatch *me = self;
    if (!me) return;
    free(me->stats);
    free(me);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_SSL,
    .id = "softmatch",
    .version = "0.1.0",
    .summary = "pseudo-labels weighted by a Gaussian of confidence, aligned to uniform classes",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2301.10921",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(softmatch_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
