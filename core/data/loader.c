#include "data/loader.h"

#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Draws one epoch's permutation after the other. Draw number d is a pure function of the seed. */
typedef struct sampler {
    uint64_t seed, n, epoch;
    nas_purpose purpose;
    uint64_t *order; /* [n], of `epoch` */
} sampler;

/* A thread with room for the images that it works on, [h][w][c] each. */
typedef struct worker {
    nas_loader *loader;
    pthread_t thread;
    uint8_t *decoded, *image, *scratch;
} worker;

enum { BATCHES = 2, PORTION = 4 }; /* PORTION: images that a thread takes at once */

/* A batch in the making: which images, and how far it is. */
typedef struct work {
    uint64_t *labelled;  /* [batch], into the training images */
    uint32_t next, done; /* of the batch's images: labelled, then unlabelled ones */
    uint32_t failed;     /* the first image that could not be read; UINT32_MAX: none */
    nas_error why;
} work;

struct nas_loader {
    const nas_source *source;
    const nas_split_sets *split;
    nas_loader_config config;
    float table[3][256]; /* normalised grey levels */
    uint64_t *pool;      /* [pool_train], the training images of the unlabelled pool */
    uint64_t *extra;     /* [pool_extra], and then the unlabelled ones */
    uint64_t pool_train, pool_extra;
    bool *known; /* [train.n], whose label the training sees */
    sampler labelled, unlabelled;
    nas_batch batches[BATCHES]; /* batch number i is in batches[i % 2] */
    work works[BATCHES];        /* of the same batch */

    worker workers[NAS_LOADER_THREADS];
    int started;
    bool primitives;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t next_step; /* of the batch to begin next; under mutex, as is all below */
    uint64_t begun, made, handed, freed; /* batches so far */
    bool stop;
};

static void shuffle(sampler *s, uint64_t epoch) {
    for (uint64_t i = 0; i < s->n; i++) s->order[i] = i;
    nas_rng rng = nas_rng_open(s->seed, s->purpose, epoch, 0);
    nas_rng_shuffle(&rng, s->order, s->n);
    s->epoch = epoch;
}

static uint64_t draw(sampler *s, uint64_t number) {
    if (number / s->n != s->epoch) shuffle(s, number / s->n);
    return s->order[number % s->n];
}

static int sampler_init(sampler *s, uint64_t seed, nas_purpose purpose, uint64_t n,
                        nas_error *err) {
    *s = (sampler){.seed = seed, .n = n, .purpose = purpose};
    s->order = nas_alloc(n, sizeof *s->order);
    if (!s->order) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for the order of images");
    shuffle(s, 0);
    return NAS_OK;
}

static void make_table(const nas_source *source, float table[3][256]) {
    for (uint32_t c = 0; c < source->info.channels; c++)
        for (int x = 0; x < 256; x++)
            table[c][x] = ((float)x / 255.0f - source->mean[c]) / source->std[c];
}

static void normalise(float table[3][256], const uint8_t *pixels, size_t n, uint32_t channels,
                      float *out) {
    if (channels == 1)
        for (size_t i = 0; i < n; i++) out[i] = table[0][pixels[i]];
    else
        for (size_t i = 0; i < n; i += 3)
            for (size_t c = 0; c < 3; c++) out[i + c] = table[c][pixels[i + c]];
}

void nas_normalise(const nas_source *source, const uint8_t *pixels, size_t n, float *images) {
    float table[3][256];
    make_table(source, table);
    normalise(table, pixels, n, source->info.channels, images);
}

/* The label of image `at` of the unlabelled pool, if the training does not see it; else -1. */
static int32_t hidden_label(const nas_loader *l, uint64_t at) {
    if (at >= l->pool_train) return l->source->extra.labels[l->extra[at - l->pool_train]];
    return l->known[l->pool[at]] ? -1 : l->source->train.labels[l->pool[at]];
}

/* ---- A batch ---- */

/* Draws a step's images: the only part that has an order. Under mutex. */
static void begin(nas_loader *l) {
    nas_batch *batch = &l->batches[l->begun % BATCHES];
    work *w = &l->works[l->begun % BATCHES];
    batch->step = l->next_step++;
    for (uint32_t i = 0; i < batch->labelled; i++) {
        uint64_t number = batch->step * batch->labelled + i;
        w->labelled[i] = l->split->labelled[draw(&l->labelled, number)];
        batch->labels[i] = l->source->train.labels[w->labelled[i]];
    }
    for (uint32_t i = 0; i < batch->unlabelled; i++) {
        uint64_t at = draw(&l->unlabelled, batch->step * batch->unlabelled + i);
        batch->indices[i] = at;
        batch->hidden_labels[i] = hidden_label(l, at);
    }
    w->next = w->done = 0;
    w->failed = UINT32_MAX;
    l->begun++;
}

