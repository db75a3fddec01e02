/* The MNIST family: images and labels in IDX files (http://yann.lecun.com/exdb/mnist/), plain or
 * gzip. A file is a big-endian magic number whose last byte is the number of dimensions and the one
 * before it the type of the numbers, one 32-bit size a dimension, then the numbers, big-endian. */
#include <errno.h>
#include <limits.h>
#include <nashost/kit/dataset_files.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define MAGIC_LABELS 0x801u /* of unsigned bytes, as published */
#define MAGIC_IMAGES 0x803u
#define MAGIC_TYPE 0xff00u
#define MAX_SIDE 4096u
#define MAX_RATIO 1100u /* deflate makes bytes at most 1032 times fewer */

typedef unsigned long long ull;

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, FILES };

typedef struct idx_config {
    const char *folder;
    const char *names[FILES];
    const char *class_names;
    bool flip;
} idx_config;

static const nas_option options[] = {
    NAS_PATH("folder", idx_config, folder, NULL,
             "folder that holds the four files of images and labels"),
    NAS_STRING("train_images", idx_config, names[TRAIN_IMAGES], "\"train-images-idx3-ubyte\"",
               "file of the training images in that folder; if it is not there, the same name with "
               ".gz added "
               "is read"),
    NAS_STRING(
        "train_labels", idx_config, names[TRAIN_LABELS], "\"train-labels-idx1-ubyte\"",
        "file of the training images' labels in that folder, or the same name with .gz added"),
    NAS_STRING("test_images", idx_config, names[TEST_IMAGES], "\"t10k-images-idx3-ubyte\"",
               "file of the test images in that folder, or the same name with .gz added"),
    NAS_STRING("test_labels", idx_config, names[TEST_LABELS], "\"t10k-labels-idx1-ubyte\"",
               "file of the test images' labels in that folder, or the same name with .gz added"),
    NAS_STRING(
        "class_names", idx_config, class_names, "\"\"",
        "names of the classes, separated by commas, in the order of the labels; empty: classes are "
        "shown by their numbers"),
    NAS_BOOL(
        "flip", idx_config, flip, "true",
        "whether a mirrored image keeps its class; set it to false for digits and letters, which "
        "mirroring turns into other signs"),
    {0},
};

/* An open file behind its header. */
typedef struct idx_file {
    char path[PATH_MAX];
    gzFile gz;
    uint32_t n, h, w;     /* h and w are 1 for labels */
    uint32_t header;      /* bytes */
    uint32_t type, width; /* of a number: its code in the magic number, and bytes */
} idx_file;

/* One split in memory. */
typedef struct idx_set {
    uint32_t n, h, w;
    uint8_t *images, *labels; /* [n][h][w], [n] */
} idx_set;

typedef struct idx {
    const idx_config *config;
    idx_set train, test; /* test holds sizes alone until it is read */
    uint32_t classes;
    char *names; /* the text that class_names points into */
    const char **class_names;
} idx;

static int find_file(const idx_config *config, int which, char path[PATH_MAX], struct stat *status,
                     nas_error *err) {
    static const char *const suffixes[] = {"", ".gz"};
    for (int i = 0; i < 2; i++) {
        int n =
            snprintf(path, PATH_MAX, "%s/%s%s", config->folder, config->names[which], suffixes[i]);
        if (n < 0 || n >= PATH_MAX)
            return nas_fail(err, NAS_ERR_INPUT, "%.200s...: the path is too long", config->folder);
        if (!stat(path, status)) {
            if (S_ISREG(status->st_mode)) return NAS_OK;
            return nas_fail(err, NAS_ERR_INPUT, "%s: expected a file", path);
        }
        if (errno != ENOENT) return nas_fail(err, NAS_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s/%s: no such file, with or without .gz; check the options \"folder\" and "
                    "\"%s\"",
                    config->folder, config->names[which], options[1 + which].name);
}

/* Reads exactly n bytes; too few is an error that says how many the whole file should have. */
static int read_bytes(idx_file *file, void *out, uint64_t n, uint64_t expected, nas_error *err) {
    uint8_t *at = out;
    while (n) {
        unsigned piece = n < 1u << 30 ? (unsigned)n : 1u << 30;
        int got = gzread(file->gz, at, piece);
        int code;
        const char *why = gzerror(file->gz, &code);
        if (got < 0 && code == Z_MEM_ERROR)
            return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", file->path);
        if (got < 0 && code != Z_BUF_ERROR)
            return nas_fail(err, NAS_ERR_INPUT, "%s: offset %lld: cannot read: %s", file->path,
                            (long long)gztell(file->gz), code == Z_ERRNO ? strerror(errno) : why);
        if (got <= 0)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: truncated: expected %llu bytes, found %lld; fetch the file again",
                            file->path, (ull)expected, (long long)gztell(file->gz));
        at += got;
        n -= (unsigned)got;
    }
    return NAS_OK;
}

