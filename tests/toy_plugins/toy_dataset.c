/* A data set that a small network learns in a few steps: each class is a bar at its own height.
 * Every read of a split is a line of the file that the option "log" names. */
#include <nashost/dataset.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, CLASSES = 3 };

typedef struct toy_config {
    int64_t train, test;
    const char *log;
} toy_config;

static const nas_option options[] = {
    NAS_INT("train", toy_config, train, "120", 1, 1e6, "images", "to train on"),
    NAS_INT("test", toy_config, test, "60", 0, 1e6, "images", "to test on"),
    NAS_PATH("log", toy_config, log, "null", "gets a line a read"),
    {0},
};

static int info(void *self, nas_dataset_info *out, nas_error *err) {
    static const char *const names[CLASSES] = {"top", "middle", "bottom"};
    const toy_config *me = self;
    (void)err;
    out->height = out->width = SIDE;
    out->channels = 1;
    out->classes = CLASSES;
    out->class_names = names;
    out->flip = true;
    out->count[NAS_SPLIT_TRAIN] = (uint64_t)me->train;
    out->count[NAS_SPLIT_TEST] = (uint64_t)me->test;
    return NAS_OK;
}

static uint32_t scatter(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static void draw(uint8_t *image, uint32_t label, uint32_t seed) {
    for (uint32_t i = 0; i < SIDE * SIDE; i++) {
        uint32_t row = i / SIDE, noise = scatter(seed * SIDE * SIDE + i) % 100;
        image[i] = (uint8_t)(noise + (row / 3 == label ? 120 : 0));
    }
}

static int read_split(void *self, nas_split split, const uint64_t *indices, size_t n,
                      uint8_t *images, int32_t *labels, nas_error *err) {
    static const char *const names[NAS_SPLITS] = {"train", "test", "extra"};
    const toy_config *me = self;
    FILE *log = me->log ? fopen(me->log, "a") : NULL;
    if (me->log && !log) return nas_fail(err, NAS_ERR_IO, "%s: cannot be opened", me->log);
    if (log && n) fprintf(log, "%s\n", names[split]);
    if (log) fclose(log);
    for (size_t i = 0; i < n; i++) {
        uint32_t index = (uint32_t)indices[i];
        draw(images + i * SIDE * SIDE, index % CLASSES, index + 1000000 * (uint32_t)split);
        if (labels) labels[i] = (int32_t)(index % CLASSES);
    }
    return NAS_OK;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    toy_config *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    *me = *(const toy_config *)config;
    *self = me;
    return NAS_OK;
}

static const nas_dataset_api api = {.size = sizeof api, .info = info, .read = read_split};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "toy-dataset",
    .version = "1.0.0",
    .summary = "bars, for tests",
    .license = "Apache-2.0",
    .source = "tests/toy_plugins/toy_dataset.c",
    .options = options,
    .config_size = sizeof(toy_config),
    .create = create,
    .destroy = free,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
