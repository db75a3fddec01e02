/* The gradient of one training step: sampled subnets, their teacher, the loss (arXiv 2402.13525).
 *
 * The step's images go through the network in train.accumulate equal parts, one after the other;
 * the gradient is the mean of the parts'. Each part's is what a step with its images alone would
 * have: batch norm's statistics are its own, and the loss sees no other part.
 *
 * sum over the step's subnets a_i of L(a_i), each L the loss plugin's, plus train.distill times the
 * mean of train.distill_loss from the largest subnet's softmax on the labelled images, for every
 * subnet but the largest. */
#ifndef NAS_STAGES_STEP_H
#define NAS_STAGES_STEP_H

#include "data/loader.h"
#include "run/context.h"
#include "run/metrics.h"
#include "supernet/engine.h"

/* Opened once for a training; its arrays are its own. Rows of the student: a part's labelled
 * images, then each view that has a student, in order of views.
 *
 * The teacher sees weak views only. Where strong views have statistics of their own (train.
 * batch_statistics), so does the student when it sees such images: it teaches, and is judged, with
 * the statistics that it was trained with (the reason for AdvProp's auxiliary batch norm, arXiv
 * 1911.09665). */
typedef struct nas_step {
    const nas_context *context;
    nas_teacher teacher; /* never AUTO */
    uint32_t subnets, parts;
    uint32_t labelled, unlabelled, rows, tutored; /* of a part; tutored: rows of the teacher */
    uint64_t pool;                                /* unlabelled images in all */
    bool apart;                     /* the student's inputs have batch statistics of their own */
    nas_engine *student, *tutor;    /* tutor NULL: no view has a teacher */
    nas_real *logits, *logits_grad; /* [rows][classes] */
    nas_real *tutor_logits;         /* [tutored][classes] */
    float *distilled;               /* [labelled][classes] softmax */
    int32_t *pseudo_labels;         /* [unlabelled] */
    float *weights;                 /* [unlabelled] */
    double *class_priors;           /* [classes] shares of the labelled images */
    const nas_mix_api *mixer;       /* NULL: images are not mixed */
    nas_mix mix;
    nas_real *mixed; /* [rows][h][w][c] */
    nas_share share; /* of the engines, where several ranks take the step together */
    nas_error lost;  /* why an exchange failed; code 0: none did */
} nas_step;

/* Unlabelled images of a step: 0 if the loss has no views. */
uint32_t nas_step_unlabelled(const nas_context *context);

/* Parts of a step, at least 1. */
uint32_t nas_step_parts(const nas_context *context);

/* Which images of a step this rank reads, for nas_loader_config's needed: those of its own chunks,
 * the student's and the teacher's. *needed stays NULL where it needs all of them: without a
 * cluster, and where the loss mixes images. The caller frees. [main] */
int nas_step_needed(const nas_context *context, bool **needed, nas_error *err);

/* Checks that the pipeline's train section and the loss go together, and allocates. pool:
 * unlabelled images in all. On failure nothing is left. Do not move it. [main] */
int nas_step_open(const nas_context *context, uint64_t pool, nas_step *step, nas_error *err);
void nas_step_close(nas_step *step); /* zeroed is fine */

/* Bytes that the engines hold. */
size_t nas_step_bytes(const nas_step *step);

/* All engines of the step add what they do to the profile, as in nas_engine_profile. [main] */
void nas_step_profile(nas_step *step, nas_profile *profile);

/* The genome of the i-th subnet that step t trains: by the seed, t and i alone. */
nas_genome nas_step_genome(const nas_context *context, uint64_t t, uint32_t i);

/* Adds the step's gradient with respect to weights to gradient, and what happened to metrics.
 * average: the averaged weights, or NULL where none are kept. Batch norm uses batch statistics: of
 * the student's rows all together or as they are `apart`, and of the teacher's all together. A loss
 * that is not finite is NAS_ERR_NUMERIC. All ranks of a cluster run the same step together. [main]
 */
int nas_step_run(nas_step *step, const nas_batch *batch, const nas_real *weights,
                 const nas_real *average, nas_real *gradient, nas_metrics *metrics, nas_error *err);

#endif
