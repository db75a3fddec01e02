/* FreeMatch (Wang et al., arXiv 2205.07246): FixMatch whose threshold follows the teacher's mean
 * confidence, lower for classes that it predicts less, plus a term that asks for diverse classes.
 */
#include <nashost/logits.h>
#include <nashost/state.h>
#include <stdlib.h>

typedef struct freematch_config {
    double momentum, weight, fairness;
} freematch_config;

/* The running means start at 1 / classes. */
typedef struct freematch {
    freematch_config config;
    size_t classes; /* 0 before the first step */
    double *stats;  /* tau, p [classes], h [classes]: the teacher's largest probability, its
                       probability of each class, how often each class is its largest */
} freematch;

static const nas_option options[] = {
    {"momentum", NAS_TYPE_FLOAT, "0.999", offsetof(freematch_config, momentum), 0, 1, NULL,
     "of the running means, per step (lambda)", NULL},
    {"weight", NAS_TYPE_FLOAT, "1", offsetof(freematch_config, weight), 0, 1e6, NULL,
     "weight of the pseudo-label term (w_u)", NULL},
    {"fairness", NAS_TYPE_FLOAT, "0.001", offsetof(freematch_config, fairness), 0, 1e6, NULL,
     "weight of the fairness term (w_f)", NULL},
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static size_t count(size_t classes) {
    return classes ? 1 + 2 * classes : 0;
}

static int reserve(freematch *me, size_t classes, nas_error *err) {
    if (me->classes == classes) return NAS_OK;
    if (me->classes)
        return nas_fail(err, NAS_ERR_INPUT,
                        "freematch: its state is of %zu classes, the run has %zu: start the run "
                        "again",
                        me->classes, classes);
    me->stats = malloc(count(classes) * sizeof *me->stats);
    if (!me->stats) return nas_fail(err, NAS_ERR_MEMORY, "freematch: out of memory");
    for (size_t i = 0; i < count(classes); i++) me->stats[i] = 1 / (double)classes;
    me->classes = classes;
    return NAS_OK;
}

/* Adds (1 - momentum) of this batch's means to the running ones. */
static void update_stats(freematch *me, const nas_ssl_batch *batch) {
    size_t n = batch->classes, rows = batch->unlabelled;
    double *tau = me->stats, *p = tau + 1, *h = p + n;
    double share = rows ? (1 - me->config.momentum) / (double)rows : 0;
    for (size_t i = 0; rows && i < count(n); i++) me->stats[i] *= me->config.momentum;
    for (size_t i = 0; i < rows; i++) {
        const float *logits = batch->teacher[NAS_VIEW_WEAK] + i * n;
        size_t best = nas_argmax(logits, n);
        double lse = nas_log_sum_exp(logits, n);
        for (size_t c = 0; c < n; c++) p[c] += share * exp((double)logits[c] - lse);
        *tau += share * exp((double)logits[best] - lse);
        h[best] += share;
    }
}

/* tau_c = tau p_c / max p. */
static void set_weights(const freematch *me, const nas_ssl_batch *batch, nas_ssl_result *result) {
    const double *p = me->stats + 1;
    double most = 0;
    for (size_t c = 0; c < me->classes; c++) most = p[c] > most ? p[c] : most;
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        int32_t label;
        double sure = nas_confidence(batch->teacher[NAS_VIEW_WEAK] + i * n, n, &label);
        result->pseudo_labels[i] = label;
        result->weights[i] = sure >= me->stats[0] * p[label] / most ? 1 : 0;
    }
}

/* Over the unmasked rows, the student's mean probability m and the histogram k of its classes:
 * returns their number, with inverse[c] = 1 / k_c (0 where no row is of class c) and
 * q = m / k scaled to sum 1, and *sum, the sum before scaling. */
static size_t student_means(const nas_ssl_batch *batch, const float *weights, double *inverse,
                            double *q, double *sum) {
    size_t n = batch->classes, used = 0;
    for (size_t i = 0; i < batch->unlabelled; i++) {
        if (weights[i] == 0) continue;
        const float *logits = batch->student[NAS_VIEW_STRONG] + i * n;
        double lse = nas_log_sum_exp(logits, n);
        for (size_t c = 0; c < n; c++) q[c] += exp((double)logits[c] - lse);
        inverse[nas_argmax(logits, n)]++;
        used++;
    }
    *sum = 0;
    for (size_t c = 0; c < n; c++) {
        inverse[c] = inverse[c] > 0 ? (double)used / inverse[c] : 0;
        q[c] *= inverse[c] / (double)(used ? used : 1);
        *sum += q[c];
    }
    for (size_t c = 0; c < n && used; c++) q[c] /= *sum;
    return used;
}