/* Augments one image by the stream (step, slot) and normalises it to out. Slots: view 0 is the
 * labelled images, view v + 1 the unlabelled ones' view v. */
static void make_image(const worker *w, nas_augment augment, uint64_t step, uint32_t view,
                       uint32_t number, const uint8_t *pixels, float *out) {
    nas_loader *l = w->loader;
    const nas_dataset_info *info = &l->source->info;
    uint32_t height = info->height, width = info->width, c = info->channels;
    nas_rng rng = nas_rng_open(l->config.seed, NAS_RNG_AUGMENT, step, view << 24 | number);
    if (augment == NAS_AUGMENT_STRONG)
        nas_augment_strong(&l->config.augment, &rng, pixels, w->image, w->scratch, height, width, c,
                           l->source->fill);
    else
        nas_augment_weak(&l->config.augment, &rng, pixels, w->image, height, width, c);
    normalise(l->table, w->image, nas_source_area(l->source), c, out);
}

/* Of several ranks, each makes the images of its own chunks alone. */
static bool is_needed(const nas_loader *l, uint32_t image) {
    return !l->config.needed || l->config.needed[image];
}

static int make_labelled(const worker *w, const work *of, uint32_t i, nas_batch *batch,
                         nas_error *err) {
    const nas_source *source = w->loader->source;
    size_t size = nas_source_area(source);
    const uint8_t *pixels;
    if (!is_needed(w->loader, i)) return NAS_OK;
    int rc = nas_images_at(&source->train, size, of->labelled[i], w->decoded, &pixels, err);
    if (!rc)
        make_image(w, NAS_AUGMENT_WEAK, batch->step, 0, i, pixels,
                   batch->labelled_images + i * size);
    return rc;
}

static int make_unlabelled(const worker *w, uint32_t i, nas_batch *batch, nas_error *err) {
    const nas_loader *l = w->loader;
    size_t size = nas_source_area(l->source);
    uint64_t at = batch->indices[i];
    bool train = at < l->pool_train;
    const nas_images *images = train ? &l->source->train : &l->source->extra;
    uint64_t in = train ? l->pool[at] : l->extra[at - l->pool_train];
    const uint8_t *pixels = NULL;
    int rc = NAS_OK;
    for (uint32_t v = 0; v < batch->n_views && !rc; v++) {
        if (!is_needed(l, batch->labelled + v * batch->unlabelled + i)) continue;
        if (!pixels) rc = nas_images_at(images, size, in, w->decoded, &pixels, err);
        if (rc) break;
        make_image(w, l->config.view[v], batch->step, v + 1, i, pixels, batch->views[v] + i * size);
    }
    return rc;
}

/* Makes image i of a batch, all its views; the labelled ones come first. */
static int make(const worker *w, const work *of, uint32_t i, nas_batch *batch, nas_error *err) {
    if (i < batch->labelled) return make_labelled(w, of, i, batch, err);
    return make_unlabelled(w, i - batch->labelled, batch, err);
}

/* ---- The threads ---- */

/* Takes a portion of the batch in the making, or begins one; false: there is nothing to do now.
 * Under mutex. */
static bool take(nas_loader *l, uint32_t *first, uint32_t *n) {
    uint32_t images = l->config.batch + l->config.unlabelled;
    work *of = &l->works[l->made % BATCHES];
    if (l->begun == l->made) {
        if (l->begun - l->freed == BATCHES) return false;
        begin(l);
        pthread_cond_broadcast(&l->changed);
    }
    if (of->next == images) return false;
    *first = of->next;
    *n = images - of->next < PORTION ? images - of->next : PORTION;
    of->next += *n;
    return true;
}

/* Of several that fail, the first image is told, whichever thread comes first. Under mutex. */
static void note_failure(work *of, uint32_t image, int code, const nas_error *why) {
    if (image >= of->failed) return;
    of->failed = image;
    of->why = *why;
    of->why.code = code;
}

