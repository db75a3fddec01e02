/* Images made from a seed, for tests and demonstrations. Each class has a smooth random pattern; an
 * image is its class's pattern, moved a little, at a random brightness and contrast, plus noise.
 * Integer arithmetic alone, so that every machine makes the same bytes. */
#include <nashost/dataset.h>
#include <stdlib.h>

enum { CELLS = 5, KNOTS = CELLS + 1, ONE = 256 }; /* knots of a pattern a side; fixed point */

typedef struct synthetic {
    int64_t classes, side, channels, train, test, extra, seed;
    double noise;
} synthetic;

static const nas_option options[] = {
    NAS_INT("classes", synthetic, classes, "10", 2, 1000, NULL,
            "number of classes, each with a pattern of its own"),
    NAS_INT("side", synthetic, side, "28", 4, 1024, "pixels", "height and width of the images"),
    NAS_INT("channels", synthetic, channels, "1", 1, 3, NULL,
            "number of channels: 1 (grey) or 3 (colour)"),
    NAS_INT("train", synthetic, train, "2000", 1, 10000000, "images",
            "number of training images; image i is of class i mod classes"),
    NAS_INT("test", synthetic, test, "500", 1, 10000000, "images", "number of test images"),
    NAS_INT("extra", synthetic, extra, "0", 0, 10000000, "images",
            "number of further training images that have no labels"),
    NAS_FLOAT(
        "noise", synthetic, noise, "0.5", 0, 1, NULL,
        "share of noise in a pixel: at 0 the classes are plain to see, at 1 there is nothing but "
        "noise"),
    NAS_INT(
        "seed", synthetic, seed, "1", 0, 9007199254740992.0, NULL,
        "seed of the images: another one makes another data set; the run's seed has no part in it"),
    {0},
};

/* A stream of random bits: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The stream of one class's pattern, or of one image. */
static uint64_t stream(const synthetic *self, uint64_t purpose, uint64_t index) {
    uint64_t state = (uint64_t)self->seed;
    state = next(&state) ^ purpose;
    state = next(&state) ^ index;
    return next(&state);
}

/* Uniform in low .. high. The span is far below 2^32, so the bias is too small to matter. */
static int32_t uniform(uint64_t *state, int32_t low, int32_t high) {
    uint64_t span = (uint64_t)(high - low) + 1;
    return low + (int32_t)((next(state) >> 32) * span >> 32);
}

/* Between a and b, at share/ONE of the way. */
static int32_t mix(int32_t a, int32_t b, int32_t share) {
    return (a * (ONE - share) + b * share) / ONE;
}

/* The pattern's value at a place in units of 1/ONE cell, clamped to the pattern. */
static int32_t sample(const uint8_t *knots, int32_t channels, int32_t y, int32_t x) {
    int32_t limit = CELLS * ONE - 1;
    y = y < 0 ? 0 : y > limit ? limit : y;
    x = x < 0 ? 0 : x > limit ? limit : x;
    const uint8_t *k = knots + (y / ONE * KNOTS + x / ONE) * channels;
    int32_t top = mix(k[0], k[channels], x % ONE);
    int32_t bottom = mix(k[KNOTS * channels], k[(KNOTS + 1) * channels], x % ONE);
    return mix(top, bottom, y % ONE);
}

static void draw(const synthetic *self, nas_split split, uint64_t index, uint8_t *image) {
    int32_t side = (int32_t)self->side, channels = (int32_t)self->channels;
    uint8_t knots[KNOTS * KNOTS * 3];
    uint64_t pattern = stream(self, NAS_SPLITS, index % (uint64_t)self->classes);
    for (int i = 0; i < KNOTS * KNOTS * 3; i++) knots[i] = (uint8_t)(next(&pattern) >> 56);
    uint64_t own = stream(self, (uint64_t)split, index);
    int32_t dy = uniform(&own, -ONE / 2, ONE / 2), dx = uniform(&own, -ONE / 2, ONE / 2);
    int32_t contrast = uniform(&own, ONE / 2, ONE), brightness = uniform(&own, -32, 32);
    int32_t share = (int32_t)(self->noise * ONE);
    for (int32_t i = 0; i < side * side * channels; i++) {
        int32_t y = i / channels / side, x = i / channels % side, c = i % channels;
        int32_t value =
            sample(knots + c, channels, y * CELLS * ONE / side + dy, x * CELLS * ONE / side + dx);
        value = 128 + (value - 128) * contrast / ONE + brightness;
        value = mix(value, uniform(&own, 0, 255), share);
        image[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

static uint64_t count(const synthetic *self, nas_split split) {
    return (uint64_t)(split == NAS_SPLIT_TRAIN  ? self->train
                      : split == NAS_SPLIT_TEST ? self->test
                                                : self->extra);
}

static int synthetic_info(void *instance, nas_dataset_info *info, nas_error *err) {
    (void)err;
    const synthetic *self = instance;
    info->height = info->width = (uint32_t)self->side;
    info->channels = (uint32_t)self->channels;
    info->classes = (uint32_t)self->classes;
    for (int s = 0; s < NAS_SPLITS; s++) info->count[s] = count(self, (nas_split)s);
    info->class_names = NULL;
    info->flip = false; /* a mirrored pattern may be near another class's */
    return NAS_OK;
}

static int32_t label_of(const synthetic *self, nas_split split, uint64_t index) {
    return split == NAS_SPLIT_EXTRA ? -1 : (int32_t)(index % (uint64_t)self->classes);
}

static int synthetic_read(void *instance, nas_split split, const uint64_t *indices, size_t n,
                          uint8_t *images, int32_t *labels, nas_error *err) {
    const synthetic *self = instance;
    size_t bytes = (size_t)(self->side * self->side * self->channels);
    for (size_t i = 0; i < n; i++) {
        if (indices[i] >= count(self, split))
            return nas_fail(err, NAS_ERR_PLUGIN, "image %llu was asked for, beyond the split's end",
                            (unsigned long long)indices[i]);
        draw(self, split, indices[i], images + i * bytes);
        if (labels) labels[i] = label_of(self, split, indices[i]);
    }
    return NAS_OK;
}

static int synthetic_labels(void *instance, nas_split split, uint64_t first, size_t n,
                            int32_t *labels, nas_error *err) {
    (void)err;
    for (size_t i = 0; i < n; i++) labels[i] = label_of(instance, split, first + i);
    return NAS_OK;
}

static int create(const nas_host *host, const void *config, void **instance, nas_error *err) {
    (void)host;
    const synthetic *wanted = config;
    if (wanted->channels == 2)
        return nas_fail(err, NAS_ERR_INPUT, "option \"channels\": expected 1 or 3, found 2");
    if (wanted->train < wanted->classes)
        return nas_fail(err, NAS_ERR_INPUT,
                        "option \"train\": expected at least one image for each of %lld classes, "
                        "found %lld",
                        (long long)wanted->classes, (long long)wanted->train);
    synthetic *self = malloc(sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    *self = *wanted;
    *instance = self;
    return NAS_OK;
}

static const nas_dataset_api api = {.size = sizeof api,
                                    .info = synthetic_info,
                                    .read = synthetic_read,
                                    .labels = synthetic_labels,
                                    .parallel = true};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "synthetic",
    .version = "1.0.0",
    .summary = "images made from a seed: smooth patterns, one a class, with noise",
    .license = "Apache-2.0",
    .source = "this project",
    .options = options,
    .config_size = sizeof(synthetic),
    .create = create,
    .destroy = free,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
