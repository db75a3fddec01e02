#include "supernet/runner.h"

#include "base/memory.h"
#include "supernet/runner_ops.h"

#include <stdlib.h>

/* ---- Where tensors lie ---- */

/* The last layer that reads layer i's result, or the image (i = n_layers). */
static uint32_t last_reader(const nas_network *net, uint32_t i) {
    int32_t index = i == net->n_layers ? NAS_INPUT_IMAGE : (int32_t)i;
    uint32_t last = i == net->n_layers ? 0 : i;
    for (uint32_t k = 0; k < net->n_layers; k++) {
        const nas_layer *layer = nas_network_layer(net, k);
        if (layer->input[0] == index || layer->input[1] == index) last = k;
    }
    return last;
}

static size_t padded(size_t values) {
    return (values + 15) / 16 * 16;
}

/* Gives each tensor a slot that no living one has, slot[] by tensor and size[] by slot; the image
 * comes first. Returns the slots' number. */
static uint32_t assign(const nas_network *net, uint32_t *slot, uint32_t *until, size_t *size) {
    uint32_t slots = 0, n = net->n_layers;
    for (uint32_t k = 0; k <= n; k++) {
        uint32_t i = k ? k - 1 : n, at = 0;
        nas_shape shape = i == n ? net->image : nas_network_layer(net, i)->out;
        while (at < slots && until[at] >= i) at++;
        if (at == slots) slots++;
        slot[i] = at;
        until[at] = last_reader(net, i);
        if (padded(nas_shape_elements(shape)) > size[at])
            size[at] = padded(nas_shape_elements(shape));
    }
    return slots;
}

/* Fills place; *values: all slots. */
static int place_tensors(nas_runner *r, size_t *values, nas_error *err) {
    uint32_t n = r->network->n_layers;
    uint32_t *slot = nas_alloc(n + 1u, sizeof *slot), *until = nas_alloc(n + 1u, sizeof *until);
    size_t *size = nas_alloc(n + 2u, sizeof *size);
    r->place = nas_alloc(n + 1u, sizeof *r->place);
    *values = 0;
    bool good = slot && until && size && r->place;
    uint32_t slots = good ? assign(r->network, slot, until, size) : 0;
    for (uint32_t s = 0; s < slots; s++) {
        for (uint32_t i = 0; i <= n; i++)
            if (slot[i] == s) r->place[i] = *values;
        *values += size[s];
    }
    free(slot);
    free(until);
    free(size);
    return good ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory to run a subnet");
}

/* ---- Creation ---- */

/* The most that one layer needs of a lane's parts. */
typedef struct needs {
    size_t tensors, columns, sums, scratch, widest, weights;
} needs;

static void grow(size_t *most, size_t values) {
    if (padded(values) > *most) *most = padded(values);
}

static void add_needs(const nas_layer *layer, needs *all) {
    bool dense = layer->op == NAS_OP_CONV || layer->op == NAS_OP_LINEAR;
    const nas_depthwise shape = nas_runner_shape(layer);
    if (dense && !nas_runner_direct(layer))
        grow(&all->columns,
             (size_t)layer->out.h * layer->out.w * layer->kernel * layer->kernel * layer->in.c);
    if (layer->op == NAS_OP_DEPTHWISE) grow(&all->scratch, nas_depthwise_scratch(&shape));
    grow(&all->sums, nas_shape_elements(layer->out));
    grow(&all->widest, layer->out.c);
    grow(&all->widest, layer->in.c);
    all->weights += padded(layer->weights);
}

static void copy_weights(nas_runner *r, nas_real *to) {
    for (uint32_t i = 0; i < r->network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(r->network, i);
        r->weight[i] = to;
        for (uint64_t k = 0; k < layer->weights; k++)
            to[k] = r->int8 ? (nas_real)r->layers[i].weight[k] : (nas_real)layer->weight[k];
        to += padded(layer->weights);
    }
}

static void fill_pixels(nas_runner *r) {
    const nas_network *net = r->network;
    for (uint32_t c = 0; c < net->image.c; c++)
        for (uint32_t p = 0; p < 256; p++) {
            int whole = nas_int8_pixel(net, c, (uint8_t)p) - nas_int8_image(net).zero;
            float value = ((float)p / 255 - net->mean[c]) / net->std[c];
            r->pixel[c * 256 + p] = r->int8 ? (nas_real)whole : (nas_real)value;
        }
}

