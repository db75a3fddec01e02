#include "data/source.h"

#include "base/json.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256, MEASURE_ALL = 65536, MEASURED = 16384 };

static const char *const split_names[NAS_SPLITS] = {"train", "test", "extra"};

static uint64_t image_bytes(const nas_dataset_info *info) {
    return (uint64_t)info->height * info->width * info->channels;
}

/* Names go into JSON, pages and exported files, which hold UTF-8 alone. */
static int check_names(const nas_dataset_info *info, nas_error *err) {
    char shown[200];
    for (uint32_t c = 0; info->class_names && c < info->classes; c++) {
        const char *name = info->class_names[c];
        if (name && nas_text_valid(name)) continue;
        return nas_fail(
            err, NAS_ERR_INPUT,
            "the name of class %u is not UTF-8: %s (each other byte as \\xHH); rename it", c,
            name ? nas_text_escaped(name, shown, sizeof shown) : "nothing");
    }
    return NAS_OK;
}

int nas_source_check(const nas_dataset_info *info, nas_error *err) {
    if (!info->height || !info->width || info->height > 4096 || info->width > 4096)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "the data set plugin gives images of %u x %u; expected sides of 1 to 4096",
                        info->height, info->width);
    if (info->channels != 1 && info->channels != 3)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "the data set plugin gives images of %u channels; expected 1 or 3",
                        info->channels);
    if (info->classes < 2 || info->classes > INT32_MAX)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "the data set plugin gives %u classes; expected at least 2", info->classes);
    for (uint32_t i = 0; info->class_names && i < info->classes; i++)
        if (!info->class_names[i])
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "the data set plugin gives no name for class %u of %u; expected all "
                            "names, or none",
                            i, info->classes);
    if (!info->count[NAS_SPLIT_TRAIN])
        return nas_fail(err, NAS_ERR_INPUT, "the data set has no training images");
    for (int split = 0; split < NAS_SPLITS; split++)
        if (info->count[split] > INT32_MAX)
            return nas_fail(err, NAS_ERR_INPUT,
                            "the data set's split \"%s\" has %llu images; at most %d are supported",
                            split_names[split], (unsigned long long)info->count[split], INT32_MAX);
    return check_names(info, err);
}

/* What the plugin says of itself, checked, and a store where memory is limited. On failure nothing
 * has to be closed. */
static int describe(const nas_source_request *how, nas_source *source, nas_error *err) {
    *source = (nas_source){
        .api = how->api, .self = how->self, .how = *how, .info = {.size = sizeof source->info}};
    int rc = how->api->info(how->self, &source->info, err);
    if (!rc) rc = nas_source_check(&source->info, err);
    if (rc || !how->memory) return rc;
    return nas_store_create(how->read ? how->read : how->api->read, how->self, how->parallel,
                            image_bytes(&source->info), how->memory,
                            how->threads > 1 ? how->threads : 1, &source->store, err);
}

/* Training images must have a class; elsewhere -1 says that there is none. */
static int check_labels(const nas_images *images, nas_split split, uint32_t classes,
                        nas_error *err) {
    int32_t lowest = split == NAS_SPLIT_TRAIN ? 0 : -1;
    for (uint64_t i = 0; i < images->n; i++)
        if (images->labels[i] < lowest || images->labels[i] >= (int32_t)classes)
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "the data set plugin gives label %d for image %llu of split \"%s\"; "
                            "expected %d to %u",
                            images->labels[i], (unsigned long long)i, split_names[split], lowest,
                            classes - 1);
    return NAS_OK;
}

static int read_all(const nas_source *source, nas_split split, nas_images *images, nas_error *err) {
    uint64_t *indices = nas_alloc(images->n, sizeof *indices);
    if (!indices) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for image indices");
    for (uint64_t i = 0; i < images->n; i++) indices[i] = i;
    int rc = source->api->read(source->self, split, indices, images->n, images->pixels,
                               images->labels, err);
    free(indices);
    return rc;
}

