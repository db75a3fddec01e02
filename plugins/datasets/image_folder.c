/* Images as PNG, JPEG and WebP files, one folder a class. Only names are kept in memory: a file is
 * decoded, cut to a square and resized when it is asked for. The order of images and classes is
 * that of their names' bytes, so it is the same on every machine. */
#include <nashost/kit/dataset_files.h>
#include <nashost/kit/image_file.h>
#include <nashost/kit/image_set.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_CLASSES = 65536 };

typedef struct folder_config {
    const char *train, *test, *unlabelled;
    double test_share;
    int64_t side, channels, max_side;
    bool flip;
    int on_bad_image;
} folder_config;

static const nas_option options[] = {
    /* the first three in the order of nas_split */
    NAS_PATH("train", folder_config, train, NULL,
             "folder of the training images: it holds one folder of .png, .jpg, .jpeg and .webp "
             "files for each class"),
    NAS_PATH("test", folder_config, test, "null",
             "folder of the test images, with one folder for each class; if it is left out, a "
             "share of the "
             "training images (test_share) is set apart instead"),
    NAS_PATH("unlabelled", folder_config, unlabelled, "null",
             "folder of further training images that have no labels; it holds no folders"),
    NAS_FLOAT(
        "test_share", folder_config, test_share, "0.2", 0.001, 0.9, NULL,
        "share of the training images that become test images if \"test\" is left out; which ones "
        "depends on their names alone"),
    NAS_IMAGE_OPTIONS(folder_config),
    {0},
};

typedef struct image_folder {
    const folder_config *config;
    const nas_host *host;
    nas_image_set lists[NAS_SPLITS];
    char *classes[MAX_CLASSES];
    size_t n_classes;
    uint64_t unreadable; /* images that were left out */
    size_t skipped;      /* files that are no images by their names */
    char first_skipped[PATH_MAX];
} image_folder;

/* ---- Listing ---- */

/* A folder on its way into a list. */
typedef struct walk {
    image_folder *self;
    nas_split split;
    int32_t label;
} walk;

/* Calls fn for what is in a split's folder, or in one of a class. */
static int walk_folder(walk *w, const char *path, nas_entry_fn fn, nas_error *err) {
    struct stat status;
    int why = stat(path, &status) ? errno : S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
    if (!why) return nas_each_entry(path, fn, w, err);
    return nas_fail(err, NAS_ERR_INPUT, "%s: %s; expected a folder; see the option \"%s\"", path,
                    strerror(why), options[w->split].name);
}

static void skip(image_folder *self, const char *path) {
    if (!self->skipped++) snprintf(self->first_skipped, sizeof self->first_skipped, "%s", path);
}

/* Whether an image of train goes to test, by a hash of its path in train (FNV-1a, mixed once more):
 * adding or removing other images does not move it. */
static bool set_apart(const image_folder *self, const char *path) {
    const char *name = path + strlen(self->config->train);
    uint64_t hash = nas_hash(NAS_HASH_START, name, strlen(name));
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    return (double)(hash >> 33) < self->config->test_share * 2147483648.0;
}

/* Appends an image; one that is set apart goes to the test split. */
static int list_image(void *context, const char *name, const char *path, nas_error *err) {
    const walk *w = context;
    image_folder *self = w->self;
    bool share = w->split == NAS_SPLIT_TRAIN && !self->config->test;
    nas_split to = share && set_apart(self, path) ? NAS_SPLIT_TEST : w->split;
    if (nas_named_as_image(name)) return nas_image_set_add(&self->lists[to], path, w->label, err);
    skip(self, path);
    return NAS_OK;
}

/* Finds the label of a class folder; one of train that is not known yet becomes a class. */
static int find_class(image_folder *self, nas_split split, const char *name, const char *path,
                      int32_t *label, nas_error *err) {
    size_t c = 0;
    while (c < self->n_classes && strcmp(self->classes[c], name) != 0) c++;
    *label = (int32_t)c;
    if (c < self->n_classes) return NAS_OK;
    if (split != NAS_SPLIT_TRAIN)
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected the name of a class folder of %s", path,
                        self->config->train);
    if (c == MAX_CLASSES)
        return nas_fail(err, NAS_ERR_INPUT, "%s: more than %d classes", path, MAX_CLASSES);
    self->classes[c] = strdup(name);
    if (!self->classes[c]) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->n_classes++;
    return NAS_OK;
}