static void cut_lanes(nas_runner *r, const needs *all) {
    nas_real *at = r->work;
    for (int t = 0; t < r->threads; t++) {
        r->lanes[t].tensors = at;
        r->lanes[t].columns = r->lanes[t].tensors + all->tensors;
        r->lanes[t].sums = r->lanes[t].columns + all->columns;
        r->lanes[t].scratch = r->lanes[t].sums + all->sums;
        at = r->lanes[t].scratch + all->scratch;
        r->lanes[t].whole = (int32_t *)(void *)at;
        at += all->sums; /* nas_real is at least as wide */
    }
}

static int allocate(nas_runner *r, nas_error *err) {
    needs all = {0};
    int rc = place_tensors(r, &all.tensors, err);
    if (rc) return rc;
    for (uint32_t i = 0; i < r->network->n_layers; i++)
        add_needs(nas_network_layer(r->network, i), &all);
    size_t each = all.tensors + all.columns + 2 * all.sums + all.scratch;
    r->weight = nas_alloc(r->network->n_layers, sizeof *r->weight);
    size_t pixels = (size_t)r->network->image.c * 256;
    r->memory = nas_alloc(all.weights + 2 * all.widest + pixels, sizeof *r->memory);
    r->work = nas_alloc((size_t)r->threads, each * sizeof *r->work);
    r->lanes = nas_alloc((size_t)r->threads, sizeof *r->lanes);
    if (!r->weight || !r->memory || !r->work || !r->lanes)
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory to run a subnet");
    r->ones = r->memory + all.weights;
    r->zeros = r->ones + all.widest;
    r->pixel = r->zeros + all.widest;
    for (size_t c = 0; c < all.widest; c++) r->ones[c] = 1;
    fill_pixels(r);
    copy_weights(r, r->memory);
    cut_lanes(r, &all);
    return NAS_OK;
}

int nas_runner_create(const nas_network *network, bool int8, nas_pool *pool, int threads,
                      nas_runner **runner, nas_error *err) {
    nas_runner *r = *runner = nas_alloc(1, sizeof *r);
    if (!r) return nas_fail(err, NAS_ERR_MEMORY, "out of memory to run a subnet");
    *r = (nas_runner){.network = network,
                      .kernels = nas_kernels_pick(),
                      .pool = pool,
                      .threads = threads < 1 ? 1 : threads,
                      .int8 = int8};
    int rc = int8 ? nas_int8_make_all("int8", network, &r->layers, err) : NAS_OK;
    if (!rc) rc = allocate(r, err);
    if (!rc) return NAS_OK;
    nas_runner_destroy(r);
    *runner = NULL;
    return rc;
}

void nas_runner_destroy(nas_runner *r) {
    if (!r) return;
    nas_int8_free_all(r->network, r->layers);
    free(r->weight);
    free(r->place);
    free(r->memory);
    free(r->work);
    free(r->lanes);
    free(r);
}

/* ---- Running ---- */

static void load_image(const nas_runner *r, const uint8_t *pixels, nas_real *to) {
    size_t n = nas_shape_elements(r->network->image), channels = r->network->image.c;
    for (size_t c = 0; c < channels; c++)
        for (size_t j = c; j < n; j += channels) to[j] = r->pixel[c * 256 + pixels[j]];
}

static void run_chunk(void *context, int chunk, int thread) {
    const nas_runner *r = context;
    const nas_runner_lane *l = &r->lanes[thread];
    const nas_network *net = r->network;
    size_t area = nas_shape_elements(net->image), layers = net->n_layers;
    uint64_t first = r->n * (uint64_t)chunk / NAS_CHUNKS;
    uint64_t end = r->n * (uint64_t)(chunk + 1) / NAS_CHUNKS;
    for (uint64_t image = first; image < end; image++) {
        nas_range *ranges = r->ranges ? r->ranges + image * 2 * layers : NULL;
        float *logits = r->logits ? r->logits + image * net->classes : NULL;
        load_image(r, r->pixels + image * area, l->tensors + r->place[layers]);
        for (uint32_t i = 0; i < layers; i++) nas_runner_layer(r, i, l, ranges, logits);
    }
}

static void run(nas_runner *r, const uint8_t *pixels, uint64_t n, float *logits) {
    r->pixels = pixels;
    r->n = n;
    r->logits = logits;
    nas_parallel(r->pool, NAS_CHUNKS, false, run_chunk, r);
}

void nas_runner_logits(nas_runner *r, const uint8_t *pixels, uint64_t n, float *logits) {
    r->ranges = NULL;
    run(r, pixels, n, logits);
}

void nas_runner_measure(nas_runner *r, const uint8_t *pixels, uint64_t n, nas_range *ranges) {
    r->ranges = ranges;
    run(r, pixels, n, NULL);
}
