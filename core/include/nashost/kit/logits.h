/* nashost plugin kit: the arithmetic that losses on logits share, for plugins inside and outside
 * the tree. Sums run in double, in index order, so results do not depend on threads.
 *
 * Conventions: a row is [n] floats, n >= 1. Any finite logits are safe. Functions with a gradient
 * return the row's loss, unscaled, and add scale * d loss / d logits to grad [n]; a grad of NULL
 * asks for the loss alone. Targets are constants. Every function here: [any]. */
#ifndef NASHOST_KIT_LOGITS_H
#define NASHOST_KIT_LOGITS_H

#include <nashost/ssl.h>

/* The index of the largest of v [n]; the first of equals. */
size_t nas_argmax(const float *v, size_t n);

/* log sum exp of logits [n]. */
double nas_log_sum_exp(const float *logits, size_t n);

/* out [n] = log softmax(logits); out may be logits. */
void nas_log_softmax(const float *logits, size_t n, float *out);

/* out [n] = softmax(logits / temperature), temperature > 0; out may be logits. A temperature below
 * 1 sharpens: it is p^(1/T) / sum p^(1/T) of p = softmax(logits). */
void nas_softmax(const float *logits, size_t n, double temperature, float *out);

/* The largest probability of softmax(logits), and in *label, unless NULL, its class. */
double nas_confidence(const float *logits, size_t n, int32_t *label);

/* p [n] = keep * p + (1 - keep) * the mean of softmax over logits [rows][n]; no rows: unchanged. */
void nas_running_mean(const float *logits, size_t rows, size_t n, double keep, double *p);

/* The largest of softmax(logits) aligned to uniform classes, and in *label, unless NULL, its class:
 * each probability times (1 / n) / p, p [n] being the classes' running mean, then all to sum 1
 * (Berthelot et al., arXiv 1911.09785). The 1e-6 keeps a class that is never predicted finite. */
double nas_aligned_confidence(const float *logits, size_t n, const double *p, int32_t *label);

/* Cross-entropy of softmax(logits) with target [n]: -sum t log p; gradient p sum(t) - t. */
double nas_soft_cross_entropy(const float *logits, size_t n, const float *target, double scale,
                              float *grad);

/* Cross-entropy with one class, 0 <= label < n. Smoothing s in [0, 1) replaces the one-hot target
 * by (1 - s) one-hot + s / n (Szegedy et al., arXiv 1512.00567). */
double nas_cross_entropy(const float *logits, size_t n, int32_t label, double smoothing,
                         double scale, float *grad);

/* The same of logits + tau * log priors, priors [n] above 0: a network that learns so answers, by
 * its plain logits, as if all classes were equally frequent (logit adjustment, Menon et al.,
 * arXiv 2007.07314). */
double nas_adjusted_cross_entropy(const float *logits, size_t n, int32_t label, double smoothing,
                                  double tau, const double *priors, double scale, float *grad);

/* Mean over the classes of (softmax(logits) - target)^2 (the Brier score over n). With
 * e = 2 (p - t) / n the gradient is p (e - sum p e). */
double nas_softmax_mse(const float *logits, size_t n, const float *target, double scale,
                       float *grad);

/* Fails with NAS_ERR_INPUT if the label of labelled row i is outside 0 .. classes - 1. */
int nas_check_label(const nas_ssl_batch *batch, size_t i, nas_error *err);

/* The labelled term of most losses: the mean cross-entropy of the labelled rows with the batch's
 * label smoothing and logit adjustment, into labelled_loss and labelled_grad. No rows: 0. Fails
 * with NAS_ERR_INPUT on a label outside 0 .. classes - 1. */
int nas_labelled_term(const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err);

/* The plan of FixMatch and its family: the teacher, a constant, sees a weak view (0), the student
 * a strong one (1); seven unlabelled images for each labelled one; the student teaches itself. */
enum { NAS_VIEW_WEAK = 0, NAS_VIEW_STRONG = 1 };
void nas_plan_weak_strong(nas_ssl_plan *plan);

/* A linear ramp of an unlabelled term: 0 at step 0, 1 from the given share of training on; a share
 * of 0: always 1. */
double nas_ramp(const nas_ssl_batch *batch, double share);

/* The term of hard pseudo-labels: the mean over all unlabelled rows, masked ones included (so that
 * it grows as the teacher gets surer), of weights[i] * cross-entropy of the student's view with
 * pseudo_labels[i], both as the caller filled them in result. Returns the mean and adds scale
 * times its gradient to student_grad[view]. No rows: 0. */
double nas_pseudo_label_term(const nas_ssl_batch *batch, nas_ssl_result *result, size_t view,
                             double scale);

/* Ends a loss: unlabelled_loss = unlabelled and loss = labelled_loss + weight * unlabelled, whose
 * gradient student_grad must hold already. Fails with NAS_ERR_NUMERIC if the sum is not finite. */
int nas_total_loss(nas_ssl_result *result, double weight, double unlabelled, nas_error *err);

#endif
