/* FreeMatch (Wang et al., arXiv 2205.07246): FixMatch whose threshold follows the teacher's mean
 * confidence, lower for classes that it predicts less, plus a term that asks for diverse classes.
 */
#include <math.h>
#include <nashost/kit/logits.h>
#include <nashost/kit/state.h>
#include <stdlib.h>

typedef struct freematch_config {
    double momentum, weight, fairness;
} freematch_config;

/* Running means, which start at 1 / classes. */
typedef struct freematch {
    double tau; /* the teacher's largest probability */
    double p[]; /* [classes] its probability of each class; then h [classes]: how often each class
                   is its largest */
} freematch;

static const nas_state_layout layout = {.id = "freematch",
                                        .version = 1,
                                        .bytes = sizeof(freematch),
                                        .each = {2 * sizeof(double)},
                                        .counted = {"classes"}};

static const nas_option options[] = {
    NAS_FLOAT(
        "momentum", freematch_config, momentum, "0.999", 0, 1, NULL,
        "share of the running means of confidence and of class probabilities that is kept in each "
        "step (lambda)"),
    NAS_FLOAT("weight", freematch_config, weight, "1", 0, 1e6, NULL,
              "weight of the pseudo-labels' term in the loss (w_u)"),
    NAS_FLOAT("fairness", freematch_config, fairness, "0.001", 0, 1e6, NULL,
              "weight of the fairness term in the loss, which asks for diverse classes (w_f)"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static int reserve(nas_state *state, size_t classes, nas_error *err) {
    bool fresh = !state->block;
    int rc = nas_state_reserve(state, classes, 0, err);
    if (rc || !fresh) return rc;
    freematch *me = state->block;
    me->tau = 1 / (double)classes;
    for (size_t i = 0; i < 2 * classes; i++) me->p[i] = 1 / (double)classes;
    return NAS_OK;
}

/* Adds (1 - momentum) of this batch's means to the running ones. */
static void update_means(freematch *me, const nas_ssl_batch *batch, double momentum) {
    size_t n = batch->classes, rows = batch->unlabelled;
    if (!rows) return;
    double *h = me->p + n, share = (1 - momentum) / (double)rows;
    me->tau *= momentum;
    for (size_t i = 0; i < 2 * n; i++) me->p[i] *= momentum;
    for (size_t i = 0; i < rows; i++) {
        const float *logits = batch->teacher[NAS_VIEW_WEAK] + i * n;
        size_t best = nas_argmax(logits, n);
        double lse = nas_log_sum_exp(logits, n);
        for (size_t c = 0; c < n; c++) me->p[c] += share * exp((double)logits[c] - lse);
        me->tau += share * exp((double)logits[best] - lse);
        h[best] += share;
    }
}

/* tau_c = tau p_c / max p. */
static void set_weights(const freematch *me, const nas_ssl_batch *batch, nas_ssl_result *result) {
    size_t n = batch->classes;
    double most = 0;
    for (size_t c = 0; c < n; c++) most = me->p[c] > most ? me->p[c] : most;
    for (size_t i = 0; i < batch->unlabelled; i++) {
        int32_t label;
        double sure = nas_confidence(batch->teacher[NAS_VIEW_WEAK] + i * n, n, &label);
        result->pseudo_labels[i] = label;
        result->weights[i] = sure >= me->tau * me->p[label] / most ? 1 : 0;
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
    const double *p = me->p, *h = p + n;
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
    nas_state *state = self;
    const freematch_config *config = state->config;
    int rc = nas_labelled_term(batch, result, err);
    if (!rc) rc = reserve(state, batch->classes, err);
    if (rc) return rc;
    freematch *me = state->block;
    if (batch->subnet == 0) update_means(me, batch, config->momentum);
    set_weights(me, batch, result);
    double *work = calloc(batch->classes + 1u, 3 * sizeof *work);
    if (!work) return nas_fail(err, NAS_ERR_MEMORY, "freematch: out of memory");
    double fair = fairness(me, batch, result, config->fairness, work);
    free(work);
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, config->weight);
    result->n_metrics = 2;
    result->metrics[0].name = "threshold";
    result->metrics[0].value = me->tau;
    result->metrics[1].name = "fairness";
    result->metrics[1].value = fair;
    return nas_total_loss(result, 1, config->weight * term + config->fairness * fair, err);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    return nas_state_create(&layout, config, self, err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "freematch",
    .version = "0.1.0",
    .summary = "FixMatch with thresholds that follow confidence, and a fairness term",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2205.07246",
    .options = options,
    .config_size = sizeof(freematch_config),
    .create = create,
    .destroy = nas_state_destroy,
    .vtable = &api,
    .extension = nas_state_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
