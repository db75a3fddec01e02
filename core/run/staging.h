/* Where a changed pipeline's answers wait until they are complete. A finished training's searches
 * and reports by another `search`, `platforms` or `export` are made in DIR/next, laid out as the
 * run directory itself, and move into it when all of them have succeeded: a search in which nothing
 * fits leaves DIR as it was. */
#ifndef NAS_RUN_STAGING_H
#define NAS_RUN_STAGING_H

#include "run/rundir.h"

typedef struct nas_staging {
    bool active;
    bool stale[NAS_MAX_PLATFORMS]; /* the pipeline's platforms whose search has to be repeated */
    char folder[NAS_RUNDIR_PATH];  /* DIR/next */
} nas_staging;

/* Opens the run directory for the request's pipeline, as nas_rundir_open, but leaves the files of a
 * finished training whose later stages have changed, and makes DIR/next instead. What an
 * interrupted run of the same pipeline left there is kept, anything else in it is removed. [main]
 */
int nas_staging_open(const nas_run_request *request, nas_staging *staging, nas_error *err);

/* The folder that holds, or is to hold, the search of a platform (an index), and the one that the
 * report writes to: the run directory or the one beside it. [any] */
const char *nas_staging_search(const nas_staging *staging, const char *out, size_t platform);
const char *nas_staging_report(const nas_staging *staging, const char *out);

/* Ends the run with what its stages returned: moves what is complete into the run directory and
 * writes its pipeline.json, or removes the folder; after an interruption it stays. Returns rc, or
 * what went wrong in moving. [main] */
int nas_staging_close(const nas_staging *staging, const nas_run_request *request, int rc,
                      nas_error *err);

#endif
