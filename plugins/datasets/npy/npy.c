/* Images and labels from NumPy's .npy files and .npz archives (format:
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). Headers and training
 * labels are read at create, images when they are asked for: nothing is held twice. Images asked
 * for in ascending order are one pass over a compressed array; going back starts it anew. */
#include "npy_file.h"

#include <limits.h>
#include <nashost/kit/dataset_files.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, EXTRA_IMAGES, ARRAYS };
enum { NHWC, NCHW }; /* indices of layouts */
enum { MAX_SIDE = 4096, MAX_CLASSES = 65536 };

typedef unsigned long long ull;

typedef struct npy_config {
    const char *arrays[ARRAYS];
    const char *class_names;
    int layout;
    bool flip;
} npy_config;

static const char *const layouts[] = {"nhwc", "nchw", NULL};

#define ARRAY(name, fallback, which, help) NAS_PATH(name, npy_config, arrays[which], fallback, help)

static const nas_option options[] = {
    ARRAY("train_images", NULL, TRAIN_IMAGES,
          "the training images, a uint8 array [n][h][w] or [n][h][w][c]: FILE.npy, or "
          "FILE.npz:NAME for one of an archive"),
    ARRAY("train_labels", NULL, TRAIN_LABELS,
          "the training images' labels, an integer array [n] or [n][1] of classes from 0 on"),
    ARRAY("test_images", NULL, TEST_IMAGES, "the test images, an array like that of train_images"),
    ARRAY("test_labels", NULL, TEST_LABELS,
          "the test images' labels, an array like that of train_labels"),
    ARRAY("extra_images", "null", EXTRA_IMAGES,
          "further training images that have no labels, an array like that of train_images"),
    NAS_ENUM("layout", npy_config, layout, "\"nhwc\"", layouts,
             "order of the dimensions of arrays with channels: nhwc, channels last; nchw, channels "
             "before "
             "height and width"),
    NAS_STRING(
        "class_names", npy_config, class_names, "\"\"",
        "names of the classes, separated by commas, in the order of the labels; empty: classes are "
        "shown by their numbers"),
    NAS_BOOL("flip", npy_config, flip, "true",
             "whether a mirrored image keeps its class; set it to false for digits and letters"),
    {0},
};

typedef struct array {
    nas_npy_file in;
    uint32_t width;      /* bytes of a number */
    uint32_t n, h, w, c; /* as images; h = w = c = 1 for labels */
    uint8_t *whole;      /* all images of one in Fortran order, now in C order; else NULL */
} array;

typedef struct npy {
    const npy_config *config;
    array arrays[ARRAYS];
    int32_t *labels[2]; /* train, test; the latter is read at its first use */
    uint8_t *scratch;   /* one image in the file's layout, and one in its type of numbers */
    uint32_t classes;
    char *text; /* that class_names points into */
    const char **class_names;
} npy;

/* ---- What the header must say ---- */

static int check_type(array *a, bool images, nas_error *err) {
    const char *type = a->in.header.type;
    a->width = strcmp(type, "|b1") == 0 ? 1 : nas_integer_width(type);
    if (a->width > 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: expected %s, found type '%s'; save %s", a->in.name,
                    images ? "images of integers such as '|u1'" : "integer labels such as '<i8'",
                    type,
                    images ? "them as a.astype(numpy.uint8), scaled to 0..255"
                           : "them as a.astype(numpy.int64)");
}

static int check_image_shape(array *a, int layout, nas_error *err) {
    const nas_npy *header = &a->in.header;
    bool planes = layout == NCHW && header->ndim == 4;
    uint64_t h = header->shape[planes ? 2 : 1], w = header->shape[planes ? 3 : 2];
    uint64_t c = header->ndim == 4 ? header->shape[planes ? 1 : 3] : 1;
    if ((header->ndim != 3 && header->ndim != 4) || (c != 1 && c != 3))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: shape %s; expected [n, h, w] or %s with 1 or 3 channels; see the "
                        "option \"layout\", now \"%s\"",
                        a->in.name, header->shape_text,
                        layout == NCHW ? "[n, c, h, w]" : "[n, h, w, c]", layouts[layout]);
    a->h = h > MAX_SIDE ? 0 : (uint32_t)h;
    a->w = w > MAX_SIDE ? 0 : (uint32_t)w;
    a->c = (uint32_t)c;
    return NAS_OK;
}

static int check_label_shape(array *a, nas_error *err) {
    const nas_npy *header = &a->in.header;
    a->h = a->w = a->c = 1;
    if (header->ndim == 1 || (header->ndim == 2 && header->shape[1] == 1)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: shape %s; expected labels of shape [n]%s", a->in.name,
                    header->shape_text,
                    header->ndim == 2 ? "; if a row is a one-hot label, save a.argmax(axis=1)"
                                      : "");
}

