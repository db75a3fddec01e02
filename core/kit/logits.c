#include <nashost/kit/logits.h>

#include <math.h>

size_t nas_argmax(const float *v, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (v[i] > v[best]) best = i;
    return best;
}

double nas_log_sum_exp(const float *logits, size_t n) {
    size_t best = nas_argmax(logits, n);
    double max = (double)logits[best], sum = 1;
    for (size_t i = 0; i < n; i++)
        if (i != best) sum += exp((double)logits[i] - max);
    return max + log(sum);
}

void nas_log_softmax(const float *logits, size_t n, float *out) {
    double lse = nas_log_sum_exp(logits, n);
    for (size_t i = 0; i < n; i++) out[i] = (float)((double)logits[i] - lse);
}

void nas_softmax(const float *logits, size_t n, double temperature, float *out) {
    double max = (double)logits[nas_argmax(logits, n)], sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp(((double)logits[i] - max) / temperature);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(exp(((double)logits[i] - max) / temperature) / sum);
}

double nas_confidence(const float *logits, size_t n, int32_t *label) {
    size_t best = nas_argmax(logits, n);
    if (label) *label = (int32_t)best;
    return exp((double)logits[best] - nas_log_sum_exp(logits, n));
}

void nas_running_mean(const float *logits, size_t rows, size_t n, double keep, double *p) {
    double share = rows ? (1 - keep) / (double)rows : 0;
    for (size_t c = 0; rows && c < n; c++) p[c] *= keep;
    for (size_t i = 0; i < rows; i++, logits += n) {
        double lse = nas_log_sum_exp(logits, n);
        for (size_t c = 0; c < n; c++) p[c] += share * exp((double)logits[c] - lse);
    }
}

double nas_aligned_confidence(const float *logits, size_t n, const double *p, int32_t *label) {
    double lse = nas_log_sum_exp(logits, n), sum = 0, most = 0;
    size_t best = 0;
    for (size_t c = 0; c < n; c++) {
        double a = exp((double)logits[c] - lse) * (1 / (double)n + 1e-6) / (p[c] + 1e-6);
        sum += a;
        if (a > most) most = a, best = c;
    }
    if (label) *label = (int32_t)best;
    return most / sum;
}

double nas_soft_cross_entropy(const float *logits, size_t n, const float *target, double scale,
                              float *grad) {
    double lse = nas_log_sum_exp(logits, n), loss = 0, mass = 0;
    for (size_t i = 0; i < n; i++) {
        double t = (double)target[i];
        mass += t;
        loss -= t * ((double)logits[i] - lse);
    }
    for (size_t i = 0; grad && i < n; i++) {
        double p = exp((double)logits[i] - lse);
        grad[i] += (float)(scale * (p * mass - (double)target[i]));
    }
    return loss;
}

double nas_cross_entropy(const float *logits, size_t n, int32_t label, double smoothing,
                         double scale, float *grad) {
    double lse = nas_log_sum_exp(logits, n), loss = 0, spread = smoothing / (double)n;
    for (size_t i = 0; i < n; i++) {
        double t = spread + (i == (size_t)label ? 1 - smoothing : 0);
        double log_p = (double)logits[i] - lse;
        loss -= t * log_p;
        if (grad) grad[i] += (float)(scale * (exp(log_p) - t));
    }
    return loss;
}

double nas_adjusted_cross_entropy(const float *logits, size_t n, int32_t label, double smoothing,
                                  double tau, const double *priors, double scale, float *grad) {
    double most = -INFINITY, sum = 0, loss = 0, spread = smoothing / (double)n;
    for (size_t i = 0; i < n; i++) most = fmax(most, (double)logits[i] + tau * log(priors[i]));
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] + tau * log(priors[i]) - most);
    for (size_t i = 0; i < n; i++) {
        double t = spread + (i == (size_t)label ? 1 - smoothing : 0);
        double log_p = (double)logits[i] + tau * log(priors[i]) - most - log(sum);
        loss -= t * log_p;
        if (grad) grad[i] += (float)(scale * (exp(log_p) - t));
    }
    return loss;
}

double nas_softmax_mse(const float *logits, size_t n, const float *target, double scale,
                       float *grad) {
    double lse = nas_log_sum_exp(logits, n), loss = 0, mean = 0;
    for (size_t i = 0; i < n; i++) {
        double p = exp((double)logits[i] - lse), d = p - (double)target[i];
        loss += d * d / (double)n;
        mean += p * 2 * d / (double)n;
    }
    for (size_t i = 0; grad && i < n; i++) {
        double p = exp((double)logits[i] - lse);
        grad[i] += (float)(scale * p * (2 * (p - (double)target[i]) / (double)n - mean));
    }
    return loss;
}

int nas_check_label(const nas_ssl_batch *batch, size_t i, nas_error *err) {
    int32_t label = batch->labels[i];
    if (label >= 0 && (uint32_t)label < batch->classes) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "labelled row %zu: expected a label below %u, found %d", i,
                    (unsigned)batch->classes, (int)label);
}

int nas_labelled_term(const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    size_t n = batch->classes, rows = batch->labelled;
    const double *priors = NAS_HAS(batch, class_priors) ? batch->class_priors : NULL;
    double tau = priors ? batch->logit_adjustment : 0, smooth = batch->label_smoothing, sum = 0;
    double each = 1 / (double)rows;
    for (size_t i = 0; i < rows; i++) {
        int rc = nas_check_label(batch, i, err);
        if (rc) return rc;
        const float *logits = batch->labelled_logits + i * n;
        float *grad = result->labelled_grad + i * n;
        int32_t label = batch->labels[i];
        sum += tau != 0
                   ? nas_adjusted_cross_entropy(logits, n, label, smooth, tau, priors, each, grad)
                   : nas_cross_entropy(logits, n, label, smooth, each, grad);
    }
    result->labelled_loss = rows ? sum / (double)rows : 0;
    return NAS_OK;
}

void nas_plan_weak_strong(nas_ssl_plan *plan) {
    plan->n_views = 2;
    plan->views[NAS_VIEW_WEAK] = (nas_ssl_view){.augment = NAS_AUGMENT_WEAK, .teacher = 1};
    plan->views[NAS_VIEW_STRONG] = (nas_ssl_view){.augment = NAS_AUGMENT_STRONG, .student = 1};
    plan->mu = 7;
    plan->teacher = "self";
}

double nas_ramp(const nas_ssl_batch *batch, double share) {
    double done = (double)batch->step, length = share * (double)batch->steps;
    return done < length ? done / length : 1;
}

double nas_pseudo_label_term(const nas_ssl_batch *batch, nas_ssl_result *result, size_t view,
                             double scale) {
    size_t n = batch->classes, rows = batch->unlabelled;
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        double w = (double)result->weights[i] / (double)rows;
        if (w == 0) continue;
        sum += w * nas_cross_entropy(batch->student[view] + i * n, n, result->pseudo_labels[i], 0,
                                     scale * w, result->student_grad[view] + i * n);
    }
    return sum;
}

int nas_total_loss(nas_ssl_result *result, double weight, double unlabelled, nas_error *err) {
    result->unlabelled_loss = unlabelled;
    result->loss = result->labelled_loss + weight * unlabelled;
    if (isfinite(result->loss)) return NAS_OK;
    return nas_fail(err, NAS_ERR_NUMERIC,
                    "the loss is not finite (labelled %g, unlabelled %g): the training diverged; "
                    "lower the learning rate",
                    result->labelled_loss, unlabelled);
}