static void do_portion(worker *w, uint32_t first, uint32_t n) {
    nas_loader *l = w->loader;
    work *of = &l->works[l->made % BATCHES];
    nas_batch *batch = &l->batches[l->made % BATCHES];
    nas_error why = {0};
    int rc = NAS_OK;
    uint32_t i = first;
    pthread_mutex_unlock(&l->mutex);
    for (; i < first + n && !rc; i++) rc = make(w, of, i, batch, &why);
    pthread_mutex_lock(&l->mutex);
    if (rc) note_failure(of, i - 1, rc, &why);
    of->done += n;
    if (of->done < batch->labelled + batch->unlabelled) return;
    l->made++;
    pthread_cond_broadcast(&l->changed);
}

static void *produce(void *context) {
    worker *w = context;
    nas_loader *l = w->loader;
    uint32_t first, n;
    pthread_mutex_lock(&l->mutex);
    while (!l->stop)
        if (take(l, &first, &n))
            do_portion(w, first, n);
        else
            pthread_cond_wait(&l->changed, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

int nas_loader_next(nas_loader *l, const nas_batch **batch, nas_error *err) {
    pthread_mutex_lock(&l->mutex);
    l->freed = l->handed;
    pthread_cond_broadcast(&l->changed);
    while (l->made == l->handed) pthread_cond_wait(&l->changed, &l->mutex);
    uint64_t at = l->handed++ % BATCHES;
    pthread_mutex_unlock(&l->mutex);
    *batch = &l->batches[at];
    const work *of = &l->works[at];
    if (of->failed == UINT32_MAX) return NAS_OK;
    return nas_fail(err, of->why.code, "step %llu: %s", (unsigned long long)l->batches[at].step,
                    of->why.message);
}

/* ---- Opening and closing ---- */

uint64_t nas_loader_pool(const nas_loader *l) {
    return l->pool_train + l->pool_extra;
}

uint64_t nas_loader_judged(const nas_loader *l) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < nas_loader_pool(l); i++) n += hidden_label(l, i) >= 0;
    return n;
}

size_t nas_loader_bytes(const nas_loader *l) {
    size_t images = l->config.batch + (size_t)l->config.n_views * l->config.unlabelled;
    size_t lists = l->labelled.n + l->unlabelled.n + l->pool_train + l->pool_extra;
    size_t area = nas_source_area(l->source);
    return BATCHES * images * area * sizeof(float) + lists * sizeof(uint64_t) +
           l->source->train.n * sizeof *l->known + 3 * area * (size_t)l->config.threads;
}

static int make_batch(const nas_loader *l, nas_batch *batch, work *of, nas_error *err) {
    size_t size = nas_source_area(l->source);
    batch->labelled = l->config.batch;
    batch->unlabelled = l->config.unlabelled;
    batch->n_views = l->config.n_views;
    batch->labelled_images = nas_alloc(batch->labelled * size, sizeof(float));
    batch->labels = nas_alloc(batch->labelled, sizeof *batch->labels);
    batch->indices = nas_alloc(batch->unlabelled, sizeof *batch->indices);
    batch->hidden_labels = nas_alloc(batch->unlabelled, sizeof *batch->hidden_labels);
    of->labelled = nas_alloc(batch->labelled, sizeof *of->labelled);
    bool done = batch->labelled_images && batch->labels && batch->indices && batch->hidden_labels &&
                of->labelled;
    for (uint32_t v = 0; v < batch->n_views; v++) {
        batch->views[v] = nas_alloc(batch->unlabelled * size, sizeof(float));
        done = done && batch->views[v];
    }
    return done ? NAS_OK
                : nas_fail(err, NAS_ERR_MEMORY, "out of memory for a batch of %u + %u images",
                           batch->labelled, batch->unlabelled);
}

static int check(const nas_source *source, const nas_split_sets *split,
                 const nas_loader_config *config, nas_error *err) {
    if (split->n_train != source->train.n)
        return nas_fail(err, NAS_ERR_INPUT,
                        "the split is of %llu training images, but the data set has %llu",
                        (unsigned long long)split->n_train, (unsigned long long)source->train.n);
    if (split->n_extra != source->extra.n)
        return nas_fail(err, NAS_ERR_INPUT,
                        "the split is of %llu unlabelled images, but the data set has %llu",
                        (unsigned long long)split->n_extra, (unsigned long long)source->extra.n);
    if (!split->n_labelled || !config->batch)
        return nas_fail(err, NAS_ERR_INPUT, "training needs at least one labelled image");
    if (config->batch >= 1u << 24 || config->unlabelled >= 1u << 24)
        return nas_fail(err, NAS_ERR_INPUT, "a batch of %u + %u images; expected less than %u each",
                        config->batch, config->unlabelled, 1u << 24);
    if (config->n_views > NAS_SSL_MAX_VIEWS)
        return nas_fail(err, NAS_ERR_INPUT, "%u views; expected at most %d", config->n_views,
                        NAS_SSL_MAX_VIEWS);
    return NAS_OK;
}

