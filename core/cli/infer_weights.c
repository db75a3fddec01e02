#include "base/json.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/weights.h"
#include "data/npy.h"
#include "supernet/fold.h"
#include "supernet/pretrained.h"
#include "supernet/runner.h"

#include <stdlib.h>

typedef struct work {
    const nas_infer_request *what;
    nas_weights weights;
    nas_named subnet;
    nas_supernet *supernet;
    nas_bn_stats stats;
    nas_lowered *lowered;
    float *memory; /* folded weights */
    nas_npy_images images;
    float *logits; /* [images.n][classes] */
} work;

/* The subnet with its own statistics folded in, as an export would have it. */
static int fold_subnet(work *w, nas_error *err) {
    const char *path = w->what->weights;
    const nas_space *space = &w->weights.space;
    nas_log log = {stderr, NAS_INFO};
    int rc = nas_supernet_create(space, 0, false, &w->supernet, err);
    if (!rc) rc = nas_pretrained_fill(&w->weights.file, path, false, w->supernet, &log, err);
    if (!rc)
        rc = nas_pretrained_stats(&w->weights.file, path, space, &w->subnet.genome, &w->stats, err);
    if (!rc) rc = nas_lower(space, &w->subnet.genome, &w->lowered, err);
    if (!rc)
        rc = nas_fold(w->supernet, w->supernet->weights, &w->stats, w->lowered, &w->memory, err);
    if (rc) return rc;
    w->lowered->network.mean = space->input.mean;
    w->lowered->network.std = space->input.std;
    if (space->input.std[0] > 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: its space does not say how pixels are normalised (\"input\"); run images "
                    "by the run directory instead",
                    path);
}

static int check_images(const work *w, nas_error *err) {
    nas_shape image = w->lowered->network.image;
    const nas_npy_images *images = &w->images;
    if (images->h == image.h && images->w == image.w && images->c == image.c) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: expected images of %u x %u x %u, the subnet's resolution; found %u x %u x "
                    "%u. Give a --genome of another resolution, or other images",
                    w->what->input, image.h, image.w, image.c, images->h, images->w, images->c);
}

static int run_images(work *w, int threads, nas_error *err) {
    const nas_network *network = &w->lowered->network;
    nas_pool *pool = NULL;
    nas_runner *runner = NULL;
    w->logits = nas_alloc(w->images.n, network->classes * sizeof *w->logits);
    int rc = w->logits ? nas_pool_create(threads, &pool, err)
                       : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", w->what->input);
    if (!rc) rc = nas_runner_create(network, false, pool, threads, &runner, err);
    if (!rc) nas_runner_logits(runner, w->images.pixels, w->images.n, w->logits);
    nas_runner_destroy(runner);
    nas_pool_destroy(pool);
    if (rc) return rc;
    return nas_npy_write(w->what->logits, w->logits, w->images.n, network->classes, err);
}

static json_t *work_json(const work *w) {
    json_t *json = json_object();
    nas_json_put(&json, "logits", nas_text_json(w->what->logits));
    nas_json_put(&json, "images", nas_count_json(w->images.n));
    nas_json_put(&json, "classes", nas_count_json(w->weights.space.classes));
    nas_json_put(&json, "subnet", nas_text_json(w->subnet.name));
    nas_json_put(&json, "genome", nas_genome_to_json(&w->weights.space, &w->subnet.genome));
    return json;
}

static int infer(work *w, int threads, nas_error *err) {
    const nas_infer_request *what = w->what;
    int rc = nas_weights_open(what->weights, &w->weights, err);
    if (!rc) rc = nas_subnets_one(&w->weights.space, NULL, what->genome, NULL, &w->subnet, err);
    if (!rc) rc = fold_subnet(w, err);
    if (!rc) rc = nas_npy_read(what->input, &w->images, err);
    if (!rc) rc = check_images(w, err);
    return rc ? rc : run_images(w, threads, err);
}

int nas_infer_weights(const nas_infer_request *what, int threads, json_t **result, nas_error *err) {
    work w = {.what = what};
    int rc = infer(&w, threads, err);
    *result = rc ? NULL : work_json(&w);
    if (!rc && !*result) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", what->logits);
    nas_lowered_free(w.lowered);
    nas_supernet_destroy(w.supernet);
    nas_weights_close(&w.weights);
    nas_npy_free(&w.images);
    free(w.stats.mean);
    free(w.stats.var);
    free(w.memory);
    free(w.logits);
    return rc;
}