/* The self-adaptive fairness term L_f = sum t log q with t = p / h scaled to sum 1 and q as above:
 * the negative of a cross-entropy, as in the paper, so minimising it spreads the classes; classes
 * that no unmasked row has are left out. Adds scale * d L_f / d logits. work: [3][classes] zeros.
 * The histograms are constants, so d L_f / d m_c = (t_c / q_c - sum of t over the present) / k_c /
 * sum(m / k). */
static double fairness(const freematch *me, const nas_ssl_batch *batch, nas_ssl_result *result,
                       double scale, double *work) {
    size_t n = batch->classes;
    double *inverse = work, *q = work + n, *slope = work + 2 * n, sum;
    size_t used = student_means(batch, result->weights, inverse, q, &sum);
    if (!used) return 0;
    const double *p = me->stats + 1, *h = p + n;
    double loss_sum = 0, mass = 0, present = 0;
    for (size_t c = 0; c < n; c++) mass += h[c] > 0 ? p[c] / h[c] : 0;
    for (size_t c = 0; c < n; c++) {
        if (inverse[c] == 0) continue;
        double t = h[c] > 0 ? p[c] / h[c] / mass : 0;
        loss_sum += t * log(q[c]);
        slope[c] = t / q[c];
        present += t;
    }
    for (size_t c = 0; c < n; c++)
        slope[c] = (slope[c] - present) * inverse[c] / (sum * (double)used);
    for (size_t i = 0; i < batch->unlabelled; i++) {
        if (result->weights[i] == 0) continue;
        const float *logits = batch->student[NAS_VIEW_STRONG] + i * n;
        float *grad = result->student_grad[NAS_VIEW_STRONG] + i * n;
        double lse = nas_log_sum_exp(logits, n), mean = 0;
        for (size_t c = 0; c < n; c++) mean += exp((double)logits[c] - lse) * slope[c];
        for (size_t c = 0; c < n; c++)
            grad[c] += (float)(scale * exp((double)logits[c] - lse) * (slope[c] - mean));
    }
    return loss_sum;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    freematch *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (!rc) rc = reserve(me, batch->classes, err);
    if (rc) return rc;
    if (batch->subnet == 0) update_stats(me, batch);
    set_weights(me, batch, result);
    double *work = calloc(me->classes ? me->classes : 1, 3 * sizeof *work);
    if (!work) return nas_fail(err, NAS_ERR_MEMORY, "freematch: out of memory");
    double fair = fairness(me, batch, result, me->config.fairness, work);
    free(work);
    double weight = me->config.weight;
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, weight);
    result->n_metrics = 2;
    result->metrics[0].name = "threshold";
    result->metrics[0].value = me->stats[0];
    result->metrics[1].name = "fairness";
    result->metrics[1].value = fair;
    return nas_total_loss(result, 1, weight * term + me->config.fairness * fair, err);
}

/* State: header with the number of classes, then the statistics, tau, p [classes], h [classes]. */
enum { STATE_VERSION = 1 };

static size_t state_bytes(void *self) {
    const freematch *me = self;
    return sizeof(nas_state_header) + count(me->classes) * sizeof(double);
}

static int state_save(void *self, void *buffer, nas_error *err) {
    (void)err;
    const freematch *me = self;
    void *at = nas_state_put_header(buffer, "freematch", STATE_VERSION, me->classes, 0);
    if (me->classes) memcpy(at, me->stats, count(me->classes) * sizeof(double));
    return NAS_OK;
}

static int state_load(void *self, const void *buffer, size_t bytes, nas_error *err) {
    freematch *me = self;
    nas_state_header header = {0};
    int rc = nas_state_get_header(buffer, bytes, "freematch", STATE_VERSION, &header, err);
    if (rc) return rc;
    size_t classes = (size_t)header.lengths[0];
    size_t expected = sizeof header + count(classes) * sizeof(double);
    rc = nas_state_check_bytes(expected, bytes, "freematch", err);
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
    freematch *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "freematch: out of memory");
    me->config = *(const freematch_config *)config;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    freematch *me = self;
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
    .id = "freematch",
    .version = "0.1.0",
    .summary = "FixMatch with thresholds that follow confidence, and a fairness term",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2205.07246",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(freematch_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