/* Labels from a plugin that gives them with images alone. */
static int read_labels_with_images(const nas_source *source, nas_split split, nas_images *images,
                                   nas_error *err) {
    uint64_t indices[BLOCK];
    uint8_t *room = nas_alloc(BLOCK, image_bytes(&source->info));
    int rc = room ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for images");
    for (uint64_t first = 0; first < images->n && !rc; first += BLOCK) {
        size_t n = images->n - first < BLOCK ? images->n - first : BLOCK;
        for (size_t i = 0; i < n; i++) indices[i] = first + i;
        rc = source->api->read(source->self, split, indices, n, room, images->labels + first, err);
    }
    free(room);
    return rc;
}

/* Leaves the images where they are. */
static int open_stream(const nas_source *source, nas_split split, nas_images *images,
                       nas_error *err) {
    const nas_source_request *how = &source->how;
    int rc = nas_images_stream(source->store, split, images, err);
    if (rc || !how->labels) return rc ? rc : read_labels_with_images(source, split, images, err);
    return how->labels(how->self, split, 0, images->n, images->labels, err);
}

int nas_source_read(const nas_source *source, nas_split split, nas_images *images, nas_error *err) {
    uint64_t area = image_bytes(&source->info);
    *images = (nas_images){.n = source->info.count[split]};
    if (!images->n) return NAS_OK;
    bool fits = !source->store || nas_store_take(source->store, images->n * area);
    images->labels = nas_alloc(images->n, sizeof *images->labels);
    if (fits) images->pixels = nas_alloc(images->n, area);
    int rc = NAS_OK;
    if (!images->labels || (fits && !images->pixels))
        rc = nas_fail(err, NAS_ERR_MEMORY,
                      "out of memory for %llu images of split \"%s\"; see \"dataset.memory\"",
                      (unsigned long long)images->n, split_names[split]);
    for (uint64_t i = 0; i < images->n && !rc; i++)
        images->labels[i] = INT32_MIN; /* so that a label left unwritten is seen */
    if (!rc) rc = (fits ? read_all : open_stream)(source, split, images, err);
    if (!rc) rc = check_labels(images, split, source->info.classes, err);
    if (rc) nas_images_free(images);
    return rc;
}

static uint32_t count_untested(const nas_images *test, uint32_t classes, nas_error *err) {
    uint32_t untested = classes;
    bool *seen = nas_alloc(classes, sizeof *seen);
    if (!seen) nas_fail(err, NAS_ERR_MEMORY, "out of memory for %u classes", classes);
    for (uint64_t i = 0; seen && i < test->n; i++) {
        if (test->labels[i] < 0 || seen[test->labels[i]]) continue;
        seen[test->labels[i]] = true;
        untested--;
    }
    free(seen);
    return untested;
}

/* Decodes what is not in memory, on and on where some cannot be read: the error has the first
 * reason. */
static int check_stream(const nas_images *images, size_t area, nas_error *err) {
    uint8_t *room = images->stream ? nas_alloc(BLOCK, area) : NULL;
    int rc = images->stream && !room ? nas_fail(err, NAS_ERR_MEMORY, "out of memory") : NAS_OK;
    for (uint64_t first = 0; first < images->n && room; first += BLOCK) {
        size_t n = images->n - first < BLOCK ? images->n - first : BLOCK;
        nas_error why;
        int code = nas_images_scan(images, area, NULL, first, n, room, &why);
        if (code && !rc) rc = nas_fail(err, code, "%s", why.message);
    }
    free(room);
    return rc;
}

static int check_split(const nas_source *source, nas_split split, uint32_t *untested,
                       nas_error *err) {
    nas_images images;
    nas_error why = {0};
    int rc = nas_source_read(source, split, &images, err);
    if (!rc) rc = check_stream(&images, nas_source_area(source), err);
    if (!rc && split == NAS_SPLIT_TEST) {
        *untested = count_untested(&images, source->info.classes, &why);
        if (why.code) rc = nas_fail(err, why.code, "%s", why.message);
    }
    nas_images_free(&images);
    return rc;
}

