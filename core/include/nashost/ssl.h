/* nashost plugin SDK: semi-supervised losses (NAS_KIND_SSL).
 *
 * A loss is a plain function of logits: given every network's outputs it returns the loss and its
 * gradient with respect to the student's logits. The host runs the networks, decides which subnets
 * a step samples, and calls loss() once for each of them. */
#ifndef NASHOST_SSL_H
#define NASHOST_SSL_H

#include <nashost/plugin.h>

#define NAS_SSL_MAX_VIEWS 8
#define NAS_SSL_MAX_METRICS 8

typedef enum nas_augment { NAS_AUGMENT_WEAK = 0, NAS_AUGMENT_STRONG = 1 } nas_augment;

/* One augmented copy of the unlabelled images. */
typedef struct nas_ssl_view {
    uint32_t augment; /* nas_augment */
    uint8_t student;  /* 1: loss() gets the student's logits of it, returns their gradient */
    uint8_t teacher;  /* 1: loss() gets the teacher's logits of it, a constant */
} nas_ssl_view;

/* What a loss needs. No views: labelled images alone. */
typedef struct nas_ssl_plan {
    uint32_t size;
    uint32_t n_views;
    nas_ssl_view views[NAS_SSL_MAX_VIEWS];
    double mu;           /* suggested unlabelled images for each labelled one */
    const char *teacher; /* suggested: "self", "largest" or "ema"; NULL: no view has one */
} nas_ssl_plan;

/* One subnet's logits in one step. All rows are [classes] floats; teacher rows never carry a
 * gradient. */
typedef struct nas_ssl_batch {
    uint32_t size;
    uint32_t subnet; /* 0 for the first subnet of a step (with train.accumulate, of each part of its
                        images): update running statistics then, once */
    uint64_t step;   /* 0-based */
    uint64_t steps;  /* of the whole training */
    uint32_t classes;
    uint32_t labelled;                       /* rows of labelled images */
    uint32_t unlabelled;                     /* rows of each view */
    const int32_t *labels;                   /* [labelled] */
    const float *labelled_logits;            /* [labelled][classes], the student's */
    const float *student[NAS_SSL_MAX_VIEWS]; /* [unlabelled][classes]; NULL unless view.student */
    const float *teacher[NAS_SSL_MAX_VIEWS]; /* [unlabelled][classes]; NULL unless view.teacher */
    const uint64_t *indices;                 /* [unlabelled], which image of the unlabelled pool */
    uint64_t pool;                           /* images in the unlabelled pool */
    double label_smoothing;                  /* for the labelled term; 0: none */
    const float *targets; /* [rows][classes] as mix() gave them, rows as there; NULL without it */
    /* For the labelled term: this times log class_priors is added to the labelled logits; 0: none.
     */
    double logit_adjustment;
    const double *class_priors; /* [classes] shares of the labelled images, each above 0 */
} nas_ssl_batch;

typedef struct nas_ssl_result {
    uint32_t size;
    /* Gradients of `loss`, in buffers that the host owns and has zeroed; NULL where the batch's
     * logits are NULL. */
    float *labelled_grad;                   /* [labelled][classes] */
    float *student_grad[NAS_SSL_MAX_VIEWS]; /* [unlabelled][classes] */
    /* The pseudo-label of each unlabelled image and the weight it got (0: masked), for the host's
     * mask rate and pseudo-label accuracy; leave -1 and 0, as the host set them, if the method has
     * none. */
    int32_t *pseudo_labels; /* [unlabelled] */
    float *weights;         /* [unlabelled] */
    double loss;            /* the sum that is minimised */
    double labelled_loss, unlabelled_loss;
    uint32_t n_metrics; /* further values for metrics.jsonl */
    struct {
        const char *name; /* constant */
        double value;
    } metrics[NAS_SSL_MAX_METRICS];
} nas_ssl_result;

typedef struct nas_ssl_api {
    uint32_t size;
    /* Says what the loss needs; the same at every call. The caller sets plan->size. [main] */
    int (*plan)(void *self, nas_ssl_plan *plan, nas_error *err);
    /* Computes the loss of one subnet and its gradients. [main] */
    int (*loss)(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err);
} nas_ssl_api;

/* Extension "nas.mix/1": the student is trained on mixed images (mixup, arXiv 1710.09412, and its
 * kin). An instance that offers it is served so, for each subnet of a step:
 *  1. the host runs the teacher on the views that have one, unmixed;
 *  2. it calls mix() with the batch that loss() would get, but labelled_logits, student and targets
 *     NULL;
 *  3. it makes the student's images, row r = lambda[r] * row r + (1 - lambda[r]) * row partner[r]
 *     of the unmixed ones as the network would get them, and runs the student on them;
 *  4. it calls loss() with the student's logits of the mixed rows, and targets as mix() gave them;
 *     labels, teacher and indices are still those of the unmixed rows.
 * Rows: the labelled ones first, then those of each view that has a student, in order of views. */
#define NAS_EXT_MIX "nas.mix/1"
typedef struct nas_mix {
    uint32_t size;
    uint32_t rows;     /* labelled + unlabelled * views that have a student; set by the host */
    uint32_t *partner; /* [rows] below rows; every buffer is the host's */
    float *lambda;     /* [rows] in [0, 1] */
    float *targets;    /* [rows][classes] what the mixed row should be classified as */
} nas_mix;

typedef struct nas_mix_api {
    uint32_t size;
    /* Says what is mixed with what, and to which targets; a pure function of batch, configuration
     * and the host's random numbers, so that a resumed run mixes alike. [main] */
    int (*mix)(void *self, const nas_ssl_batch *batch, nas_mix *mix, nas_error *err);
} nas_mix_api;

#endif
