/* One subnet of a finished training, in a deployment format. */
#ifndef NAS_STAGES_EXPORT_H
#define NAS_STAGES_EXPORT_H

#include "stages/run.h"

/* Strings are borrowed. */
typedef struct nas_export_request {
    const char *genome;    /* which subnet: see nas_subnets_one; NULL: not given */
    const char *platform;  /* likewise */
    const char *format;    /* the id of an export plugin */
    const json_t *options; /* its options; NULL: the defaults */
    const char *out;       /* the file to write; a second one of the format is put beside it */
} nas_export_request;

/* Calibrates a subnet with the weights of the run directory request->out, which request->pipeline
 * made, folds its batch norm, and writes it. Prints what was written to stdout, or with the
 * request's json {"files": [...], "format", "bytes", "subnet", "genome"}. Reads no test image.
 * [main]
 */
int nas_export(const nas_run_request *request, const nas_export_request *what, nas_error *err);

#endif
