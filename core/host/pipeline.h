/* pipeline.json: what a run does. Every key is described by an option table; unknown ones are
 * errors. */
#ifndef NAS_HOST_PIPELINE_H
#define NAS_HOST_PIPELINE_H

#include "data/augment.h"
#include "host/config.h"
#include "host/registry.h"
#include "space/space.h"

/* A plugin and its options: {"plugin": ID, "options": {...}} */
typedef struct nas_use {
    char id[32];
    const json_t *options; /* borrowed from the resolved pipeline */
    char path[64];         /* JSON path, such as "train.ssl" */
} nas_use;

/* A format that subnets are written in. */
typedef struct nas_export_use {
    nas_use use;
    bool verify; /* run the file in its engine */
} nas_export_use;

/* A part of a pipeline's exports. */
typedef struct nas_export_list {
    size_t first, n;
} nas_export_list;

typedef struct nas_platform {
    char name[32]; /* [A-Za-z0-9._-]+, names files */
    nas_use hardware;
    nas_constraints constraints;
    nas_export_list exports; /* its own, or the pipeline's */
} nas_platform;

typedef struct nas_pipeline {
    char *file, *folder;
    json_t *resolved; /* with every default; what the run directory's pipeline.json holds */
    int64_t seed;
    nas_use dataset, ssl, search, score;
    nas_dataset_config dataset_config;
    nas_split_section split;
    nas_init_config init; /* its path is the resolved pipeline's */
    const json_t *space;  /* the space's object, read from its file if the pipeline names one */
    const json_t *space_restrict; /* what is used of it; NULL: all */
    nas_augment_config augment;   /* flip: only where the data set allows it as well */
    nas_train_config train;
    nas_search_config search_config;
    const json_t *genome; /* train.genome; NULL: none, but never with the step shape "fixed" */
    size_t n_platforms, n_exports;
    nas_platform platforms[NAS_MAX_PLATFORMS];
    nas_export_use exports[NAS_MAX_ALL_EXPORTS]; /* of all lists */
} nas_pipeline;

/* Reads and checks a pipeline, after applying overrides ("train.steps=100"; the value is JSON, or a
 * bare string; an index is a number: "platforms.0.constraints.latency_ms=2"). Plugins' options are
 * checked by their tables, which loads them, and the space and the genome are parsed. On failure
 * *pipeline is empty. [main] */
int nas_pipeline_load(const char *file, const char *const *overrides, size_t n_overrides,
                      nas_registry *registry, nas_pipeline *pipeline, nas_error *err);

/* The space of a pipeline, narrowed by its space_restrict, for a data set of so many channels and
 * classes. [any] */
int nas_pipeline_space(const nas_pipeline *pipeline, uint32_t channels, uint32_t classes,
                       nas_space *space, nas_error *err);

void nas_pipeline_free(nas_pipeline *pipeline); /* NULL-safe; empty is fine */

#endif