static uint32_t big_endian(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint64_t body_bytes(const idx_file *file) {
    return (uint64_t)file->n * file->h * file->w * file->width;
}

enum { U8 = 8, I8 = 9, I16 = 0xb, I32 = 0xc, F32 = 0xd, F64 = 0xe };

/* Bytes of a number of that type; 0: there is no such type. */
static uint32_t type_width(uint32_t type) {
    static const uint32_t widths[] = {
        [U8] = 1, [I8] = 1, [I16] = 2, [I32] = 4, [F32] = 4, [F64] = 8};
    return type < sizeof widths / sizeof *widths ? widths[type] : 0;
}

static int check_magic(idx_file *file, int which, uint32_t magic, nas_error *err) {
    bool images = which == TRAIN_IMAGES || which == TEST_IMAGES;
    uint32_t expected = images ? MAGIC_IMAGES : MAGIC_LABELS, found = magic;
    file->type = (magic & MAGIC_TYPE) >> 8;
    file->width = type_width(file->type);
    if (file->width) found = (magic & ~MAGIC_TYPE) | U8 << 8;
    if (found == expected) return NAS_OK;
    if (found == (images ? MAGIC_LABELS : MAGIC_IMAGES))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: offset 0: expected %s, found %s; are the options \"%s\" and \"%s\" "
                        "swapped?",
                        file->path, images ? "images" : "labels", images ? "labels" : "images",
                        options[1 + which].name, options[1 + (which ^ 1)].name);
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: offset 0: expected magic number 0x%08x, found 0x%08x; this is not an IDX "
                    "file of %s",
                    file->path, expected, magic, images ? "images" : "labels");
}

static int check_sizes(const idx_file *file, const struct stat *status, nas_error *err) {
    if (!file->n)
        return nas_fail(err, NAS_ERR_INPUT, "%s: offset 4: it holds no items", file->path);
    if (!file->h || file->h > MAX_SIDE || !file->w || file->w > MAX_SIDE)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: offset 8: images of %u x %u; expected sides of 1 to %u", file->path,
                        file->h, file->w, MAX_SIDE);
    uint64_t expected = file->header + body_bytes(file), size = (uint64_t)status->st_size;
    bool plain = gzdirect(file->gz);
    if (plain ? size < expected : size < expected / MAX_RATIO)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: truncated: expected %llu bytes, found %llu%s; fetch the file again",
                        file->path, (ull)expected, (ull)size, plain ? "" : " compressed ones");
    if (plain && size > expected)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: offset %llu: expected the end of the file, found %llu more bytes",
                        file->path, (ull)expected, (ull)(size - expected));
    return NAS_OK;
}

static int read_header(idx_file *file, int which, const struct stat *status, nas_error *err) {
    uint8_t bytes[16];
    int rc = read_bytes(file, bytes, 4, 8, err);
    if (!rc) rc = check_magic(file, which, big_endian(bytes), err);
    if (rc) return rc;
    bool images = which == TRAIN_IMAGES || which == TEST_IMAGES;
    file->header = images ? 16 : 8;
    rc = read_bytes(file, bytes + 4, file->header - 4, file->header, err);
    if (rc) return rc;
    file->n = big_endian(bytes + 4);
    file->h = images ? big_endian(bytes + 8) : 1;
    file->w = images ? big_endian(bytes + 12) : 1;
    return check_sizes(file, status, err);
}

