/* nashost plugin kit: what scores share that look into a subnet once and keep nothing between two
 * calls (zero-cost proxies): options, calls and most of the descriptor, so that a plugin is its
 * formula. A score may do without it. A whole score:
 *
 *     #include <nashost/kit/proxy.h>
 *
 *     static void add(void *context, const nas_probe_layer *at) {
 *         double *total = context;
 *         for (uint64_t i = 0; at->weight_grad && i < at->layer->weights; i++)
 *             *total += at->weight_grad[i] * at->weight_grad[i];
 *     }
 *     static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
 *         return nas_proxy_gradients(self, subnet, add, value, err);
 *     }
 *     static const nas_option options[] = {NAS_PROXY_LABELLED_OPTIONS, {0}};
 *     static const nas_plugin plugin = {
 *         NAS_PROXY(score),
 *         .options = options,
 *         .config_size = sizeof(nas_proxy_labelled),
 *         .id = "grad_squares",
 *         .version = "0.1.0",
 *         .summary = "sum of the squares of the kernels' gradients",
 *         .license = "Apache-2.0",
 *         .source = "where the method is described",
 *     };
 *     const nas_plugin *nas_plugin_entry(void) {
 *         return &plugin;
 *     }
 */
#ifndef NASHOST_KIT_PROXY_H
#define NASHOST_KIT_PROXY_H

#include <nashost/score.h>

/* ---- Options: rows of a table ---- */

/* config: the structure that the options fill; it has a field `int64_t images`. fallback: text,
 * such as "64". */
#define NAS_PROXY_IMAGES(config, fallback, least, help)                                            \
    NAS_INT("images", config, images, fallback, least, 4096, "images", help)

/* A field `int weights`, a nas_probe_weights. fallback: "initial", "inherited" or "normal". */
#define NAS_PROXY_WEIGHTS(config, fallback)                                                        \
    NAS_ENUM("weights", config, weights, "\"" fallback "\"",                                       \
             ((const char *const[]){NAS_PROBE_WEIGHTS_CHOICES, NULL}),                             \
             "which weights the subnet has: initial, a new network's; inherited, the "             \
             "supernet's; normal, drawn from N(0, 1)")

/* What a score of one batch of labelled images asks its user, and its table's rows. */
typedef struct nas_proxy_labelled {
    int64_t images;
    int batch;   /* 0: random labelled images; 1: the classes take turns */
    int weights; /* nas_probe_weights */
} nas_proxy_labelled;

#define NAS_PROXY_LABELLED_OPTIONS                                                                 \
    NAS_PROXY_IMAGES(nas_proxy_labelled, "64", 1,                                                  \
                     "number of labelled images in the batch that the score looks at"),            \
        NAS_ENUM("batch", nas_proxy_labelled, batch, "\"random\"",                                 \
                 ((const char *const[]){"random", "balanced", NULL}),                              \
                 "how the batch's labelled images are chosen: random, or balanced, the classes "   \
                 "taking turns"),                                                                  \
        NAS_PROXY_WEIGHTS(nas_proxy_labelled, "initial")

/* ---- Calls ---- */

/* The sum that add gathers in *value, its context, over the layers with the gradients of the mean
 * cross-entropy of a batch as the options say. Errors as nas_probe_run. [main] */
int nas_proxy_gradients(const nas_proxy_labelled *options, const nas_subnet *subnet,
                        void (*add)(void *context, const nas_probe_layer *at), double *value,
                        nas_error *err);

/* A start() that needs nothing of the largest subnet. [main] */
int nas_proxy_start(void *self, const nas_subnet *largest, nas_error *err);

/* ---- The descriptor ---- */

/* What the descriptors of such scores have in common; score as nas_score_api's. */
#define NAS_PROXY(score) NAS_PROXY_CHECKED(score, NULL)

/* The same with nas_score_api's check. */
#define NAS_PROXY_CHECKED(score, check)                                                            \
    .kind = NAS_KIND_SCORE, .create = nas_plain_create, .destroy = nas_plain_destroy,              \
    NAS_DESCRIPTOR, .vtable = &(const nas_score_api) {                                             \
        sizeof(nas_score_api), nas_proxy_start, score, check                                       \
    }

#endif
