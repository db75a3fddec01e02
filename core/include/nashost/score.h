/* nashost plugin SDK: scores of subnets, without training and test labels (NAS_KIND_SCORE). */
#ifndef NASHOST_SCORE_H
#define NASHOST_SCORE_H

#include <nashost/network.h>
#include <nashost/plugin.h>
#include <nashost/probe.h>

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
    uint64_t labelled; /* labelled training images */
    /* Runs the subnet as probe says; call it by nas_probe_run. Equal calls give equal bits, at any
     * number of threads. NAS_ERR_INPUT where no such images are there, NAS_ERR_MEMORY where the
     * batch is too large. [main] */
    int (*probe)(const struct nas_subnet *subnet, const nas_probe *probe, nas_error *err);
} nas_subnet;

/* Runs a subnet to look inside it; see nashost/probe.h. [main] */
static inline int nas_probe_run(const nas_subnet *subnet, const nas_probe *probe, nas_error *err) {
    if (!NAS_HAS(subnet, probe) || !subnet->probe)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "this host cannot run a subnet for a score; use a newer nashost");
    return subnet->probe(subnet, probe, err);
}

typedef struct nas_score_api {
    uint32_t size;
    /* Called once, before the first score, with the largest subnet. [main] */
    int (*start)(void *self, const nas_subnet *largest, nas_error *err);
    /* Scores a subnet; higher is better. Must be finite. [main] */
    int (*score)(void *self, const nas_subnet *subnet, double *value, nas_error *err);
    /* Called before the training with the largest subnet: refuses (NAS_ERR_INPUT) what score would
     * refuse after it, such as too few images. Must not run the subnet. NULL: nothing is checked.
     * [main] */
    int (*check)(void *self, const nas_subnet *largest, nas_error *err);
} nas_score_api;

#endif