static void close_file(idx_file *file) {
    if (file->gz) gzclose(file->gz);
    file->gz = NULL;
}

static int open_file(const idx_config *config, int which, idx_file *file, nas_error *err) {
    struct stat status;
    file->gz = NULL;
    int rc = find_file(config, which, file->path, &status, err);
    if (rc) return rc;
    errno = 0;
    file->gz = gzopen(file->path, "rb");
    if (!file->gz)
        return nas_fail(err, nas_data_code(NAS_ERR_IO), "%s: %s", file->path,
                        nas_data_why(strerror(errno)));
    gzbuffer(file->gz, 1u << 17);
    rc = read_header(file, which, &status, err);
    if (rc) close_file(file);
    return rc;
}

/* A number, big-endian; what is none, or has a fraction, is negative. */
static double decode(const uint8_t *from, uint32_t type, uint32_t width) {
    uint64_t bits = 0;
    float single;
    double x;
    for (uint32_t i = 0; i < width; i++) bits = bits << 8 | from[i];
    uint32_t low = (uint32_t)bits;
    memcpy(&single, &low, sizeof single);
    memcpy(&x, &bits, sizeof x);
    if (type == F32) x = (double)single;
    if (type == I8) x = (int8_t)low;
    if (type == I16) x = (int16_t)low;
    if (type == I32) x = (int32_t)low;
    return x >= 0 && x <= 255 && x == (double)(int)x ? x : -1;
}

/* Turns numbers of another type into bytes, in place. */
static int narrow(const idx_file *file, uint8_t *body, nas_error *err) {
    uint64_t n = body_bytes(file) / file->width;
    for (uint64_t i = 0; i < n && file->type != U8; i++) {
        double x = decode(body + i * file->width, file->type, file->width);
        if (x < 0)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: offset %llu: expected whole numbers of 0 to 255, in whatever "
                            "type; write the file with unsigned bytes, images scaled to 0..255",
                            file->path, (ull)(file->header + i * file->width));
        body[i] = (uint8_t)x;
    }
    return NAS_OK;
}

/* Gives back what a wider type took. */
static void shrink(const idx_file *file, uint8_t **body) {
    uint64_t n = body_bytes(file) / file->width;
    uint8_t *less = file->width > 1 && n ? realloc(*body, n) : NULL;
    if (less) *body = less;
}

/* Reads the bytes behind the header into *body (the caller frees) and closes the file, which must
 * end there. */
static int read_body(idx_file *file, uint8_t **body, nas_error *err) {
    uint64_t bytes = body_bytes(file);
    *body = malloc(bytes);
    if (!*body)
        return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory for %llu bytes", file->path,
                        (ull)bytes);
    int rc = read_bytes(file, *body, bytes, file->header + bytes, err);
    if (!rc) rc = narrow(file, *body, err);
    if (rc) return rc;
    shrink(file, body);
    uint8_t more;
    int got = gzread(file->gz, &more, 1); /* at the end this also compares gzip's checksum */
    if (got > 0)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: offset %llu: expected the end of the file, found more bytes",
                        file->path, (ull)(file->header + bytes));
    int code = got < 0 ? Z_DATA_ERROR : gzclose(file->gz);
    if (got >= 0) file->gz = NULL;
    if (code != Z_OK)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: offset %llu: the end of the gzip data is missing or its checksum is "
                        "wrong; fetch the file again",
                        file->path, (ull)(file->header + bytes));
    return NAS_OK;
}

/* Opens a split's two files, from `first` on, and compares their headers. */
static int open_pair(const idx_config *config, int first, idx_file pair[2], nas_error *err) {
    pair[1].gz = NULL;
    int rc = open_file(config, first, &pair[0], err);
    if (!rc) rc = open_file(config, first + 1, &pair[1], err);
    if (!rc && pair[0].n != pair[1].n)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: offset 4: expected as many labels as %s has images, %u; found %u",
                      pair[1].path, pair[0].path, pair[0].n, pair[1].n);
    return rc;
}

