/* Image files whose classes a CSV file tells: FILE,LABEL. Only names are kept in memory: a file is
 * decoded, cut to a square and resized when it is asked for. Classes are the labels of the training
 * list in the order of their bytes, or of their values where all are numbers. */
#include "csv.h"

#include <nashost/kit/dataset_files.h>
#include <nashost/kit/image_file.h>
#include <nashost/kit/image_set.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct list_config {
    const char *train, *test, *unlabelled, *root;
    double test_share;
    int64_t side, channels, max_side;
    bool flip;
    int on_bad_image;
} list_config;

static const nas_option options[] = {
    NAS_PATH("train", list_config, train, NULL,
             "CSV file of the training images, FILE,LABEL in each line, with or without a heading; "
             "a file without a label is an unlabelled image"),
    NAS_PATH("test", list_config, test, "null",
             "CSV file of the test images; if it is left out, a share of the labelled training "
             "images (test_share) is set apart instead"),
    NAS_PATH("unlabelled", list_config, unlabelled, "null",
             "folder or CSV file of further training images that have no labels"),
    NAS_PATH("root", list_config, root, "null",
             "folder that the lists' file names are relative to; if it is left out, each list's "
             "own"),
    NAS_FLOAT("test_share", list_config, test_share, "0.2", 0.001, 0.9, NULL,
              "share of the training images that become test images if \"test\" is left out; which "
              "ones depends on their names alone"),
    NAS_IMAGE_OPTIONS(list_config),
    {0},
};

/* A line of a list, with its names as they stand there. */
typedef struct list_row {
    char *file, *label;
    size_t line;
} list_row;

typedef struct row_list {
    list_row *items;
    size_t n;
} row_list;

typedef struct image_list {
    const list_config *config;
    const nas_host *host;
    nas_image_set sets[NAS_SPLITS];
    uint64_t hash[NAS_SPLITS]; /* of the names as they stand in the lists, and labels */
    char **classes;
    uint32_t n_classes;
    uint64_t unreadable;
} image_list;

/* ---- Rows ---- */

static int keep_row(void *context, size_t line, const char *file, const char *label,
                    nas_error *err) {
    row_list *all = context;
    if (!(all->n & (all->n - 1))) { /* full whenever it has a power of two */
        list_row *items = realloc(all->items, (all->n ? 2 * all->n : 1) * sizeof *items);
        if (!items) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
        all->items = items;
    }
    list_row one = {strdup(file), strdup(label), line};
    all->items[all->n++] = one;
    return one.file && one.label ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}

static void free_rows(row_list *all) {
    for (size_t i = 0; i < all->n; i++) {
        free(all->items[i].file);
        free(all->items[i].label);
    }
    free(all->items);
}

/* ---- Classes ---- */

/* The different labels of the rows that have one. */
static int make_classes(image_list *self, const row_list *all, nas_error *err) {
    const char **labels = (const char **)calloc(all->n + 1, sizeof *labels);
    size_t n = 0;
    if (!labels) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < all->n; i++)
        if (*all->items[i].label) labels[n++] = all->items[i].label;
    int rc = nas_label_classes(labels, n, &self->classes, &self->n_classes, err);
    free(labels);
    if (rc || self->n_classes >= 2) return rc;
    return nas_fail(err, NAS_ERR_INPUT, "%s: expected labels of at least two classes, found %u",
                    self->config->train, self->n_classes);
}

/* -1: none has this name. */
static int32_t find_class(const image_list *self, const char *label) {
    return nas_label_class((const char *const *)self->classes, self->n_classes, label);
}

/* ---- Lists ---- */

static int path_of(const image_list *self, const char *list, const char *file, char path[PATH_MAX],
                   nas_error *err) {
    char folder[PATH_MAX];
    if (file[0] == '/') return nas_data_path("", file + 1, path, err);
    if (self->config->root) return nas_data_path(self->config->root, file, path, err);
    snprintf(folder, sizeof folder, "%s", list);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = '\0';
    return nas_data_path(slash ? folder : ".", file, path, err);
}

/* Whether a training image goes to test, by a hash of its name alone. */
static bool set_apart(const image_list *self, const char *file) {
    uint64_t hash = nas_hash(NAS_HASH_START, file, strlen(file));
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    return (double)(hash >> 33) < self->config->test_share * 2147483648.0;
}

static int add(image_list *self, nas_split split, const char *list, const list_row *r,
               int32_t label, nas_error *err) {
    char path[PATH_MAX];
    struct stat status;
    int rc = path_of(self, list, r->file, path, err);
    if (rc) return rc;
    if (stat(path, &status) || !S_ISREG(status.st_mode))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: line %zu: there is no file %s; see the option \"root\"", list, r->line,
                        path);
    self->hash[split] = nas_hash(self->hash[split], r->file, strlen(r->file) + 1);
    self->hash[split] = nas_hash(self->hash[split], r->label, strlen(r->label) + 1);
    return nas_image_set_add(&self->sets[split], path, label, err);
}