static int check_shape(array *a, bool images, int layout, nas_error *err) {
    int rc = images ? check_image_shape(a, layout, err) : check_label_shape(a, err);
    a->n = a->in.header.shape[0] > INT32_MAX ? 0 : (uint32_t)a->in.header.shape[0];
    if (rc || (a->n && a->h && a->w)) return rc;
    return nas_fail(err, NAS_ERR_INPUT, "%s: shape %s; expected 1 to %d items of sides 1 to %d",
                    a->in.name, a->in.header.shape_text, INT32_MAX, MAX_SIDE);
}

static uint64_t item_bytes(const array *a) {
    return (uint64_t)a->h * a->w * a->c * a->width;
}

static int check_size(const array *a, nas_error *err) {
    uint64_t expected = a->in.begin + a->n * item_bytes(a);
    if (a->in.size < expected)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: truncated: expected %llu bytes, found %llu; fetch the file again",
                        a->in.name, (ull)expected, (ull)a->in.size);
    if (a->in.size > expected)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: offset %llu: expected the end of the array, found %llu more bytes",
                        a->in.name, (ull)expected, (ull)(a->in.size - expected));
    return NAS_OK;
}

static int open_array(npy *self, int which, nas_error *err) {
    array *a = &self->arrays[which];
    bool images = which != TRAIN_LABELS && which != TEST_LABELS;
    const char *text = self->config->arrays[which];
    if (!text) return NAS_OK; /* extra_images alone may be left out */
    int rc = nas_npy_file_open(&a->in, text, options[which].name, err);
    if (!rc) rc = check_type(a, images, err);
    if (!rc) rc = check_shape(a, images, self->config->layout, err);
    return rc ? rc : check_size(a, err);
}

/* A number of the array; of booleans 0 or 1. */
static int64_t number(const array *a, const uint8_t *bytes) {
    const char *type = a->in.header.type;
    return type[1] == 'b' ? *bytes != 0 : nas_decode_integer(bytes, type, a->width);
}

/* ---- Labels ---- */

/* Reads the labels of a split (0 train, 1 test), which must be below classes. */
static int read_labels(npy *self, int split, uint32_t classes, nas_error *err) {
    array *a = &self->arrays[split ? TEST_LABELS : TRAIN_LABELS];
    uint8_t bytes[8];
    int32_t *labels = malloc(a->n * sizeof *labels);
    if (!labels) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", a->in.name);
    int rc = nas_npy_file_seek(&a->in, a->in.begin, err);
    for (uint32_t i = 0; i < a->n && !rc; i++) {
        rc = nas_npy_file_take(&a->in, bytes, a->width, err);
        int64_t label = rc ? 0 : number(a, bytes);
        if (label < 0 || label >= classes)
            rc = nas_fail(
                err, NAS_ERR_INPUT, "%s: offset %llu: label %u: expected 0 to %u, found %lld%s",
                a->in.name, (ull)(a->in.begin + (uint64_t)i * a->width), i, classes - 1,
                (long long)label,
                label < 0 && !split ? "; images without a label go into extra_images" : "");
        if (!rc) labels[i] = (int32_t)label;
    }
    if (rc)
        free(labels);
    else
        self->labels[split] = labels;
    return rc;
}

/* The classes are 0 to the largest training label; each must have an image. */
static int count_classes(npy *self, nas_error *err) {
    const array *a = &self->arrays[TRAIN_LABELS];
    bool seen[MAX_CLASSES] = {false};
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t label = (uint32_t)self->labels[0][i];
        seen[label] = true;
        if (label >= self->classes) self->classes = label + 1;
    }
    if (self->classes < 2)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: offset %llu: every label is 0; expected at least two classes",
                        a->in.name, (ull)a->in.begin);
    for (uint32_t c = 0; c < self->classes; c++)
        if (!seen[c])
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: no label is %u, but the largest is %u; number the classes from 0 "
                            "without gaps",
                            a->in.name, c, self->classes - 1);
    return NAS_OK;
}

/* ---- The plugin ---- */

static int compare(const npy *self, nas_error *err) {
    const array *first = &self->arrays[TRAIN_IMAGES];
    for (int i = 0; i < ARRAYS; i++) {
        const array *a = &self->arrays[i];
        bool labels = i == TRAIN_LABELS || i == TEST_LABELS;
        if (!a->in.name) continue;
        if (labels && a->n != self->arrays[i - 1].n)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: expected as many labels as %s has images, %u; found %u",
                            a->in.name, self->arrays[i - 1].in.name, self->arrays[i - 1].n, a->n);
        if (!labels && (a->h != first->h || a->w != first->w || a->c != first->c))
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: expected images of %u x %u x %u, as in %s; found %u x %u x %u",
                            a->in.name, first->h, first->w, first->c, first->in.name, a->h, a->w,
                            a->c);
    }
    return NAS_OK;
}