/* A class all of whose images would be for the test, from `first` on, keeps the first for training.
 */
static int keep_one(image_folder *self, size_t first, nas_error *err) {
    nas_image_set *test = &self->lists[NAS_SPLIT_TEST];
    if (test->n == first) return NAS_OK;
    nas_image_item item = test->items[first];
    test->n--;
    memmove(&test->items[first], &test->items[first + 1], (test->n - first) * sizeof item);
    int rc = nas_image_set_add(&self->lists[NAS_SPLIT_TRAIN], item.path, item.label, err);
    free(item.path);
    return rc;
}

static int list_class(void *context, const char *name, const char *path, nas_error *err) {
    walk *w = context;
    image_folder *self = w->self;
    struct stat status;
    if (stat(path, &status) || !S_ISDIR(status.st_mode)) {
        skip(self, path);
        return NAS_OK;
    }
    size_t before = self->lists[w->split].n, before_test = self->lists[NAS_SPLIT_TEST].n;
    int rc = find_class(self, w->split, name, path, &w->label, err);
    if (!rc) rc = walk_folder(w, path, list_image, err);
    if (!rc && w->split == NAS_SPLIT_TRAIN && self->lists[NAS_SPLIT_TRAIN].n == before)
        rc = keep_one(self, before_test, err);
    if (!rc && w->split == NAS_SPLIT_TRAIN && self->lists[w->split].n == before)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: no .png, .jpg, .jpeg or .webp file; fill or remove the folder", path);
    return rc;
}

/* Where the images of a split lie. */
static const char *split_folder(const image_folder *self, nas_split split) {
    const folder_config *config = self->config;
    if (split == NAS_SPLIT_EXTRA) return config->unlabelled ? config->unlabelled : "";
    return split == NAS_SPLIT_TEST && config->test ? config->test : config->train;
}

static int list_all(image_folder *self, nas_error *err) {
    const folder_config *config = self->config;
    if (config->channels == 2)
        return nas_fail(err, NAS_ERR_INPUT, "option \"channels\": expected 1 or 3, found 2");
    walk w = {.self = self, .split = NAS_SPLIT_TRAIN};
    int rc = walk_folder(&w, config->train, list_class, err);
    if (!rc && self->n_classes < 2)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: expected a folder for each of at least two classes, found %zu",
                      config->train, self->n_classes);
    w.split = NAS_SPLIT_TEST;
    if (!rc && config->test) rc = walk_folder(&w, config->test, list_class, err);
    if (!rc && !self->lists[NAS_SPLIT_TEST].n)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: no test image; see the options \"test\" and \"test_share\"",
                      config->test ? config->test : config->train);
    if (rc || !config->unlabelled) return rc;
    w = (walk){self, NAS_SPLIT_EXTRA, -1};
    rc = walk_folder(&w, config->unlabelled, list_image, err);
    if (!rc && !self->lists[NAS_SPLIT_EXTRA].n)
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: no .png, .jpg, .jpeg or .webp file in it",
                      config->unlabelled);
    return rc;
}

/* ---- Decoding ---- */

static int decode(const char *path, nas_picture *p, nas_error *err) {
    FILE *file;
    int rc = nas_data_open(path, "it was there when the folder was listed", &file, NULL, err);
    if (rc) return rc;
    rc = nas_image_decode(file, path, p, err);
    fclose(file);
    return rc;
}

/* ---- Recognising ---- */

enum { SAMPLES = 8, LARGEST = 64 };

/* A folder that may hold class folders. */
typedef struct tree {
    size_t classes;
    char images[SAMPLES][PATH_MAX]; /* the first one of each of the first classes */
} tree;

static int keep_first(void *context, const char *name, const char *path, nas_error *err) {
    char *first = context;
    (void)err;
    if (!*first && nas_named_as_image(name)) snprintf(first, PATH_MAX, "%s", path);
    return NAS_OK;
}