/* Training images; those without a label are unlabelled ones. */
static int add_train(image_list *self, const row_list *all, nas_error *err) {
    bool *kept = calloc(self->n_classes, sizeof *kept); /* has an image that is for training */
    int rc = kept ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < all->n && !rc; i++) {
        int32_t label = find_class(self, all->items[i].label);
        if (label >= 0 && (self->config->test || !set_apart(self, all->items[i].file)))
            kept[label] = true;
    }
    for (size_t i = 0; i < all->n && !rc; i++) {
        const list_row *r = &all->items[i];
        int32_t label = find_class(self, r->label);
        bool apart = label >= 0 && kept[label] && !self->config->test && set_apart(self, r->file);
        rc = add(self,
                 label < 0 ? NAS_SPLIT_EXTRA
                 : apart   ? NAS_SPLIT_TEST
                           : NAS_SPLIT_TRAIN,
                 self->config->train, r, label, err);
    }
    free(kept);
    return rc;
}

static int read_train(image_list *self, nas_error *err) {
    row_list all = {0};
    int rc = csv_read(self->config->train, keep_row, &all, err);
    if (!rc) rc = make_classes(self, &all, err);
    if (!rc) rc = add_train(self, &all, err);
    free_rows(&all);
    return rc;
}

static int add_test(void *context, size_t line, const char *file, const char *label,
                    nas_error *err) {
    image_list *self = context;
    const list_row r = {(char *)(uintptr_t)file, (char *)(uintptr_t)label, line};
    int32_t class = find_class(self, label);
    if (class < 0)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: line %zu: label \"%.200s\": expected one of the labels of %s",
                        self->config->test, line, label, self->config->train);
    return add(self, NAS_SPLIT_TEST, self->config->test, &r, class, err);
}

static int add_unlabelled(void *context, size_t line, const char *file, const char *label,
                          nas_error *err) {
    image_list *self = context;
    const list_row r = {(char *)(uintptr_t)file, (char *)(uintptr_t) "", line};
    (void)label;
    return add(self, NAS_SPLIT_EXTRA, self->config->unlabelled, &r, -1, err);
}

static int add_entry(void *context, const char *name, const char *path, nas_error *err) {
    image_list *self = context;
    if (!nas_named_as_image(name)) return NAS_OK;
    self->hash[NAS_SPLIT_EXTRA] = nas_hash(self->hash[NAS_SPLIT_EXTRA], name, strlen(name) + 1);
    return nas_image_set_add(&self->sets[NAS_SPLIT_EXTRA], path, -1, err);
}

static int read_unlabelled(image_list *self, nas_error *err) {
    const char *path = self->config->unlabelled;
    struct stat status;
    if (!path) return NAS_OK;
    int rc = stat(path, &status) == 0 && S_ISDIR(status.st_mode)
                 ? nas_each_entry(path, add_entry, self, err)
                 : csv_read(path, add_unlabelled, self, err);
    if (rc || self->sets[NAS_SPLIT_EXTRA].n) return rc;
    return nas_fail(err, NAS_ERR_INPUT, "%s: no .png, .jpg, .jpeg or .webp file in it", path);
}

static int read_all(image_list *self, nas_error *err) {
    const list_config *config = self->config;
    if (config->channels == 2)
        return nas_fail(err, NAS_ERR_INPUT, "option \"channels\": expected 1 or 3, found 2");
    for (int s = 0; s < NAS_SPLITS; s++) self->hash[s] = NAS_HASH_START;
    int rc = read_train(self, err);
    if (!rc && config->test) rc = csv_read(config->test, add_test, self, err);
    if (!rc && !self->sets[NAS_SPLIT_TEST].n)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: no test image; see the options \"test\" and \"test_share\"",
                      config->test ? config->test : config->train);
    return rc ? rc : read_unlabelled(self, err);
}

/* ---- Recognising ---- */

/* The lists and the folder that a data set may come in, in the order of nas_split. */
typedef struct parts {
    char paths[NAS_SPLITS][PATH_MAX];
} parts;

static int look_at_part(void *context, const char *name, const char *path, nas_error *err) {
    static const char *const words[NAS_SPLITS][5] = {
        {"train.csv", "labels.csv"},
        {"test.csv", "val.csv", "valid.csv", "validation.csv"},
        {"unlabelled", "unlabeled", "unlabelled.csv", "unlabeled.csv"}};
    parts *p = context;
    (void)err;
    for (int s = 0; s < NAS_SPLITS; s++)
        for (int i = 0; i < 5 && words[s][i]; i++)
            if (strcmp(name, words[s][i]) == 0 && !p->paths[s][0])
                snprintf(p->paths[s], PATH_MAX, "%s", path);
    return NAS_OK;
}

enum { SAMPLES = 32, LARGEST = 64 };

/* The sides of the first images of a list. */
typedef struct looking {
    const char *list;
    size_t n;
    uint32_t side;
} looking;

