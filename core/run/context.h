/* What every stage of a run works with: plugin instances, images, the search space, the weights. */
#ifndef NAS_RUN_CONTEXT_H
#define NAS_RUN_CONTEXT_H

#include "data/source.h"
#include "data/split.h"
#include "host/instance.h"
#include "run/staging.h"
#include "supernet/supernet.h"

#include <nashost/export.h>
#include <nashost/hardware.h>
#include <nashost/score.h>
#include <nashost/search.h>
#include <nashost/ssl.h>

/* Do not copy: instances are known to their plugins by address. */
typedef struct nas_context {
    const nas_run_request *request; /* borrowed */
    const nas_pipeline *pipeline;   /* the request's */
    uint64_t seed;
    nas_instance dataset, ssl, score;
    nas_instance hardware[NAS_MAX_PLATFORMS], search[NAS_MAX_PLATFORMS]; /* one a platform */
    nas_instance exports[NAS_MAX_ALL_EXPORTS]; /* in the pipeline's order */
    nas_ssl_plan plan;
    nas_source source;
    nas_augment_config augment; /* the pipeline's; flips only where the data set allows it */
    nas_split_sets split;       /* empty until nas_context_split */
    nas_space space;
    nas_genome fixed; /* train.genome, or the largest subnet */
    nas_supernet *supernet;
    nas_staging staging; /* zeroed until a run opens its directory */
} nas_context;

/* Creates every plugin instance that the pipeline names, so that a missing file is told before the
 * training and not after it; reads the training images; initialises the weights by the seed.
 * Writes nothing. [main] */
int nas_context_open(const nas_run_request *request, nas_context *context, nas_error *err);
void nas_context_close(nas_context *context); /* NULL-safe, zeroed is fine [main] */

/* Asks the loss for its plan. One that the host cannot follow is refused, before the first step.
 * nas_context_open does it. [main] */
int nas_context_plan(nas_context *context, nas_error *err);

/* The same on the heap, for the run directory of a finished training. On failure *context is NULL.
 * [main] */
int nas_context_create(const nas_run_request *request, nas_context **context, nas_error *err);
void nas_context_destroy(nas_context *context); /* NULL-safe [main] */

/* Gives the supernet the weights that the pipeline's init.weights names, if it does. [main] */
int nas_context_init_weights(nas_context *context, nas_error *err);

/* Fills context->split: read from the file at path if there is one, else drawn by the seed and
 * written there. A file that does not fit the pipeline's seed and sizes is an error. path NULL:
 * draw only. [main] */
int nas_context_split(nas_context *context, const char *path, nas_error *err);

/* Compares the data set with what the run directory says of it (run/data_file.h); and writes that
 * down where it is not there yet. [main] */
int nas_context_check_data(const nas_context *context, nas_error *err);
int nas_context_keep_data(const nas_context *context, nas_error *err);

/* Reads the split and the weights of a finished training from the request's run directory, and
 * checks that its data set is still the same. [main] */
int nas_context_load(nas_context *context, nas_error *err);

/* The images that split.heldout indexes. [any] */
const nas_images *nas_context_heldout(const nas_context *context);

/* The request's cluster, or NULL. [any] */
nas_cluster *nas_context_cluster(const nas_context *context);

/* NAS_ERR_INTERRUPTED with `doing` in its message if the run was asked to stop. [main] */
int nas_context_stopped(const nas_context *context, const char *doing, nas_error *err);

/* The plugin's table of its kind. */
const nas_ssl_api *nas_context_ssl(const nas_context *context);

#endif