static int look_at_class(void *context, const char *name, const char *path, nas_error *err) {
    tree *t = context;
    char first[PATH_MAX] = "";
    (void)name, (void)err;
    if (nas_each_entry(path, keep_first, first, NULL) || !*first) return NAS_OK;
    if (t->classes < SAMPLES) memcpy(t->images[t->classes], first, sizeof first);
    t->classes++;
    return NAS_OK;
}

/* The folders that a data set may come in, in the order of nas_split. */
typedef struct parts {
    char paths[NAS_SPLITS][PATH_MAX];
} parts;

static int look_at_part(void *context, const char *name, const char *path, nas_error *err) {
    static const char *const words[NAS_SPLITS][6] = {
        {"train", "training"},
        {"test", "testing", "val", "valid", "validation"},
        {"unlabelled", "unlabeled"}};
    parts *p = context;
    (void)err;
    for (int s = 0; s < NAS_SPLITS; s++)
        for (int i = 0; words[s][i]; i++)
            if (!strcasecmp(name, words[s][i]) && !p->paths[s][0])
                snprintf(p->paths[s], PATH_MAX, "%s", path);
    return NAS_OK;
}

static bool is_grey(const nas_picture *p) {
    for (size_t i = 0; i < (size_t)p->h * p->w; i++)
        if (p->pixels[3 * i] != p->pixels[3 * i + 1] || p->pixels[3 * i] != p->pixels[3 * i + 2])
            return false;
    return true;
}

/* A side that no sample is smaller than, a multiple of 4, and whether one has colours. */
static int look_at_images(const tree *t, uint32_t *side, bool *coloured, nas_error *err) {
    nas_picture p = {.channels = 3, .side = 1024, .max_side = 65500};
    int rc = NAS_OK;
    *side = LARGEST;
    *coloured = false;
    for (size_t i = 0; i < t->classes && i < SAMPLES && !rc; i++) {
        rc = decode(t->images[i], &p, err);
        if (rc) break;
        uint32_t least = p.h < p.w ? p.h : p.w;
        if (least < *side) *side = least;
        *coloured = *coloured || !is_grey(&p);
    }
    *side = *side < 8 ? 8 : *side / 4 * 4;
    free(p.pixels);
    return rc;
}

static int folder_look(const char *folder, nas_recognised *found, nas_error *err) {
    static const char *const names[] = {"train", "test", "unlabelled"};
    tree t = {0};
    parts p = {0};
    char number[16];
    uint32_t side;
    bool coloured;
    int rc = nas_each_entry(folder, look_at_part, &p, err);
    if (!p.paths[0][0]) snprintf(p.paths[0], PATH_MAX, "%s", folder);
    if (!rc) rc = nas_each_entry(p.paths[0], look_at_class, &t, err);
    if (rc || t.classes < 2) return rc;
    rc = look_at_images(&t, &side, &coloured, err);
    if (rc) return rc;
    for (int s = 0; s < NAS_SPLITS; s++)
        if (p.paths[s][0]) nas_recognised_text(found, names[s], p.paths[s]);
    snprintf(number, sizeof number, "%u", side);
    nas_recognised_json(found, "side", number);
    nas_recognised_json(found, "channels", coloured ? "3" : "1");
    snprintf(
        found->note, sizeof found->note,
        "%zu class folders; images become squares of %u x %u; set \"flip\" to false for digits "
        "and letters",
        t.classes, side, side);
    return NAS_OK;
}

NAS_RECOGNISER(folder_look)

static const void *folder_extension(void *self, const char *id) {
    return strcmp(id, NAS_EXT_PHOTO) == 0 ? &nas_image_photos : recogniser_extension(self, id);
}

/* ---- The plugin ---- */

static void folder_destroy(void *instance) {
    image_folder *self = instance;
    if (!self) return;
    for (int s = 0; s < NAS_SPLITS; s++) nas_image_set_free(&self->lists[s]);
    for (size_t c = 0; c < self->n_classes; c++) free(self->classes[c]);
    free(self);
}

