#include "stages/probing.h"

#include "base/memory.h"
#include "base/rng.h"
#include "data/loader.h"
#include "supernet/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

static nas_rng open_stream(const nas_context *context, const nas_probe *probe, uint64_t stream,
                           uint64_t sample) {
    uint64_t step = (uint64_t)probe->draw * NAS_PROBE_STREAMS + stream;
    return nas_rng_open(context->seed, NAS_RNG_PROBE, step, sample);
}

/* ---- Which images ---- */

static bool labelled(const nas_probe *probe) {
    return probe->images == NAS_PROBE_LABELLED || probe->images == NAS_PROBE_BALANCED;
}

/* The labelled images, or all but those of validation. */
static int list_images(const nas_context *context, const nas_probe *probe, uint64_t **order,
                       uint64_t *n, nas_error *err) {
    const nas_split_sets *split = &context->split;
    uint64_t most = labelled(probe) ? split->n_labelled : split->n_train, next = 0;
    *order = nas_alloc(most, sizeof **order);
    if (!*order) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu indices", (ull)most);
    *n = 0;
    for (uint64_t i = 0; i < most; i++) {
        if (labelled(probe))
            (*order)[(*n)++] = split->labelled[i];
        else if (next < split->n_validation && split->validation[next] == i)
            next++;
        else
            (*order)[(*n)++] = i;
    }
    if (*n) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: a score asks for %s images, and the split has none",
                    context->pipeline->file, labelled(probe) ? "labelled" : "training");
}

typedef struct place {
    uint64_t turn, index;
    int32_t label;
} place;

static int by_turn(const void *left, const void *right) {
    const place *a = left, *b = right;
    if (a->turn != b->turn) return a->turn < b->turn ? -1 : 1;
    return (a->label > b->label) - (a->label < b->label);
}

/* Lets the classes take turns: every class's first image, every class's second one, ... */
static int take_turns(const nas_context *context, uint64_t *order, uint64_t n, nas_error *err) {
    const int32_t *labels = context->source.train.labels;
    place *places = nas_alloc(n, sizeof *places);
    uint64_t *seen = nas_alloc(context->source.info.classes, sizeof *seen);
    int rc = NAS_OK;
    if (!places || !seen)
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu indices", (ull)n);
    for (uint64_t i = 0; i < n && !rc; i++) {
        int32_t label = labels[order[i]];
        places[i] = (place){seen[label]++, order[i], label};
    }
    if (!rc) qsort(places, n, sizeof *places, by_turn);
    for (uint64_t i = 0; i < n && !rc; i++) order[i] = places[i].index;
    free(places);
    free(seen);
    return rc;
}

int nas_probing_order(const nas_context *context, const nas_probe *probe, uint64_t **order,
                      uint64_t *n, nas_error *err) {
    *order = NULL;
    *n = 0;
    if (probe->images != NAS_PROBE_UNLABELLED && !labelled(probe)) return NAS_OK;
    int rc = list_images(context, probe, order, n, err);
    nas_rng rng = open_stream(context, probe, NAS_PROBE_STREAM_ORDER, 0);
    if (!rc) nas_rng_shuffle(&rng, *order, *n);
    if (!rc && probe->images == NAS_PROBE_BALANCED) rc = take_turns(context, *order, *n, err);
    if (!rc) return NAS_OK;
    free(*order);
    *order = NULL;
    return rc;
}

/* ---- The batch ---- */

typedef struct making {
    const nas_context *context;
    const nas_probe *probe;
    nas_shape shape;       /* of the images that the network reads */
    double *images;        /* [count][shape] */
    int32_t *labels;       /* [count] */
    float *read, *resized; /* room for an image */
    uint8_t *room;         /* [h][w][c] */
} making;

static int read_image(making *m, uint64_t index, double *to, nas_error *err) {
    const nas_source *source = &m->context->source;
    const nas_dataset_info *info = &source->info;
    size_t size = (size_t)info->height * info->width * info->channels;
    const float *from = m->read;
    const uint8_t *pixels;
    int rc = nas_images_at(&source->train, size, index, m->room, &pixels, err);
    if (rc) return rc;
    nas_normalise(source, pixels, size, m->read);
    if (m->shape.h != info->height || m->shape.w != info->width) {
        nas_engine_resize(m->resized, m->shape.h, m->read, info->height, info->width,
                          info->channels);
        from = m->resized;
    }
    for (size_t i = 0; i < nas_shape_elements(m->shape); i++) to[i] = (double)from[i];
    return NAS_OK;
}

