/* metrics.jsonl: the course of a training. Every train.log_every steps one JSON object on a line:
 *
 *   step, seconds        steps done, seconds spent in training so far
 *   loss, labelled_loss, unlabelled_loss   means over the subnets and steps since the last line
 *   mask_rate            share of the unlabelled images whose pseudo-label had a weight above 0
 *   pseudo_label_accuracy   share of those whose pseudo-label is right, by labels that the training
 *                        does not see; null if there were none
 *   lr                   learning rate of the last step
 *   images_per_s         student's and teacher's images for each second since the last line
 *   ssl                  the loss plugin's own values, means like loss; absent if it has none
 *
 * After the training, where there are validation images, a last line {"step", "validation_top1":
 * {"largest", "smallest"}}. */
#ifndef NAS_RUN_METRICS_H
#define NAS_RUN_METRICS_H

#include <jansson.h>
#include <nashost/ssl.h>

/* Sums since the last line; zeroed: empty. */
typedef struct nas_metrics {
    uint64_t subnets; /* times a subnet was trained */
    double loss, labelled, unlabelled;
    uint64_t rows, used, judged, right; /* pseudo-labels; judged: used, and the class is known */
    uint64_t images;
    uint32_t n_values;
    const char *names[NAS_SSL_MAX_METRICS];
    double values[NAS_SSL_MAX_METRICS];
} nas_metrics;

/* Adds one subnet's result; hidden_labels [batch->unlabelled] or NULL. */
void nas_metrics_add(nas_metrics *metrics, const nas_ssl_batch *batch, const nas_ssl_result *result,
                     const int32_t *hidden_labels);

/* NaN where there is nothing to divide by. */
double nas_metrics_mask_rate(const nas_metrics *metrics);

/* The line's object; the caller owns it; NULL: out of memory. interval: seconds since the last
 * line. */
json_t *nas_metrics_json(const nas_metrics *metrics, uint64_t step, double seconds, double interval,
                         double lr);

/* The sums as an object, for a checkpoint, and back; names are not kept, as the next sum brings
 * them. The caller owns the result; NULL: out of memory. restore: false if json is no such object.
 */
json_t *nas_metrics_state(const nas_metrics *metrics);
bool nas_metrics_restore(const json_t *json, nas_metrics *metrics);

/* An append-only file of JSON lines, each handed to the system at once. */
typedef struct nas_jsonl {
    int file;         /* a descriptor; 0: none */
    const char *path; /* borrowed */
} nas_jsonl;

/* Opens the file, keeping of an earlier run's lines those whose "step" is at most last_step, but no
 * validation, which ends a training. [main] */
int nas_jsonl_open(const char *path, uint64_t last_step, nas_jsonl *jsonl, nas_error *err);

/* Writes one line and releases json; NULL: out of memory. [main] */
int nas_jsonl_write(nas_jsonl *jsonl, json_t *json, nas_error *err);
void nas_jsonl_close(nas_jsonl *jsonl); /* NULL-safe */

#endif
