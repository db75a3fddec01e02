/* Images in tar archives, in WebDataset's layout: KEY.jpg (or .jpeg, .png, .webp) and KEY.cls or
 * KEY.json. Only names and places are kept in memory: an image is decoded, cut to a square and
 * resized when it is asked for. Compressed shards are unpacked once, into a file without a name. */
#include "shard.h"

#include <nashost/kit/dataset_files.h>
#include <nashost/kit/image_file.h>

#include <stdlib.h>

typedef struct tar_config {
    const char *train, *test, *unlabelled, *label_key, *class_names;
    double test_share;
    int64_t side, channels, max_side;
    bool flip;
    int on_bad_image;
} tar_config;

static const nas_option options[] = {
    /* the first three in the order of nas_split */
    NAS_PATH("train", tar_config, train, NULL,
             "shards of the training images: a tar archive, plain or by gzip or zstd, a folder of "
             "such, a pattern as in train-*.tar, or a range as in train-{000..099}.tar"),
    NAS_PATH("test", tar_config, test, "null",
             "shards of the test images; if it is left out, a share of the training images "
             "(test_share) is set apart instead"),
    NAS_PATH("unlabelled", tar_config, unlabelled, "null",
             "shards of further training images, whose labels are not read"),
    NAS_STRING("label_key", tar_config, label_key, "\"label\"",
               "key of the label in KEY.json, where there is no KEY.cls"),
    NAS_STRING("class_names", tar_config, class_names, "\"\"",
               "names of the classes 0, 1 and so on, separated by commas; empty: the classes are "
               "the labels of the training images, in the order of their values or bytes"),
    NAS_FLOAT("test_share", tar_config, test_share, "0.2", 0.001, 0.9, NULL,
              "share of the training images that become test images if \"test\" is left out; which "
              "ones depends on their keys alone"),
    NAS_IMAGE_OPTIONS(tar_config),
    {0},
};

typedef struct tar {
    const tar_config *config;
    const nas_host *host;
    tar_files files;
    nas_image_set sets[NAS_SPLITS];
    char **classes; /* [n_classes] */
    uint32_t n_classes;
    char *text; /* of class_names, which classes then point into */
    uint64_t unreadable;
} tar;

/* ---- Classes ---- */

static int need_labels(const tar_samples *samples, nas_error *err) {
    for (size_t i = 0; i < samples->n; i++) {
        const tar_sample *s = &samples->items[i];
        if (!s->label)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: key \"%.*s\": no label; expected .cls beside it, or .json with a "
                            "number or a string under the option \"label_key\"; images without "
                            "labels go into shards of their own, see the option \"unlabelled\"",
                            s->name, (int)s->key_size, s->name + s->key);
    }
    return NAS_OK;
}

static int make_classes(tar *self, const tar_samples *samples, nas_error *err) {
    const char **labels = (const char **)calloc(samples->n + 1, sizeof *labels);
    if (!labels) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < samples->n; i++) labels[i] = samples->items[i].label;
    int rc = nas_label_classes(labels, samples->n, &self->classes, &self->n_classes, err);
    free(labels);
    return rc;
}

static int name_classes(tar *self, nas_error *err) {
    const char *list = self->config->class_names;
    self->n_classes = 1;
    for (const char *at = list; (at = strchr(at, ',')); at++) self->n_classes++;
    return nas_class_names(list, self->n_classes, "\"class_names\"", &self->text,
                           (const char ***)&self->classes, err);
}

/* The class of a label: its name, or, where classes have names of their own, its number too; -1:
 * none. */
static int32_t find_class(const tar *self, const char *label) {
    long number;
    int32_t class = nas_label_class((const char *const *)self->classes, self->n_classes, label);
    if (class >= 0 || !self->text || !nas_label_number(label, &number)) return class;
    return number < self->n_classes ? (int32_t)number : -1;
}