/* Reads a split, or its sizes alone. On failure the set still has to be freed. */
static int read_set(const idx_config *config, int first, bool sizes_only, idx_set *set,
                    nas_error *err) {
    idx_file *pair = calloc(2, sizeof *pair);
    if (!pair) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    int rc = open_pair(config, first, pair, err);
    if (!rc) {
        set->n = pair[0].n;
        set->h = pair[0].h;
        set->w = pair[0].w;
    }
    if (!rc && !sizes_only) rc = read_body(&pair[0], &set->images, err);
    if (!rc && !sizes_only) rc = read_body(&pair[1], &set->labels, err);
    close_file(&pair[0]);
    close_file(&pair[1]);
    free(pair);
    return rc;
}

static void free_set(idx_set *set) {
    free(set->images);
    free(set->labels);
    set->images = set->labels = NULL;
}

static int check_test_labels(const idx *self, nas_error *err) {
    for (uint32_t i = 0; i < self->test.n; i++)
        if (self->test.labels[i] >= self->classes)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s/%s: offset %u: expected a label of 0 to %u, as the training labels "
                            "have; found %u",
                            self->config->folder, self->config->names[TEST_LABELS], 8 + i,
                            self->classes - 1, self->test.labels[i]);
    return NAS_OK;
}

/* Reads the test split at its first use. */
static int need_test(idx *self, nas_error *err) {
    if (self->test.labels) return NAS_OK;
    idx_set set = {0};
    int rc = read_set(self->config, TEST_IMAGES, false, &set, err);
    if (!rc && (set.n != self->test.n || set.h != self->test.h || set.w != self->test.w))
        rc = nas_fail(err, NAS_ERR_INPUT, "%s/%s: the file changed during the run",
                      self->config->folder, self->config->names[TEST_IMAGES]);
    if (rc) {
        free_set(&set);
        return rc;
    }
    self->test = set;
    rc = check_test_labels(self, err);
    if (rc) free_set(&self->test);
    return rc;
}

static int count_classes(idx *self, nas_error *err) {
    uint8_t largest = 0;
    for (uint32_t i = 0; i < self->train.n; i++)
        if (self->train.labels[i] > largest) largest = self->train.labels[i];
    self->classes = largest + 1u;
    if (self->classes < 2)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s/%s: offset 8: every label is 0; expected at least two classes",
                        self->config->folder, self->config->names[TRAIN_LABELS]);
    return NAS_OK;
}

static int cut_names(idx *self, nas_error *err) {
    char where[PATH_MAX];
    snprintf(where, sizeof where, "%s/%s", self->config->folder, self->config->names[TRAIN_LABELS]);
    return nas_class_names(self->config->class_names, self->classes, where, &self->names,
                           &self->class_names, err);
}

static int load(idx *self, nas_error *err) {
    int rc = read_set(self->config, TRAIN_IMAGES, false, &self->train, err);
    if (!rc) rc = count_classes(self, err);
    if (!rc) rc = cut_names(self, err);
    if (!rc) rc = read_set(self->config, TEST_IMAGES, true, &self->test, err);
    if (!rc && (self->test.h != self->train.h || self->test.w != self->train.w))
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s/%s: offset 8: expected test images of %u x %u, as for training; found %u "
                      "x %u",
                      self->config->folder, self->config->names[TEST_IMAGES], self->train.h,
                      self->train.w, self->test.h, self->test.w);
    return rc;
}

static void idx_destroy(void *instance) {
    idx *self = instance;
    if (!self) return;
    free_set(&self->train);
    free_set(&self->test);
    free(self->names);
    free(self->class_names);
    free(self);
}

