/* What the sections of a pipeline that have no plugin say. */
#ifndef NAS_HOST_CONFIG_H
#define NAS_HOST_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAS_MAX_PLATFORMS 32
#define NAS_MAX_EXPORTS 8 /* of a platform */
#define NAS_MAX_ALL_EXPORTS (NAS_MAX_EXPORTS * (NAS_MAX_PLATFORMS + 1))

/* Which subnets a step trains. */
typedef enum nas_step_shape {
    NAS_STEP_SANDWICH =
        0, /* largest, smallest, and random ones up to `subnets` (arXiv 1903.05134) */
    NAS_STEP_LARGEST = 1,
    NAS_STEP_FIXED = 2, /* the one in `genome` */
} nas_step_shape;

typedef enum nas_teacher {
    NAS_TEACHER_AUTO = 0,    /* what the loss suggests */
    NAS_TEACHER_SELF = 1,    /* the student itself */
    NAS_TEACHER_LARGEST = 2, /* the largest subnet with the current weights */
    NAS_TEACHER_EMA = 3,     /* the step's first subnet with averaged weights */
} nas_teacher;

typedef enum nas_distil_loss {
    NAS_DISTIL_CROSS_ENTROPY = 0,
    NAS_DISTIL_ALPHA = 1, /* AlphaNet's divergence (arXiv 2102.07954) */
} nas_distil_loss;

typedef enum nas_statistics {
    NAS_STATISTICS_JOINT = 0,
    NAS_STATISTICS_SEPARATE = 1,
} nas_statistics;

typedef enum nas_schedule { NAS_SCHEDULE_COSINE = 0, NAS_SCHEDULE_CONSTANT = 1 } nas_schedule;

typedef struct nas_train_config {
    int64_t steps, batch;
    double mu;          /* unlabelled images for each labelled one */
    int64_t accumulate; /* parts of a step */
    int shape;          /* nas_step_shape, key "subnet_sampling" */
    int64_t subnets;
    int teacher;                /* nas_teacher */
    int batch_statistics;       /* nas_statistics, of batch norm in training */
    double distill;             /* weight of learning from the largest subnet on labelled images */
    int distill_loss;           /* nas_distil_loss */
    double lr, momentum;        /* Nesterov */
    double lr_classifier;       /* times lr, for the classifier */
    double lr_decay_by_depth;   /* times lr, once for each stage from here to the classifier */
    int64_t freeze_trunk_steps; /* in which the layers after the pooling alone learn */
    bool freeze_batch_norm;     /* gamma and beta stay */
    double weight_decay;  /* on convolution and linear weights, not on biases and batch norm */
    double anchor;        /* decay of these, but the classifier's, towards the initial weights; 0:
                             weight_decay, towards 0 */
    int schedule;         /* nas_schedule */
    double cosine_cycles; /* lr * cos(pi * cycles * t / T); FixMatch: 7/16 */
    int64_t warmup;       /* steps of linear warm-up */
    double clip_norm;     /* of the gradient; 0: none */
    double label_smoothing, dropout;
    double logit_adjustment; /* times the log of the labelled classes' shares; 0: none */
    double ema;              /* decay of the averaged weights that are kept; 0: keep the raw ones */
    int64_t log_every, checkpoint_every; /* steps */
    double checkpoint_seconds;           /* of wall time; 0: only by steps */
} nas_train_config;

/* What becomes of a pretrained network's last layer. */
typedef enum nas_classifier { NAS_CLASSIFIER_NEW = 0, NAS_CLASSIFIER_KEEP = 1 } nas_classifier;

/* What the weights are before the training. */
typedef struct nas_init_config {
    const char *weights; /* a file as `nashost import` writes it; NULL: random weights */
    int classifier;      /* nas_classifier */
} nas_init_config;

enum { NAS_MEMORY_AUTO = -1 }; /* a quarter of the memory that there is */

/* How images are held, whatever reads them. */
typedef struct nas_dataset_config {
    int64_t memory; /* bytes, or NAS_MEMORY_AUTO */
} nas_dataset_config;

typedef struct nas_split_section {
    int64_t labelled; /* or NAS_SPLIT_ALL, "all" */
    int64_t validation, heldout;
    int balance;      /* nas_balance */
    int heldout_from; /* nas_heldout_from */
} nas_split_section;

/* What constraints, and objectives beside the score, may be about; the order of nas_constraints. */
typedef enum nas_limit_id {
    NAS_LIMIT_LATENCY,
    NAS_LIMIT_ENERGY,
    NAS_LIMIT_PEAK,
    NAS_LIMIT_FLASH,
    NAS_LIMIT_MACS,
    NAS_LIMIT_PARAMS,
    NAS_MAX_LIMITS
} nas_limit_id;

typedef struct nas_search_config {
    int64_t evaluations; /* subnets scored for each platform */
    int64_t batch;       /* candidates asked for at once */
    int64_t calibration_images;
    bool named;                     /* the pipeline says what the objectives are */
    size_t n_objectives;            /* beside the score */
    int objectives[NAS_MAX_LIMITS]; /* nas_limit_id */
} nas_search_config;

typedef struct nas_constraints {
    double latency_ms, energy_mj;                  /* NaN: none */
    int64_t peak_bytes, flash_bytes, macs, params; /* 0: none */
} nas_constraints;

#endif