static int class_of(const tar *self, const tar_sample *s, int32_t *class, nas_error *err) {
    *class = find_class(self, s->label);
    if (*class >= 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: key \"%.*s\": label \"%.100s\" has no class; expected one of the %u %s",
                    s->name, (int)s->key_size, s->name + s->key, s->label, self->n_classes,
                    self->text ? "\"class_names\", or its number"
                               : "labels of the training images");
}

/* ---- Splits ---- */

/* Whether a training image goes to test, by a hash of its key alone. */
static bool set_apart(const tar *self, const tar_sample *s) {
    uint64_t hash = nas_hash(NAS_HASH_START, s->name + s->key, s->key_size);
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    return !self->config->test && (double)(hash >> 33) < self->config->test_share * 2147483648.0;
}

static int add(tar *self, nas_split split, const tar_sample *s, int32_t label, nas_error *err) {
    const nas_image_item item = {
        .path = s->name, .label = label, .from = s->shard, .at = s->at, .bytes = s->bytes};
    return nas_image_set_add_item(&self->sets[split], &item, err);
}

/* A class all of whose images would be for the test keeps them for the training. */
static int add_train(tar *self, const tar_samples *samples, nas_error *err) {
    bool *kept = calloc(self->n_classes, sizeof *kept);
    int rc = kept ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    int32_t class;
    for (size_t i = 0; i < samples->n && !rc; i++) {
        rc = class_of(self, &samples->items[i], &class, err);
        if (!rc && !set_apart(self, &samples->items[i])) kept[class] = true;
    }
    for (size_t i = 0; i < samples->n && !rc; i++) {
        const tar_sample *s = &samples->items[i];
        class = find_class(self, s->label);
        bool apart = kept[class] && set_apart(self, s);
        rc = add(self, apart ? NAS_SPLIT_TEST : NAS_SPLIT_TRAIN, s, class, err);
    }
    free(kept);
    return rc;
}

static int add_all(tar *self, nas_split split, const tar_samples *samples, nas_error *err) {
    int rc = NAS_OK;
    for (size_t i = 0; i < samples->n && !rc; i++) {
        int32_t class = -1;
        if (split == NAS_SPLIT_TEST) rc = class_of(self, &samples->items[i], &class, err);
        if (!rc) rc = add(self, split, &samples->items[i], class, err);
    }
    return rc;
}

static int sort_samples(tar *self, nas_split split, const tar_samples *samples, nas_error *err) {
    int rc = split == NAS_SPLIT_EXTRA ? NAS_OK : need_labels(samples, err);
    if (rc || split != NAS_SPLIT_TRAIN) return rc ? rc : add_all(self, split, samples, err);
    rc = *self->config->class_names ? name_classes(self, err) : make_classes(self, samples, err);
    if (!rc && self->n_classes < 2)
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: expected labels of at least two classes, found %u",
                      self->config->train, self->n_classes);
    return rc ? rc : add_train(self, samples, err);
}

static int list_split(tar *self, nas_split split, const char *text, nas_error *err) {
    const tar_how how = {.label_key = self->config->label_key};
    tar_samples samples = {0};
    if (!text) return NAS_OK;
    int rc = tar_list_all(text, &how, &self->files, &samples, err);
    if (!rc) rc = sort_samples(self, split, &samples, err);
    tar_samples_free(&samples);
    return rc;
}

static int list_all(tar *self, nas_error *err) {
    const tar_config *config = self->config;
    if (config->channels == 2)
        return nas_fail(err, NAS_ERR_INPUT, "option \"channels\": expected 1 or 3, found 2");
    int rc = list_split(self, NAS_SPLIT_TRAIN, config->train, err);
    if (!rc) rc = list_split(self, NAS_SPLIT_TEST, config->test, err);
    if (!rc) rc = list_split(self, NAS_SPLIT_EXTRA, config->unlabelled, err);
    if (!rc && !self->sets[NAS_SPLIT_TEST].n)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: no test image; see the options \"test\" and \"test_share\"",
                      config->train);
    return rc;
}

/* ---- Recognising ---- */

enum { LARGEST = 64 };

