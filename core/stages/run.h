/* A whole run: train, search, report, as a pipeline says. */
#ifndef NAS_STAGES_RUN_H
#define NAS_STAGES_RUN_H

#include "base/log.h"
#include "host/pipeline.h"

#include <signal.h>

typedef enum nas_until { NAS_UNTIL_REPORT = 0, NAS_UNTIL_TRAIN, NAS_UNTIL_SEARCH } nas_until;
typedef enum nas_from { NAS_FROM_TRAIN = 0, NAS_FROM_SEARCH, NAS_FROM_REPORT } nas_from;

/* Everything is borrowed and must outlive the call. */
typedef struct nas_run_request {
    const nas_pipeline *pipeline;
    nas_registry *registry;
    const char *out; /* the run directory; made if it is not there */
    int threads;     /* at least 1 */
    nas_from from;   /* the first stage to run: what those before it make must be there */
    nas_until until; /* the last stage to run */
    bool dry_run;    /* opens everything, prints the plan to stdout, writes nothing */
    bool json;       /* stdout gets JSON instead of tables */
    bool quiet;      /* no progress lines */
    const nas_log *log;
    const volatile sig_atomic_t *stop; /* checked at every step; NULL: never stops */
} nas_run_request;

/* Runs the stages in order. What the run directory holds already is kept and used: a finished
 * supernet is not trained again, an interrupted training goes on from its checkpoint and ends with
 * the same bits as an uninterrupted one, finished searches are read back. A directory that holds
 * the results of another pipeline is refused, unless only keys differ that came after what is kept
 * (search, score, platforms, export) or that do not change a result; so is one in which another run
 * is at work. Progress goes to stderr, the
 * result of the last stage to stdout.
 * NAS_ERR_INTERRUPTED: stopped by *stop, and saved; NAS_ERR_INFEASIBLE: a platform's constraints
 * cannot be met. [main] */
int nas_run(const nas_run_request *request, nas_error *err);

#endif
