#include "data/source.h"

#include "base/json.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    for (uint64_t i = 0; i < images->n; i++) {
        indices[i] = i;
        images->labels[i] = INT32_MIN; /* so that a label left unwritten is seen */
    }
    int rc = source->api->read(source->self, split, indices, images->n, images->pixels,
                               images->labels, err);
    free(indices);
    return rc ? rc : check_labels(images, split, source->info.classes, err);
}

int nas_source_read(const nas_source *source, nas_split split, nas_images *images, nas_error *err) {
    *images = (nas_images){.n = source->info.count[split]};
    if (!images->n) return NAS_OK;
    images->pixels = nas_alloc(images->n, image_bytes(&source->info));
    images->labels = nas_alloc(images->n, sizeof *images->labels);
    int rc;
    if (images->pixels && images->labels)
        rc = read_all(source, split, images, err);
    else
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu images of split \"%s\"",
                      (unsigned long long)images->n, split_names[split]);
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

int nas_source_check_images(const nas_dataset_api *api, void *self, uint32_t *untested,
                            nas_error *err) {
    nas_source source = {.api = api, .self = self, .info = {.size = sizeof source.info}};
    char all[900] = "";
    size_t used = 0;
    int rc = api->info(self, &source.info, err);
    if (!rc) rc = nas_source_check(&source.info, err);
    if (rc) return rc;
    for (int split = 0; split < NAS_SPLITS; split++) {
        nas_images images;
        nas_error why = {0};
        int code = nas_source_read(&source, (nas_split)split, &images, &why);
        if (!code && split == NAS_SPLIT_TEST)
            *untested = count_untested(&images, source.info.classes, &why);
        nas_images_free(&images);
        if (!why.code) continue;
        if (!rc) rc = why.code;
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s images: %.280s",
                                     used ? "; " : "", split_names[split], why.message);
    }
    return rc ? nas_fail(err, rc, "%s", all) : NAS_OK;
}

void nas_images_free(nas_images *images) {
    if (!images) return;
    free(images->pixels);
    free(images->labels);
    *images = (nas_images){0};
}

/* Exact: counts of each grey level, then sums of integers. A channel that never varies gets
 * deviation 1, so that normalising stays finite. */
static void measure(nas_source *source) {
    uint32_t channels = source->info.channels;
    uint64_t counts[3][256] = {{0}};
    uint64_t pixels = source->train.n * image_bytes(&source->info) / channels;
    for (uint64_t i = 0; i < pixels; i++)
        for (uint32_t c = 0; c < channels; c++) counts[c][source->train.pixels[i * channels + c]]++;
    for (uint32_t c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (int v = 0; v < 256; v++) sum += (double)counts[c][v] * v;
        double mean = sum / (double)pixels;
        for (int v = 0; v < 256; v++) squares += (double)counts[c][v] * (v - mean) * (v - mean);
        double deviation = sqrt(squares / (double)pixels);
        source->mean[c] = (float)(mean / 255);
        source->fill[c] = (uint8_t)lroundf(source->mean[c] * 255);
        source->std[c] = deviation > 0 ? (float)(deviation / 255) : 1.0f;
    }
}

size_t nas_source_area(const nas_source *source) {
    return (size_t)source->info.height * source->info.width * source->info.channels;
}

int nas_source_open(const nas_dataset_api *api, void *self, nas_source *source, nas_error *err) {
    *source = (nas_source){.api = api, .self = self, .info = {.size = sizeof source->info}};
    int rc = api->info(self, &source->info, err);
    if (!rc) rc = nas_source_check(&source->info, err);
    if (!rc) rc = nas_source_read(source, NAS_SPLIT_TRAIN, &source->train, err);
    if (!rc) rc = nas_source_read(source, NAS_SPLIT_EXTRA, &source->extra, err);
    if (!rc) measure(source);
    if (rc) nas_source_close(source);
    return rc;
}

void nas_source_close(nas_source *source) {
    if (!source) return;
    nas_images_free(&source->train);
    nas_images_free(&source->extra);
    *source = (nas_source){0};
}
