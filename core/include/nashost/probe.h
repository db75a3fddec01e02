/* nashost plugin SDK: running a subnet once to look inside it, for scores.
 *
 * A score fills a nas_probe and calls nas_probe_run(). The host runs the subnet on a batch in
 * double precision, and calls back after each layer: in forward with its sums and activations, then
 * in backward with their gradients. The smallest score looks like this:
 *
 *     static void add(void *context, const nas_probe_layer *at) {
 *         double *total = context;
 *         for (uint64_t i = 0; at->weight_grad && i < at->layer->weights; i++)
 *             *total += fabs(at->weight_grad[i]);
 *     }
 *     static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
 *         nas_probe probe = {.size = sizeof probe, .images = NAS_PROBE_LABELLED, .count = 64,
 *                            .objective = NAS_PROBE_CROSS_ENTROPY,
 *                            .context = value, .backward = add};
 *         *value = 0;
 *         return nas_probe_run(subnet, &probe, err);
 *     }
 */
#ifndef NASHOST_PROBE_H
#define NASHOST_PROBE_H

#include <nashost/network.h>
#include <nashost/plugin.h>

/* Images are training images as the network reads them: normalised, at the subnet's resolution, not
 * augmented. Test and validation images are never among them. */
typedef enum nas_probe_images {
    NAS_PROBE_UNLABELLED = 0, /* random ones; their labels are not read */
    NAS_PROBE_LABELLED = 1,   /* random labelled ones */
    NAS_PROBE_BALANCED = 2,   /* labelled ones, the classes taking turns */
    NAS_PROBE_NORMAL = 3,     /* no images: every value drawn from N(0, 1) */
    NAS_PROBE_ONES = 4,       /* no images: every value is 1 */
} nas_probe_images;

/* Random weights are drawn for the whole supernet and sliced as its own are, so that subnets share
 * what they have in common. With random weights gamma is 1, beta and biases are 0. */
typedef enum nas_probe_weights {
    NAS_PROBE_INITIAL = 0,        /* random: N(0, 2 / fan-in), arXiv 1502.01852 */
    NAS_PROBE_INHERITED = 1,      /* the supernet's */
    NAS_PROBE_NORMAL_WEIGHTS = 2, /* random: N(0, 1) */
} nas_probe_weights;

/* The words of an option that fills a nas_probe_weights: its choices. */
#define NAS_PROBE_WEIGHTS_CHOICES "initial", "inherited", "normal"

typedef enum nas_probe_norm {
    NAS_PROBE_BATCH_NORM = 0, /* with the batch's own mean and variance, as in training */
    NAS_PROBE_IDENTITY = 1,   /* batch norm does nothing */
} nas_probe_norm;

typedef enum nas_probe_objective {
    NAS_PROBE_FORWARD = 0,       /* no backward */
    NAS_PROBE_CROSS_ENTROPY = 1, /* mean over the images; needs labelled ones */
    NAS_PROBE_LOGIT_SUM = 2,     /* sum of all logits of all images */
} nas_probe_objective;

/* A layer after it was run. Arrays are the host's, channels last, valid during the call. */
typedef struct nas_probe_layer {
    uint32_t size;
    uint32_t index;         /* in the subnet's network */
    const nas_layer *layer; /* its op, shapes and activation; without weights */
    uint32_t images;        /* in the batch: n below */
    const double *weight;   /* [layer->weights], laid out as nas_op says, batch norm not folded in;
                               NULL: a layer without weights */
    const double *sum;    /* [n][out.h][out.w][out.c]: the op's result, before batch norm or bias */
    const double *before; /* same shape: what the activation is applied to */
    const double *output; /* same shape: the layer's result */
    const double *variance; /* [out.c]: of sum over the batch (biased), by which batch norm divides;
                               NULL: no batch norm here */
    /* Backward only, else NULL. */
    const double *sum_grad;    /* as sum: gradient of the objective */
    const double *weight_grad; /* as weight */
} nas_probe_layer;

/* What to run and whom to tell. Zero is a choice everywhere but in size and count. */
typedef struct nas_probe {
    uint32_t size;      /* sizeof(nas_probe) */
    uint32_t images;    /* nas_probe_images */
    uint32_t count;     /* images in the batch; fewer where there are not so many */
    uint32_t weights;   /* nas_probe_weights */
    uint32_t norm;      /* nas_probe_norm */
    uint32_t objective; /* nas_probe_objective */
    bool absolute;      /* every weight and bias w becomes abs(w) */
    bool plain;         /* residual additions and squeeze-excite's scaling pass input[0] on */
    double noise;       /* noise * N(0, 1) is added to each value of the images; 0: none */
    /* Batches of one order of the images, one after the other (and round again): 0, 1, ... */
    uint32_t batch;
    /* Another draw of everything that is random here: order of the images, weights, noise. The same
     * draw gives the same, in any call. */
    uint32_t draw;
    void *context; /* given to the calls below; each may be NULL [main] */
    /* After each layer in the network's order; the last one's output are the logits. */
    void (*forward)(void *context, const nas_probe_layer *at);
    /* After each layer in reverse order, if there is an objective. */
    void (*backward)(void *context, const nas_probe_layer *at);
    /* Last: the batch [n][h][w][c] and the gradient of the objective. */
    void (*input)(void *context, uint32_t n, nas_shape image, const double *images,
                  const double *gradient);
} nas_probe;

#endif