/* Classes without a test image: how well they are recognised will not be known. */
static void warn_of_untested(const image_folder *self) {
    const nas_image_set *test = &self->lists[NAS_SPLIT_TEST];
    char line[400];
    size_t untested = 0, first = 0;
    for (size_t c = 0, i = 0; c < self->n_classes; c++) { /* labels ascend */
        bool tested = i < test->n && test->items[i].label == (int32_t)c;
        while (i < test->n && test->items[i].label == (int32_t)c) i++;
        if (tested) continue;
        if (!untested++) first = c;
    }
    snprintf(
        line, sizeof line,
        "%zu of %zu classes have no test image, first \"%.200s\": the test says nothing of them",
        untested, self->n_classes, self->classes[first]);
    if (untested) self->host->log(self->host, NAS_WARNING, line);
}

static nas_image_how how_of(const folder_config *config) {
    return (nas_image_how){.side = (uint32_t)config->side,
                           .channels = (uint32_t)config->channels,
                           .max_side = (uint32_t)config->max_side};
}

/* Leaves out what cannot be read. */
static int sift(image_folder *self, nas_error *err) {
    const nas_image_how how = how_of(self->config);
    int rc = NAS_OK;
    for (int s = 0; s < NAS_SPLITS && !rc; s++)
        rc = nas_image_set_sift(&self->lists[s], &how, self->host, &self->unreadable, err);
    return rc;
}

static int folder_create(const nas_host *host, const void *config, void **instance,
                         nas_error *err) {
    char line[PATH_MAX + 100];
    image_folder *self = calloc(1, sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->config = config;
    self->host = host;
    int rc = list_all(self, err);
    if (!rc && self->config->on_bad_image == NAS_BAD_IMAGE_SKIP) rc = sift(self, err);
    if (rc) {
        folder_destroy(self);
        return rc;
    }
    snprintf(line, sizeof line,
             "%zu files that are no .png, .jpg, .jpeg or .webp are left out, first %s",
             self->skipped, self->first_skipped);
    warn_of_untested(self);
    if (self->skipped) host->log(host, NAS_WARNING, line);
    *instance = self;
    return NAS_OK;
}

static int folder_info(void *instance, nas_dataset_info *info, nas_error *err) {
    (void)err;
    const image_folder *self = instance;
    info->height = info->width = (uint32_t)self->config->side;
    info->channels = (uint32_t)self->config->channels;
    info->classes = (uint32_t)self->n_classes;
    for (int s = 0; s < NAS_SPLITS; s++) info->count[s] = self->lists[s].n;
    info->class_names = (const char *const *)self->classes;
    info->flip = self->config->flip;
    if (NAS_HAS(info, skipped)) info->skipped = self->unreadable;
    return NAS_OK;
}

static int folder_read(void *instance, nas_split split, const uint64_t *indices, size_t n,
                       uint8_t *images, int32_t *labels, nas_error *err) {
    const image_folder *self = instance;
    const nas_image_how how = how_of(self->config);
    return nas_image_set_read(&self->lists[split], &how, self->host,
                              "repair or remove them, or set the option \"on_bad_image\" to "
                              "\"skip\"",
                              indices, n, images, labels, err);
}

static int folder_labels(void *instance, nas_split split, uint64_t first, size_t n, int32_t *labels,
                         nas_error *err) {
    const image_folder *self = instance;
    return nas_image_set_labels(&self->lists[split], first, n, labels, err);
}

/* Names within the split's folder, which may be moved, and the classes' names. */
static uint64_t folder_fingerprint(void *instance, nas_split split) {
    const image_folder *self = instance;
    return nas_image_set_hash(&self->lists[split], strlen(split_folder(self, split)));
}

static const nas_dataset_api api = {.size = sizeof api,
                                    .info = folder_info,
                                    .read = folder_read,
                                    .fingerprint = folder_fingerprint,
                                    .labels = folder_labels,
                                    .parallel = true};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "image_folder",
    .version = "1.0.0",
    .summary = "PNG, JPEG and WebP files, one folder a class, cut to squares and resized",
    .license = "Apache-2.0",
    .source =
        "https://libpng.org, https://libjpeg-turbo.org, https://developers.google.com/speed/webp",
    .options = options,
    .config_size = sizeof(folder_config),
    .create = folder_create,
    .destroy = folder_destroy,
    .vtable = &api,
    .extension = folder_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
