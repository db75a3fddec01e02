/* pipeline.json: what a run does. Every key is described by an option table; unknown ones are
 * errors. */
#ifndef NAS_HOST_PIPELINE_H
#define NAS_HOST_PIPELINE_H

#include "data/augment.h"
#include "host/options.h"
#include "host/registry.h"

/* A plugin and its options: {"plugin": ID, "options": {...}} */
typedef struct nas_use {
    char id[32];
    const json_t *options; /* borrowed from the resolved pipeline */
    char path[64];         /* JSON path, such as "train.ssl" */
} nas_use;

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
    double mu; /* unlabelled images for each labelled one */
    int shape; /* nas_step_shape, key "subnet_sampling" */
    int64_t subnets;
    int teacher;          /* nas_teacher */
    int batch_statistics; /* nas_statistics, of batch norm in training */
    double distill;       /* weight of learning from the largest subnet on labelled images */
    int distill_loss;     /* nas_distil_loss */
    double lr, momentum;  /* Nesterov */
    double weight_decay;  /* on convolution and linear weights, not on biases and batch norm */
    int schedule;         /* nas_schedule */
    double cosine_cycles; /* lr * cos(pi * cycles * t / T); FixMatch: 7/16 */
    int64_t warmup;       /* steps of linear warm-up */
    double clip_norm;     /* of the gradient; 0: none */
    double label_smoothing, dropout;
    double ema; /* decay of the averaged weights that are kept; 0: keep the raw ones */
    int64_t log_every, checkpoint_every; /* steps */
} nas_train_config;

typedef struct nas_search_config {
    int64_t evaluations; /* subnets scored for each platform */
    int64_t batch;       /* candidates asked for at once */
    int64_t calibration_images;
} nas_search_config;

typedef struct nas_constraints {
    double latency_ms, energy_mj;                  /* NaN: none */
    int64_t peak_bytes, flash_bytes, macs, params; /* 0: none */
} nas_constraints;

typedef struct nas_platform {
    char name[32]; /* [A-Za-z0-9._-]+, names files */
    nas_use hardware;
    nas_constraints constraints;
} nas_platform;

#define NAS_MAX_PLATFORMS 32
#define NAS_MAX_EXPORTS 8

typedef struct nas_pipeline {
    char *file, *folder;
    json_t *resolved; /* with every default; what the run directory's pipeline.json holds */
    int64_t seed;
    nas_use dataset, ssl, search, score;
    int64_t labelled, validation, heldout; /* split */
    const json_t *space; /* the space's object, read from its file if the pipeline names one */
    nas_augment_config augment; /* flip: only where the data set allows it as well */
    nas_train_config train;
    nas_search_config search_config;
    const json_t *genome; /* train.genome; NULL: none, but never with the step shape "fixed" */
    size_t n_platforms, n_exports;
    nas_platform platforms[NAS_MAX_PLATFORMS];
    nas_use exports[NAS_MAX_EXPORTS];
} nas_pipeline;

/* Reads and checks a pipeline, after applying overrides ("train.steps=100"; the value is JSON, or a
 * bare string; an index is a number: "platforms.0.constraints.latency_ms=2"). Plugins' options are
 * checked by their tables, which loads them, and the space and the genome are parsed. On failure
 * *pipeline is empty. [main] */
int nas_pipeline_load(const char *file, const char *const *overrides, size_t n_overrides,
                      nas_registry *registry, nas_pipeline *pipeline, nas_error *err);
void nas_pipeline_free(nas_pipeline *pipeline); /* NULL-safe; empty is fine */

#endif