/* The batch's images, number `first` and on of the order [n]. */
static int fill_batch(making *m, const uint64_t *order, uint64_t n, uint64_t first, uint32_t count,
                      nas_error *err) {
    const nas_probe *probe = m->probe;
    int rc = NAS_OK;
    for (uint64_t i = 0; i < count && !rc; i++) {
        double *to = m->images + i * nas_shape_elements(m->shape);
        uint64_t index = n ? order[(first + i) % n] : 0;
        if (n) rc = read_image(m, index, to, err);
        if (labelled(probe)) m->labels[i] = m->context->source.train.labels[index];
        for (size_t j = 0; probe->images == NAS_PROBE_ONES && j < nas_shape_elements(m->shape); j++)
            to[j] = 1;
        nas_rng rng = open_stream(m->context, probe, NAS_PROBE_STREAM_IMAGES, first + i);
        for (size_t j = 0; probe->images == NAS_PROBE_NORMAL && j < nas_shape_elements(m->shape);
             j++)
            to[j] = nas_rng_normal(&rng);
        rng = open_stream(m->context, probe, NAS_PROBE_STREAM_NOISE, first + i);
        for (size_t j = 0; probe->noise != 0 && j < nas_shape_elements(m->shape); j++)
            to[j] += probe->noise * nas_rng_normal(&rng);
    }
    return rc;
}

static int make_batch(making *m, nas_probe_batch *batch, nas_error *err) {
    const nas_dataset_info *info = &m->context->source.info;
    uint64_t *order, n;
    int rc = nas_probing_order(m->context, m->probe, &order, &n, err);
    if (rc) return rc;
    uint32_t count = n && n < m->probe->count ? (uint32_t)n : m->probe->count;
    m->images = nas_alloc(count, nas_shape_elements(m->shape) * sizeof *m->images);
    m->labels = nas_alloc(count, sizeof *m->labels);
    m->read = nas_alloc((size_t)info->height * info->width * info->channels, sizeof *m->read);
    m->resized = nas_alloc(nas_shape_elements(m->shape), sizeof *m->resized);
    m->room = nas_alloc((size_t)info->height * info->width, info->channels);
    if (m->images && m->labels && m->read && m->resized && m->room)
        rc = fill_batch(m, order, n, (uint64_t)m->probe->batch * count, count, err);
    else
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %u images of a score; use fewer",
                      count);
    free(order);
    *batch = (nas_probe_batch){count, m->images, labelled(m->probe) ? m->labels : NULL};
    return rc;
}

/* ---- Checks ---- */

static int check(const nas_context *context, const nas_probe *probe, nas_error *err) {
    const struct {
        const char *name;
        uint32_t found, most;
    } fields[] = {{"images", probe->images, NAS_PROBE_ONES},
                  {"weights", probe->weights, NAS_PROBE_NORMAL_WEIGHTS},
                  {"norm", probe->norm, NAS_PROBE_IDENTITY},
                  {"objective", probe->objective, NAS_PROBE_LOGIT_SUM}};
    const char *id = context->score.plugin->id;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].found > fields[i].most)
            return nas_fail(err, NAS_ERR_PLUGIN, "plugin '%s' probes with %s %u; expected 0 to %u",
                            id, fields[i].name, fields[i].found, fields[i].most);
    if (!probe->count || !isfinite(probe->noise))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "plugin '%s' probes %u images with noise %g; expected at least one, and "
                        "finite noise",
                        id, probe->count, probe->noise);
    if (probe->objective != NAS_PROBE_CROSS_ENTROPY || labelled(probe)) return NAS_OK;
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "plugin '%s' probes with cross-entropy on images without labels; expected "
                    "labelled ones",
                    id);
}

int nas_probing_run(const nas_context *context, const nas_network *network, const nas_probe *probe,
                    nas_pool *pool, nas_error *err) {
    nas_probe how = {0}; /* fields that the plugin does not know are 0 */
    memcpy(&how, probe, probe->size < sizeof how ? probe->size : sizeof how);
    int rc = check(context, &how, err);
    if (rc) return rc;
    making m = {.context = context, .probe = &how, .shape = network->image};
    nas_probe_batch batch = {0};
    rc = make_batch(&m, &batch, err);
    if (!rc)
        rc = nas_supernet_probe(context->supernet, network, &how, context->seed, &batch, pool, err);
    free(m.images);
    free(m.labels);
    free(m.read);
    free(m.resized);
    free(m.room);
    return rc;
}
