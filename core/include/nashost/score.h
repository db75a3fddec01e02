/* nashost plugin SDK: scores of subnets that need no training and no test label (NAS_KIND_SCORE).
 */
#ifndef NASHOST_SCORE_H
#define NASHOST_SCORE_H

#include <nashost/network.h>
#include <nashost/plugin.h>

/* A subnet with inherited weights, ready to run. The host owns it; valid during the call. */
typedef struct nas_subnet {
    uint32_t size;
    uint32_t classes;
    void *impl;                 /* the host's own */
    const nas_network *network; /* weights NULL */
    uint64_t heldout;           /* unlabelled images held out from training for scoring */
    /* Calibrates batch norm on unlabelled images and writes the logits of every held-out image to
     * logits [heldout][classes]. [main] */
    int (*heldout_logits)(const struct nas_subnet *subnet, float *logits, nas_error *err);
} nas_subnet;

typedef struct nas_score_api {
    uint32_t size;
    /* Called once, before the first score, with the largest subnet. [main] */
    int (*start)(void *self, const nas_subnet *largest, nas_error *err);
    /* Scores a subnet; higher is better. Must be finite. [main] */
    int (*score)(void *self, const nas_subnet *subnet, double *value, nas_error *err);
} nas_score_api;

#endif