/* What a folder's shards are named by, in the order of nas_split: folders, or patterns. */
typedef struct parts {
    char values[NAS_SPLITS][PATH_MAX];
} parts;

static int split_of(const char *name) {
    if (strstr(name, "unlab") || strstr(name, "extra")) return NAS_SPLIT_EXTRA;
    if (strstr(name, "train")) return NAS_SPLIT_TRAIN;
    return strstr(name, "test") || strstr(name, "val") ? NAS_SPLIT_TEST : -1;
}

static int find_shard(void *found, const char *name, const char *path, nas_error *err) {
    (void)path, (void)err;
    *(bool *)found = *(bool *)found || tar_named_as_shard(name);
    return NAS_OK;
}

/* Notes a folder of shards, or, of a shard, a pattern of its name up to the word. */
static int look_at_part(void *context, const char *name, const char *path, nas_error *err) {
    static const char *const words[NAS_SPLITS] = {"train", "test", "unlab"};
    parts *p = context;
    int split = split_of(name);
    bool shards = false;
    (void)err;
    if (split < 0 || p->values[split][0]) return NAS_OK;
    if (!tar_named_as_shard(name)) {
        if (!nas_each_entry(path, find_shard, &shards, NULL) && shards)
            snprintf(p->values[split], PATH_MAX, "%s", path);
        return NAS_OK;
    }
    const char *word = split == NAS_SPLIT_TEST && !strstr(name, "test") ? "val" : words[split];
    snprintf(p->values[split], PATH_MAX, "%.*s/*%s*.t*", (int)(strlen(path) - strlen(name) - 1),
             path, strstr(name, word) ? word : "extra");
    return NAS_OK;
}

/* A side that the first image is not smaller than, a multiple of 4. */
static int look_at_image(const tar *self, uint32_t *side, nas_error *err) {
    nas_picture p = {.channels = 3, .side = 1024, .max_side = 65500};
    const nas_image_item *item = &self->sets[NAS_SPLIT_TRAIN].items[0];
    FILE *file;
    int rc = tar_open_image(&self->files, item, &file, err);
    if (rc) return rc;
    rc = nas_image_decode(file, item->path, &p, err);
    fclose(file);
    free(p.pixels);
    *side = p.h < p.w ? p.h : p.w;
    *side = *side > LARGEST ? LARGEST : *side < 8 ? 8 : *side / 4 * 4;
    return rc;
}

static void tar_destroy(void *instance);