int nas_source_check_images(const nas_source_request *how, uint32_t *untested, nas_error *err) {
    nas_source source;
    char all[900] = "";
    size_t used = 0;
    int rc = describe(how, &source, err), first = NAS_OK;
    for (int split = 0; split < NAS_SPLITS && !rc; split++) {
        nas_error why = {0};
        int code = check_split(&source, (nas_split)split, untested, &why);
        if (!code) continue;
        if (!first) first = code;
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s images: %.280s",
                                     used ? "; " : "", split_names[split], why.message);
    }
    nas_source_close(&source);
    return rc || !first ? rc : nas_fail(err, first, "%s", all);
}

typedef uint64_t levels[3][256]; /* how often each channel has each grey level */

static void count_levels(const uint8_t *pixels, size_t n, uint32_t channels, levels counts) {
    for (size_t i = 0; i < n; i += channels)
        for (uint32_t c = 0; c < channels; c++) counts[c][pixels[i + c]]++;
}

/* Every training image; of very many, some: the mean is not worth decoding them all. */
static int count_images(const nas_source *source, levels counts, uint64_t *n, nas_error *err) {
    uint64_t all = source->train.n, indices[BLOCK];
    size_t area = image_bytes(&source->info);
    uint8_t *room = nas_alloc(BLOCK, area);
    int rc = room ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for images");
    *n = all > MEASURE_ALL ? MEASURED : all;
    for (uint64_t first = 0; first < *n && !rc; first += BLOCK) {
        size_t count = *n - first < BLOCK ? *n - first : BLOCK;
        for (size_t i = 0; i < count; i++) indices[i] = (first + i) * all / *n;
        rc = nas_images_scan(&source->train, area, indices, 0, count, room, err);
        if (!rc) count_levels(room, count * area, source->info.channels, counts);
    }
    free(room);
    return rc;
}

/* Exact: counts of each grey level, then sums of integers. A channel that never varies gets
 * deviation 1, so that normalising stays finite. */
static int measure(nas_source *source, nas_error *err) {
    levels counts = {{0}};
    uint64_t n;
    int rc = count_images(source, counts, &n, err);
    if (rc) return rc;
    uint64_t pixels = n * source->info.height * source->info.width;
    for (uint32_t c = 0; c < source->info.channels; c++) {
        double sum = 0, squares = 0;
        for (int v = 0; v < 256; v++) sum += (double)counts[c][v] * v;
        double mean = sum / (double)pixels;
        for (int v = 0; v < 256; v++) squares += (double)counts[c][v] * (v - mean) * (v - mean);
        double deviation = sqrt(squares / (double)pixels);
        source->mean[c] = (float)(mean / 255);
        source->fill[c] = (uint8_t)lroundf(source->mean[c] * 255);
        source->std[c] = deviation > 0 ? (float)(deviation / 255) : 1.0f;
    }
    return NAS_OK;
}

size_t nas_source_area(const nas_source *source) {
    return (size_t)source->info.height * source->info.width * source->info.channels;
}

uint64_t nas_source_bytes(const nas_source *source) {
    uint64_t all = (source->train.n + source->extra.n) * nas_source_area(source);
    bool streamed = source->train.stream || source->extra.stream;
    return streamed && source->how.memory < all ? source->how.memory : all;
}

uint64_t nas_source_more_bytes(const nas_source *source, uint64_t n) {
    uint64_t test = n * nas_source_area(source);
    if (!source->store) return test;
    uint64_t left = nas_store_left(source->store);
    bool streamed = source->train.stream || source->extra.stream;
    return streamed || test > left ? left : test;
}

int nas_source_open_by(const nas_source_request *how, nas_source *source, nas_error *err) {
    int rc = describe(how, source, err);
    if (!rc) rc = nas_source_read(source, NAS_SPLIT_TRAIN, &source->train, err);
    if (!rc) rc = nas_source_read(source, NAS_SPLIT_EXTRA, &source->extra, err);
    if (!rc) rc = measure(source, err);
    if (rc) nas_source_close(source);
    return rc;
}

int nas_source_open(const nas_dataset_api *api, void *self, nas_source *source, nas_error *err) {
    return nas_source_open_by(&(nas_source_request){.api = api, .self = self}, source, err);
}

void nas_source_close(nas_source *source) {
    if (!source) return;
    nas_images_free(&source->train);
    nas_images_free(&source->extra);
    nas_store_destroy(source->store);
    *source = (nas_source){0};
}