static int note_known(nas_loader *l, nas_error *err) {
    const nas_split_sets *split = l->split;
    l->known = nas_alloc(split->n_train, sizeof *l->known);
    if (!l->known) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for the loader");
    for (uint64_t i = 0; i < split->n_labelled; i++) l->known[split->labelled[i]] = true;
    return NAS_OK;
}

static int make_room(nas_loader *l, worker *w, nas_error *err) {
    size_t area = nas_source_area(l->source);
    w->loader = l;
    w->decoded = nas_alloc(3, area);
    if (!w->decoded) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    w->image = w->decoded + area;
    w->scratch = w->image + area;
    return NAS_OK;
}

static int prepare(nas_loader *l, nas_error *err) {
    const nas_source *source = l->source;
    make_table(source, l->table);
    l->pool_train = nas_split_pool_size(l->split);
    l->pool_extra = nas_split_extra_size(l->split);
    int rc = nas_split_pool(l->split, &l->pool, err);
    if (!rc) rc = nas_split_extra(l->split, &l->extra, err);
    if (!rc) rc = note_known(l, err);
    if (!rc && l->config.unlabelled && !nas_loader_pool(l))
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "no image is left for the unlabelled pool; ask for fewer "
                      "validation and heldout images");
    if (!rc)
        rc =
            sampler_init(&l->labelled, l->config.seed, NAS_RNG_LABELLED, l->split->n_labelled, err);
    if (!rc)
        rc = sampler_init(&l->unlabelled, l->config.seed, NAS_RNG_UNLABELLED, nas_loader_pool(l),
                          err);
    for (int i = 0; i < BATCHES && !rc; i++) rc = make_batch(l, &l->batches[i], &l->works[i], err);
    for (int i = 0; i < l->config.threads && !rc; i++) rc = make_room(l, &l->workers[i], err);
    return rc;
}

/* The threads take no signals: they are the main thread's to handle. */
static int start(nas_loader *l, nas_error *err) {
    pthread_mutex_init(&l->mutex, NULL); /* with default attributes neither fails on Linux */
    pthread_cond_init(&l->changed, NULL);
    l->primitives = true;
    sigset_t all, before;
    int code = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (l->started < l->config.threads && !code) {
        worker *w = &l->workers[l->started];
        code = pthread_create(&w->thread, NULL, produce, w);
        if (!code) l->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!code) return NAS_OK;
    return nas_fail(err, NAS_ERR_IO,
                    "no memory for the loader's threads, or too many processes: %s",
                    strerror(code));
}

int nas_loader_open(const nas_source *source, const nas_split_sets *split,
                    const nas_loader_config *config, uint64_t first_step, nas_loader **loader,
                    nas_error *err) {
    *loader = NULL;
    int rc = check(source, split, config, err);
    if (rc) return rc;
    nas_loader *l = nas_alloc(1, sizeof *l);
    if (!l) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for the loader");
    l->source = source;
    l->split = split;
    l->config = *config;
    if (l->config.threads < 1) l->config.threads = 1;
    if (l->config.threads > NAS_LOADER_THREADS) l->config.threads = NAS_LOADER_THREADS;
    l->next_step = first_step;
    rc = prepare(l, err);
    if (!rc) rc = start(l, err);
    if (rc)
        nas_loader_close(l);
    else
        *loader = l;
    return rc;
}

static void free_batch(nas_batch *batch) {
    free(batch->labelled_images);
    free(batch->labels);
    free(batch->indices);
    free(batch->hidden_labels);
    for (uint32_t v = 0; v < batch->n_views; v++) free(batch->views[v]);
}

static void join(nas_loader *l) {
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
    for (int i = 0; i < l->started; i++) pthread_join(l->workers[i].thread, NULL);
}

void nas_loader_close(nas_loader *l) {
    if (!l) return;
    if (l->started) join(l);
    if (l->primitives) {
        pthread_cond_destroy(&l->changed);
        pthread_mutex_destroy(&l->mutex);
    }
    for (int i = 0; i < BATCHES; i++) {
        free_batch(&l->batches[i]);
        free(l->works[i].labelled);
    }
    for (int i = 0; i < NAS_LOADER_THREADS; i++) free(l->workers[i].decoded);
    free(l->labelled.order);
    free(l->unlabelled.order);
    free(l->pool);
    free(l->extra);
    free(l->known);
    free(l);
}