static int tar_look(const char *folder, nas_recognised *found, nas_error *err) {
    static const char *const names[] = {"train", "test", "unlabelled"};
    parts p = {0};
    char number[16];
    uint32_t side = LARGEST;
    int rc = nas_each_entry(folder, look_at_part, &p, err);
    if (rc || !p.values[NAS_SPLIT_TRAIN][0]) return rc;
    const tar_config config = {.train = p.values[NAS_SPLIT_TRAIN],
                               .label_key = "label",
                               .class_names = "",
                               .test = ""}; /* none is set apart */
    tar *self = calloc(1, sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->config = &config;
    self->files.unpacked = -1;
    rc = list_split(self, NAS_SPLIT_TRAIN, config.train, err);
    if (!rc) rc = look_at_image(self, &side, err);
    tar_destroy(self);
    if (rc) return rc;
    for (int s = 0; s < NAS_SPLITS; s++)
        if (p.values[s][0]) nas_recognised_text(found, names[s], p.values[s]);
    snprintf(number, sizeof number, "%u", side);
    nas_recognised_json(found, "side", number);
    snprintf(found->note, sizeof found->note,
             "tar archives; images become squares of %u x %u; set \"flip\" to false for digits "
             "and letters",
             side, side);
    return NAS_OK;
}

NAS_RECOGNISER(tar_look)

static const void *tar_extension(void *self, const char *id) {
    return strcmp(id, NAS_EXT_PHOTO) == 0 ? &nas_image_photos : recogniser_extension(self, id);
}

/* ---- The plugin ---- */

static void tar_destroy(void *instance) {
    tar *self = instance;
    if (!self) return;
    for (int s = 0; s < NAS_SPLITS; s++) nas_image_set_free(&self->sets[s]);
    for (uint32_t c = 0; c < self->n_classes && self->classes && !self->text; c++)
        free(self->classes[c]);
    free(self->classes);
    free(self->text);
    tar_files_free(&self->files);
    free(self);
}

static nas_image_how how_of(const tar *self) {
    return (nas_image_how){.side = (uint32_t)self->config->side,
                           .channels = (uint32_t)self->config->channels,
                           .max_side = (uint32_t)self->config->max_side,
                           .open = tar_open_image,
                           .context = &self->files};
}

static int sift(tar *self, nas_error *err) {
    const nas_image_how how = how_of(self);
    int rc = NAS_OK;
    for (int s = 0; s < NAS_SPLITS && !rc; s++)
        rc = nas_image_set_sift(&self->sets[s], &how, self->host, &self->unreadable, err);
    return rc;
}

static int tar_create(const nas_host *host, const void *config, void **instance, nas_error *err) {
    tar *self = calloc(1, sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->config = config;
    self->host = host;
    self->files.unpacked = -1;
    int rc = list_all(self, err);
    if (!rc && self->config->on_bad_image == NAS_BAD_IMAGE_SKIP) rc = sift(self, err);
    if (rc)
        tar_destroy(self);
    else
        *instance = self;
    return rc;
}

static int tar_info(void *instance, nas_dataset_info *info, nas_error *err) {
    (void)err;
    const tar *self = instance;
    info->height = info->width = (uint32_t)self->config->side;
    info->channels = (uint32_t)self->config->channels;
    info->classes = self->n_classes;
    for (int s = 0; s < NAS_SPLITS; s++) info->count[s] = self->sets[s].n;
    info->class_names = (const char *const *)self->classes;
    info->flip = self->config->flip;
    if (NAS_HAS(info, skipped)) info->skipped = self->unreadable;
    return NAS_OK;
}

static int tar_read(void *instance, nas_split split, const uint64_t *indices, size_t n,
                    uint8_t *images, int32_t *labels, nas_error *err) {
    const tar *self = instance;
    const nas_image_how how = how_of(self);
    return nas_image_set_read(&self->sets[split], &how, self->host,
                              "write the shard anew without them, or set the option "
                              "\"on_bad_image\" to \"skip\"",
                              indices, n, images, labels, err);
}

static int tar_labels(void *instance, nas_split split, uint64_t first, size_t n, int32_t *labels,
                      nas_error *err) {
    const tar *self = instance;
    return nas_image_set_labels(&self->sets[split], first, n, labels, err);
}

/* Names of shards without their folder, members and labels. */
static uint64_t tar_fingerprint(void *instance, nas_split split) {
    const tar *self = instance;
    const nas_image_set *set = &self->sets[split];
    uint64_t hash = NAS_HASH_START;
    for (size_t i = 0; i < set->n; i++) {
        const nas_image_item *item = &set->items[i];
        const char *shard = self->files.paths[item->from], *slash = strrchr(shard, '/');
        const char *name = item->path + (slash ? slash + 1 - shard : 0);
        hash = nas_hash(hash, name, strlen(name) + 1);
        if (item->label >= 0) {
            const char *class = self->classes[item->label];
            hash = nas_hash(hash, class, strlen(class) + 1);
        }
    }
    return hash;
}

static const nas_dataset_api api = {.size = sizeof api,
                                    .info = tar_info,
                                    .read = tar_read,
                                    .fingerprint = tar_fingerprint,
                                    .labels = tar_labels,
                                    .parallel = true};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "tar",
    .version = "1.0.0",
    .summary =
        "PNG, JPEG and WebP images in tar archives (WebDataset's layout), plain or compressed",
    .license = "Apache-2.0",
    .source = "https://github.com/webdataset/webdataset",
    .options = options,
    .config_size = sizeof(tar_config),
    .create = tar_create,
    .destroy = tar_destroy,
    .vtable = &api,
    .extension = tar_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