/* Room for an image, and for one in the widest type of numbers, 8 bytes. */
static uint64_t scratch_bytes(const npy *self) {
    const array *a = &self->arrays[TRAIN_IMAGES];
    return (uint64_t)a->h * a->w * a->c * 9;
}

static void npy_destroy(void *instance) {
    npy *self = instance;
    if (!self) return;
    for (int i = 0; i < ARRAYS; i++) {
        nas_npy_file_close(&self->arrays[i].in);
        free(self->arrays[i].whole);
    }
    free(self->labels[0]);
    free(self->labels[1]);
    free(self->scratch);
    free(self->text);
    free(self->class_names);
    free(self);
}

static int npy_create(const nas_host *host, const void *config, void **instance, nas_error *err) {
    (void)host;
    npy *self = calloc(1, sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->config = config;
    int rc = NAS_OK;
    for (int i = 0; i < ARRAYS && !rc; i++) rc = open_array(self, i, err);
    if (!rc) rc = compare(self, err);
    if (!rc) rc = read_labels(self, 0, MAX_CLASSES, err);
    if (!rc) rc = count_classes(self, err);
    if (!rc)
        rc = nas_class_names(self->config->class_names, self->classes,
                             self->arrays[TRAIN_LABELS].in.name, &self->text, &self->class_names,
                             err);
    if (!rc && !(self->scratch = malloc(scratch_bytes(self))))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (rc)
        npy_destroy(self);
    else
        *instance = self;
    return rc;
}

static int npy_info(void *instance, nas_dataset_info *info, nas_error *err) {
    (void)err;
    const npy *self = instance;
    const array *images = &self->arrays[TRAIN_IMAGES];
    info->height = images->h;
    info->width = images->w;
    info->channels = images->c;
    info->classes = self->classes;
    info->count[NAS_SPLIT_TRAIN] = images->n;
    info->count[NAS_SPLIT_TEST] = self->arrays[TEST_IMAGES].n;
    info->count[NAS_SPLIT_EXTRA] = self->arrays[EXTRA_IMAGES].n;
    info->class_names = self->class_names;
    info->flip = self->config->flip;
    return NAS_OK;
}

/* Turns n numbers of the array, at an offset of it, into bytes; true is white. out may be from. */
static int narrow(const array *a, const uint8_t *from, uint64_t n, uint64_t offset, uint8_t *out,
                  nas_error *err) {
    bool truth = a->in.header.type[1] == 'b';
    for (uint64_t i = 0; i < n; i++) {
        int64_t value = number(a, from + i * a->width);
        if (value < 0 || value > 255)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: offset %llu: expected pixels of 0 to 255, found %lld; scale them, "
                            "and save them as a.astype(numpy.uint8)",
                            a->in.name, (ull)(offset + i * a->width), (long long)value);
        out[i] = truth ? (uint8_t)(255 * value) : (uint8_t)value;
    }
    return NAS_OK;
}

static bool is_bytes(const array *a) {
    return a->width == 1 && a->in.header.type[1] == 'u';
}

/* Image `index` in the file's layout. room: for one in its type of numbers. */
static int read_item(array *a, uint64_t index, uint8_t *room, uint8_t *out, nas_error *err) {
    uint64_t bytes = item_bytes(a), n = bytes / a->width, at = a->in.begin + index * bytes;
    if (a->whole) {
        memcpy(out, a->whole + index * n, n);
        return NAS_OK;
    }
    int rc = nas_npy_file_seek(&a->in, at, err);
    if (!rc) rc = nas_npy_file_take(&a->in, is_bytes(a) ? out : room, bytes, err);
    return rc || is_bytes(a) ? rc : narrow(a, room, n, at, out, err);
}

/* In Fortran order an image's numbers lie all over the file: it is read as a whole, once. A column
 * of the file has number (y, x, ...) of every image. */
static int read_columns(array *a, nas_error *err) {
    const uint64_t *shape = a->in.header.shape;
    uint64_t columns = item_bytes(a) / a->width, last = a->in.header.ndim == 4 ? shape[3] : 1;
    uint8_t *column = malloc((uint64_t)a->n * a->width);
    a->whole = malloc(a->n * columns);
    int rc = column && a->whole ? nas_npy_file_seek(&a->in, a->in.begin, err)
                                : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", a->in.name);
    for (uint64_t i = 0; i < columns && !rc; i++) {
        uint64_t first = i % shape[1], second = i / shape[1] % shape[2];
        uint64_t to = (first * shape[2] + second) * last + i / shape[1] / shape[2], at = a->in.at;
        rc = nas_npy_file_take(&a->in, column, (uint64_t)a->n * a->width, err);
        if (!rc) rc = narrow(a, column, a->n, at, column, err);
        for (uint64_t k = 0; k < a->n && !rc; k++) a->whole[k * columns + to] = column[k];
    }
    free(column);
    return rc;
}