static int idx_create(const nas_host *host, const void *config, void **instance, nas_error *err) {
    (void)host;
    idx *self = calloc(1, sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->config = config;
    int rc = load(self, err);
    if (rc)
        idx_destroy(self);
    else
        *instance = self;
    return rc;
}

static int idx_info(void *instance, nas_dataset_info *info, nas_error *err) {
    (void)err;
    const idx *self = instance;
    info->height = self->train.h;
    info->width = self->train.w;
    info->channels = 1;
    info->classes = self->classes;
    info->count[NAS_SPLIT_TRAIN] = self->train.n;
    info->count[NAS_SPLIT_TEST] = self->test.n;
    info->count[NAS_SPLIT_EXTRA] = 0;
    info->class_names = self->class_names;
    info->flip = self->config->flip;
    return NAS_OK;
}

/* A split in memory. */
static const idx_set *set_of(const idx *self, nas_split split) {
    static const idx_set none = {0};
    return split == NAS_SPLIT_TRAIN ? &self->train : split == NAS_SPLIT_TEST ? &self->test : &none;
}

static int idx_read(void *instance, nas_split split, const uint64_t *indices, size_t n,
                    uint8_t *images, int32_t *labels, nas_error *err) {
    idx *self = instance;
    int rc = split == NAS_SPLIT_TEST ? need_test(self, err) : NAS_OK;
    if (rc) return rc;
    const idx_set *set = set_of(self, split);
    size_t area = (size_t)self->train.h * self->train.w;
    for (size_t i = 0; i < n; i++) {
        if (indices[i] >= set->n) return nas_data_beyond(indices[i], set->n, err);
        memcpy(images + i * area, set->images + indices[i] * area, area);
        if (labels) labels[i] = set->labels[indices[i]];
    }
    return NAS_OK;
}

/* ---- Recognising ---- */

static int look_at(void *roles, const char *name, const char *path, nas_error *err) {
    char stem[NAME_MAX + 1];
    size_t n = strlen(name);
    (void)path, (void)err;
    if (!strstr(name, "ubyte")) return NAS_OK;
    if (n > 3 && strcmp(name + n - 3, ".gz") == 0) n -= 3;
    snprintf(stem, sizeof stem, "%.*s", (int)n, name);
    nas_roles_add(roles, stem, stem);
    return NAS_OK;
}

static int idx_look(const char *folder, nas_recognised *found, nas_error *err) {
    nas_roles roles = {0};
    int rc = nas_each_entry(folder, look_at, &roles, err);
    if (rc || !nas_roles_complete(&roles)) return rc;
    nas_recognised_text(found, "folder", folder);
    for (int i = 0; i < FILES; i++) { /* options has the folder first, and then the files */
        const char *usual = options[1 + i].fallback + 1; /* after the quote */
        size_t n = strlen(roles.values[i]);
        if (strlen(usual) != n + 1 || strncmp(usual, roles.values[i], n) != 0)
            nas_recognised_text(found, options[1 + i].name, roles.values[i]);
    }
    snprintf(found->note, sizeof found->note,
             "four IDX files; set \"flip\" to false for digits and letters, and \"class_names\"");
    return NAS_OK;
}

NAS_RECOGNISER(idx_look)

static int idx_labels(void *instance, nas_split split, uint64_t first, size_t n, int32_t *labels,
                      nas_error *err) {
    idx *self = instance;
    int rc = split == NAS_SPLIT_TEST ? need_test(self, err) : NAS_OK;
    const idx_set *set = set_of(self, split);
    if (rc) return rc;
    if (!set->labels || first > set->n || n > set->n - first)
        return nas_data_beyond(first + n - 1, set->n, err);
    for (size_t i = 0; i < n; i++) labels[i] = set->labels[first + i];
    return NAS_OK;
}

static const nas_dataset_api api = {
    .size = sizeof api, .info = idx_info, .read = idx_read, .labels = idx_labels};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "idx",
    .version = "1.0.0",
    .summary = "MNIST-family images and labels in IDX files, plain or gzip",
    .license = "Apache-2.0",
    .source = "http://yann.lecun.com/exdb/mnist/",
    .options = options,
    .config_size = sizeof(idx_config),
    .create = idx_create,
    .destroy = idx_destroy,
    .vtable = &api,
    .extension = recogniser_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