static int look_at_row(void *context, size_t line, const char *file, const char *label,
                       nas_error *err) {
    looking *l = context;
    const list_config config = {0};
    const image_list none = {.config = &config};
    char path[PATH_MAX];
    FILE *opened;
    nas_picture p = {.channels = 3, .side = 1024, .max_side = 65500};
    (void)line, (void)label;
    if (l->n++ >= SAMPLES) return NAS_OK;
    int rc = path_of(&none, l->list, file, path, err);
    if (!rc) rc = nas_data_open(path, "the list names it", &opened, NULL, err);
    if (rc) return rc;
    rc = nas_image_decode(opened, path, &p, err);
    fclose(opened);
    free(p.pixels);
    uint32_t least = p.h < p.w ? p.h : p.w;
    if (!rc && least < l->side) l->side = least;
    return rc;
}

static int list_look(const char *folder, nas_recognised *found, nas_error *err) {
    static const char *const names[] = {"train", "test", "unlabelled"};
    parts p = {0};
    char number[16];
    looking l = {.list = p.paths[NAS_SPLIT_TRAIN], .side = LARGEST};
    int rc = nas_each_entry(folder, look_at_part, &p, err);
    if (rc || !p.paths[NAS_SPLIT_TRAIN][0]) return rc;
    /* A CSV file of something else is no error. */
    if (csv_read(l.list, look_at_row, &l, NULL) || !l.n) return NAS_OK;
    l.side = l.side < 8 ? 8 : l.side / 4 * 4;
    for (int s = 0; s < NAS_SPLITS; s++)
        if (p.paths[s][0]) nas_recognised_text(found, names[s], p.paths[s]);
    snprintf(number, sizeof number, "%u", l.side);
    nas_recognised_json(found, "side", number);
    snprintf(found->note, sizeof found->note,
             "a list of %zu files; images become squares of %u x %u; set \"flip\" to false for "
             "digits and letters",
             l.n, l.side, l.side);
    return NAS_OK;
}

NAS_RECOGNISER(list_look)

/* ---- The plugin ---- */

static void list_destroy(void *instance) {
    image_list *self = instance;
    if (!self) return;
    for (int s = 0; s < NAS_SPLITS; s++) nas_image_set_free(&self->sets[s]);
    for (uint32_t c = 0; c < self->n_classes; c++) free(self->classes[c]);
    free(self->classes);
    free(self);
}

static nas_image_how how_of(const list_config *config) {
    return (nas_image_how){.side = (uint32_t)config->side,
                           .channels = (uint32_t)config->channels,
                           .max_side = (uint32_t)config->max_side};
}

static int sift(image_list *self, nas_error *err) {
    const nas_image_how how = how_of(self->config);
    int rc = NAS_OK;
    for (int s = 0; s < NAS_SPLITS && !rc; s++)
        rc = nas_image_set_sift(&self->sets[s], &how, self->host, &self->unreadable, err);
    return rc;
}

static int list_create(const nas_host *host, const void *config, void **instance, nas_error *err) {
    image_list *self = calloc(1, sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->config = config;
    self->host = host;
    int rc = read_all(self, err);
    if (!rc && self->config->on_bad_image == NAS_BAD_IMAGE_SKIP) rc = sift(self, err);
    if (rc)
        list_destroy(self);
    else
        *instance = self;
    return rc;
}

static int list_info(void *instance, nas_dataset_info *info, nas_error *err) {
    (void)err;
    const image_list *self = instance;
    info->height = info->width = (uint32_t)self->config->side;
    info->channels = (uint32_t)self->config->channels;
    info->classes = self->n_classes;
    for (int s = 0; s < NAS_SPLITS; s++) info->count[s] = self->sets[s].n;
    info->class_names = (const char *const *)self->classes;
    info->flip = self->config->flip;
    if (NAS_HAS(info, skipped)) info->skipped = self->unreadable;
    return NAS_OK;
}

static int list_read(void *instance, nas_split split, const uint64_t *indices, size_t n,
                     uint8_t *images, int32_t *labels, nas_error *err) {
    const image_list *self = instance;
    const nas_image_how how = how_of(self->config);
    return nas_image_set_read(&self->sets[split], &how, self->host,
                              "repair them, take them out of the list, or set the option "
                              "\"on_bad_image\" to \"skip\"",
                              indices, n, images, labels, err);
}

static uint64_t list_fingerprint(void *instance, nas_split split) {
    return ((const image_list *)instance)->hash[split];
}

static const void *list_extension(void *self, const char *id) {
    return strcmp(id, NAS_EXT_PHOTO) == 0 ? &nas_image_photos : recogniser_extension(self, id);
}

static int list_labels(void *instance, nas_split split, uint64_t first, size_t n, int32_t *labels,
                       nas_error *err) {
    const image_list *self = instance;
    return nas_image_set_labels(&self->sets[split], first, n, labels, err);
}

static const nas_dataset_api api = {.size = sizeof api,
                                    .info = list_info,
                                    .read = list_read,
                                    .fingerprint = list_fingerprint,
                                    .labels = list_labels,
                                    .parallel = true};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "image_list",
    .version = "1.0.0",
    .summary = "PNG, JPEG and WebP files, whose classes a CSV file tells",
    .license = "Apache-2.0",
    .source = "https://www.rfc-editor.org/rfc/rfc4180",
    .options = options,
    .config_size = sizeof(list_config),
    .create = list_create,
    .destroy = list_destroy,
    .vtable = &api,
    .extension = list_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