static int read_image(npy *self, array *a, uint64_t index, uint8_t *out, nas_error *err) {
    uint64_t area = (uint64_t)a->h * a->w;
    bool planes = self->config->layout == NCHW && a->c > 1;
    uint8_t *room = self->scratch + area * a->c;
    int rc = a->in.header.fortran && !a->whole ? read_columns(a, err) : NAS_OK;
    if (!rc) rc = read_item(a, index, room, planes ? self->scratch : out, err);
    for (uint64_t i = 0; i < area && planes && !rc; i++)
        for (uint32_t c = 0; c < a->c; c++) out[i * a->c + c] = self->scratch[c * area + i];
    return rc;
}

static int npy_read(void *instance, nas_split split, const uint64_t *indices, size_t n,
                    uint8_t *images, int32_t *labels, nas_error *err) {
    npy *self = instance;
    static const int which[NAS_SPLITS] = {TRAIN_IMAGES, TEST_IMAGES, EXTRA_IMAGES};
    array *a = &self->arrays[which[split]];
    int rc = NAS_OK;
    if (split == NAS_SPLIT_TEST && labels && !self->labels[1])
        rc = read_labels(self, 1, self->classes, err);
    for (size_t i = 0; i < n && !rc; i++) {
        if (indices[i] >= a->n) return nas_data_beyond(indices[i], a->n, err);
        rc = read_image(self, a, indices[i], images + i * (item_bytes(a) / a->width), err);
        if (labels) labels[i] = split == NAS_SPLIT_EXTRA ? -1 : self->labels[split][indices[i]];
    }
    return rc;
}

static int npy_labels(void *instance, nas_split split, uint64_t first, size_t n, int32_t *labels,
                      nas_error *err) {
    npy *self = instance;
    static const int which[NAS_SPLITS] = {TRAIN_IMAGES, TEST_IMAGES, EXTRA_IMAGES};
    uint32_t count = self->arrays[which[split]].n;
    int rc = NAS_OK;
    if (first > count || n > count - first) return nas_data_beyond(first + n - 1, count, err);
    if (split == NAS_SPLIT_TEST && !self->labels[1]) rc = read_labels(self, 1, self->classes, err);
    for (size_t i = 0; i < n && !rc; i++)
        labels[i] = split == NAS_SPLIT_EXTRA ? -1 : self->labels[split][first + i];
    return rc;
}

/* ---- Recognising ---- */

/* Notes an array, or those of an archive. */
static int look_at(void *roles, const char *name, const char *path, nas_error *err) {
    const char *dot = strrchr(name, '.');
    char value[2 * PATH_MAX];
    (void)err;
    if (dot && strcmp(dot, ".npy") == 0) nas_roles_add(roles, name, path);
    struct stat status; /* a pipe would be waited for */
    bool archive =
        dot && strcmp(dot, ".npz") == 0 && !stat(path, &status) && S_ISREG(status.st_mode);
    zip_t *zip = archive ? zip_open(path, ZIP_RDONLY, NULL) : NULL;
    for (zip_int64_t i = 0; zip && i < zip_get_num_entries(zip, 0); i++) {
        const char *member = zip_get_name(zip, (zip_uint64_t)i, 0);
        const char *end = member ? strstr(member, ".npy") : NULL;
        if (!end || end - member > NAME_MAX) continue;
        snprintf(value, sizeof value, "%s:%.*s", path, (int)(end - member), member);
        nas_roles_add(roles, member, value);
    }
    if (zip) zip_discard(zip);
    return NAS_OK;
}

static int npy_look(const char *folder, nas_recognised *found, nas_error *err) {
    nas_roles roles = {0};
    int rc = nas_each_entry(folder, look_at, &roles, err);
    if (rc || !nas_roles_complete(&roles)) return rc;
    for (int i = 0; i < ARRAYS; i++)
        if (roles.values[i][0]) nas_recognised_text(found, options[i].name, roles.values[i]);
    snprintf(found->note, sizeof found->note, "set \"flip\" to false for digits and letters");
    return NAS_OK;
}

NAS_RECOGNISER(npy_look)

static const nas_dataset_api api = {
    .size = sizeof api, .info = npy_info, .read = npy_read, .labels = npy_labels};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "npy",
    .version = "1.0.0",
    .summary = "images and labels from NumPy's .npy files and .npz archives",
    .license = "Apache-2.0",
    .source = "https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html",
    .options = options,
    .config_size = sizeof(npy_config),
    .create = npy_create,
    .destroy = npy_destroy,
    .vtable = &api,
    .extension = recogniser_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
