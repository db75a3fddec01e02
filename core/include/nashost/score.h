/* nashost plugin SDK: scores of subnets, without training and test labels (NAS_KIND_SCORE). */
#ifndef NASHOST_SCORE_H
#define NASHOST_SCORE_H

#include <nashost/network.h>
#include <nashost/plugin.h>
#include <nashost/probe.h>

/* Which images a score has a subnet answer. None of them is trained on. */
typedef enum nas_look_images {
    NAS_LOOK_HELDOUT = 0,    /* the unlabelled ones */
    NAS_LOOK_VALIDATION = 1, /* the labelled ones that are kept for comparisons; may be none */
} nas_look_images;

/* How the images are varied first, by the pipeline's "augment" section. */
typedef enum nas_look_augment {
    NAS_LOOK_PLAIN = 0,
    NAS_LOOK_WEAK = 1,
    NAS_LOOK_STRONG = 2,
} nas_look_augment;

typedef struct nas_look {
    uint32_t size;    /* sizeof(nas_look) */
    uint32_t images;  /* nas_look_images */
    uint32_t augment; /* nas_look_augment */
    uint32_t draw;    /* of random changes: each image's are the same for every subnet */
} nas_look;

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
    uint64_t validation; /* labelled images that are kept for comparisons */
    /* Calibrates batch norm as heldout_logits does, and writes the logits of every image that the
     * look asks for to logits [heldout or validation][classes], and the labels of validation
     * images to labels [validation] (NULL: not wanted; those of others are not shown). Call it by
     * nas_look_run. [main] */
    int (*look)(const struct nas_subnet *subnet, const nas_look *look, float *logits,
                int32_t *labels, nas_error *err);
} nas_subnet;

/* Runs a subnet on chosen images. [main] */
static inline int nas_look_run(const nas_subnet *subnet, const nas_look *look, float *logits,
                               int32_t *labels, nas_error *err) {
    if (!NAS_HAS(subnet, look) || !subnet->look)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "this host cannot show images to a score; use a newer nashost");
    return subnet->look(subnet, look, logits, labels, err);
}

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
