/* Logits of a user's images from one subnet of a finished training: what a deployment of that
 * subnet should answer. */
#ifndef NAS_STAGES_INFER_H
#define NAS_STAGES_INFER_H

#include "stages/run.h"

/* Strings are borrowed. */
typedef struct nas_infer_request {
    const char *genome;   /* which subnet: see nas_subnets_one; NULL: not given */
    const char *platform; /* likewise */
    const char *input;    /* .npy: uint8 [n][h][w][c], at the data set's size, which is then resized
                             as in training, or at the subnet's resolution, as its exports take it */
    bool int8;            /* answer as exports in 8 bits do */
    const char *logits;   /* .npy to write: float32 [n][classes] */
} nas_infer_request;

/* Calibrates a subnet with the weights of the run directory request->out, which request->pipeline
 * made, and runs it. Prints one line to stdout, or with the request's json
 * {"logits", "images", "classes", "subnet", "genome"}. Reads no test image. [main] */
int nas_infer(const nas_run_request *request, const nas_infer_request *what, nas_error *err);

#endif
