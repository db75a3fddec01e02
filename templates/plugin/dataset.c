/* A data set: an image of class c has a bright square in quadrant c, and noise all over. */
#include <nashost/dataset.h>

#include <stdlib.h>
#include <string.h>

enum { SIDE = 12, CLASSES = 4 };

/* Filled by the table below before create() is called. */
typedef struct config {
    int64_t train, test;
    double noise;
} config;

static const nas_option options[] = {
    NAS_INT("train", config, train, "1000", CLASSES, 1e6, "images", "number of training images"),
    NAS_INT("test", config, test, "200", 1, 1e6, "images", "number of test images"),
    NAS_FLOAT("noise", config, noise, "0.3", 0, 1, NULL,
              "largest noise in a pixel, as a share of the brightness"),
    {0},
};

static const char *const names[CLASSES] = {"top left", "top right", "bottom left", "bottom right"};

static uint64_t count(const config *me, nas_split split) {
    return (uint64_t)(split == NAS_SPLIT_TRAIN  ? me->train
                      : split == NAS_SPLIT_TEST ? me->test
                                                : 0);
}

static int info(void *self, nas_dataset_info *out, nas_error *err) {
    (void)err;
    out->height = out->width = SIDE;
    out->channels = 1;
    out->classes = CLASSES;
    for (int s = 0; s < NAS_SPLITS; s++) out->count[s] = count(self, (nas_split)s);
    out->class_names = names;
    out->flip = false; /* a mirrored quadrant is another one */
    return NAS_OK;
}

/* A pure function of its arguments, so that every read gives the same image. */
static uint32_t hash(uint64_t split, uint64_t image, uint64_t pixel) {
    uint64_t z = (split * 1000003 + image) * 1000003 + pixel;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 40);
}

static void draw(const config *me, nas_split split, uint64_t image, uint8_t *pixels) {
    uint64_t label = image % CLASSES;
    for (uint64_t i = 0; i < SIDE * SIDE; i++) {
        uint64_t quadrant = i / (SIDE * SIDE / 2) * 2 + i % SIDE / (SIDE / 2);
        double noise = me->noise * hash((uint64_t)split, image, i) / 0x1p24;
        double value = (quadrant == label ? 0.7 : 0.2) + noise;
        pixels[i] = (uint8_t)(255 * (value < 1 ? value : 1));
    }
}

static int read_images(void *self, nas_split split, const uint64_t *indices, size_t n,
                       uint8_t *images, int32_t *labels, nas_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (indices[i] >= count(self, split))
            return nas_fail(err, NAS_ERR_PLUGIN, "@ID@: image %llu was asked for, beyond the end",
                            (unsigned long long)indices[i]);
        draw(self, split, indices[i], images + i * SIDE * SIDE);
        if (labels) labels[i] = (int32_t)(indices[i] % CLASSES);
    }
    return NAS_OK;
}

static int create(const nas_host *host, const void *options_given, void **self, nas_error *err) {
    (void)host;
    config *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "@ID@: out of memory");
    *me = *(const config *)options_given;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    free(self);
}

static const nas_dataset_api api = {.size = sizeof api, .info = info, .read = read_images};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "@ID@",
    .version = "0.1.0",
    .summary = "a bright square in one of four corners",
    .license = "Apache-2.0",
    .source = "where the method is described",
    .options = options,
    .config_size = sizeof(config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
