/* What a run is asked to do. */
#ifndef NAS_RUN_REQUEST_H
#define NAS_RUN_REQUEST_H

#include "base/log.h"
#include "host/cluster.h"
#include "host/pipeline.h"

#include <signal.h>

typedef enum nas_until { NAS_UNTIL_REPORT = 0, NAS_UNTIL_TRAIN, NAS_UNTIL_SEARCH } nas_until;
typedef enum nas_from { NAS_FROM_TRAIN = 0, NAS_FROM_SEARCH, NAS_FROM_REPORT } nas_from;

/* Everything is borrowed and must outlive the run. */
typedef struct nas_run_request {
    const nas_pipeline *pipeline;
    nas_registry *registry;
    const char *out;   /* the run directory; made if it is not there */
    int threads;       /* at least 1 */
    nas_from from;     /* the first stage to run: what those before it make must be there */
    nas_until until;   /* the last stage to run */
    bool dry_run;      /* opens everything, makes the plan, writes nothing */
    bool check_images; /* reads every image first, the test's too, and tells all that are bad */
    bool quiet;        /* no progress lines */
    const nas_log *log;
    const volatile sig_atomic_t *stop; /* checked at every step; NULL: never stops */
    nas_cluster *cluster;              /* NULL: this process runs it alone */
} nas_run_request;

#endif
