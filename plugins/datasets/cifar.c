/* CIFAR-10 and CIFAR-100, "binary version": a record is one label byte (CIFAR-100: coarse, then
 * fine) and then 32 x 32 bytes each of red, green and blue. No image is kept in memory: records are
 * read from the files when they are asked for. */
#include <errno.h>
#include <limits.h>
#include <nashost/kit/dataset_files.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, MAX_LABELS = 2, MAX_FILES = 6 };
enum { MAX_CLASSES = 100, MAX_TEXT = 65536 };

typedef unsigned long long ull;

/* One way to read a folder. The last file is the test split. */
typedef struct variant {
    uint32_t classes;
    uint32_t label_bytes, label_at; /* in a record, and the one that is used */
    uint32_t limits[MAX_LABELS];    /* classes of each label byte */
    uint32_t published;             /* training images in all files together */
    int n_files;
    const char *files[MAX_FILES];
    const char *names; /* a class name a line; the file may be missing */
} variant;

static const variant variants[] = {
    {10,
     1,
     0,
     {10},
     50000,
     6,
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
      "data_batch_5.bin", "test_batch.bin"},
     "batches.meta.txt"},
    {100, 2, 1, {20, 100}, 50000, 2, {"train.bin", "test.bin"}, "fine_label_names.txt"},
    {20, 2, 0, {20, 100}, 50000, 2, {"train.bin", "test.bin"}, "coarse_label_names.txt"},
};
static const char *const choices[] = {"10", "100-fine", "100-coarse", NULL};

typedef struct cifar_config {
    const char *folder;
    int classes; /* index of variants */
} cifar_config;

static const nas_option options[] = {
    NAS_PATH("folder", cifar_config, folder, NULL,
             "folder that holds the published .bin files, named cifar-10-batches-bin or "
             "cifar-100-binary "
             "in the archives"),
    NAS_ENUM("classes", cifar_config, classes, "\"10\"", choices,
             "which classes the files are read for: CIFAR-10's, or CIFAR-100's 100 fine or 20 "
             "coarse ones"),
    {0},
};

typedef struct cifar_file {
    char path[PATH_MAX];
    FILE *stream;
    uint64_t n;    /* records */
    uint64_t next; /* record at which the stream stands; UINT64_MAX: unknown */
} cifar_file;

typedef struct cifar {
    const nas_host *host;
    const cifar_config *config;
    const variant *kind;
    cifar_file files[MAX_FILES];
    char *text; /* that class_names points into */
    const char *class_names[MAX_CLASSES];
} cifar;

static uint32_t record_bytes(const variant *kind) {
    return kind->label_bytes + PIXELS;
}

static int open_file(const cifar *self, const char *name, cifar_file *file, nas_error *err) {
    char missing[160];
    uint64_t size = 0, record = record_bytes(self->kind);
    snprintf(missing, sizeof missing,
             "check the options \"folder\", which must hold the data set's binary version, and "
             "\"classes\", now \"%s\"",
             choices[self->config->classes]);
    int rc = nas_data_path(self->config->folder, name, file->path, err);
    if (!rc) rc = nas_data_open(file->path, missing, &file->stream, &size, err);
    if (rc) return rc;
    file->n = size / record;
    if (!size || size % record)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected a whole number of records of %llu bytes; found %llu bytes: "
                        "%llu records and %llu bytes more; fetch the file again",
                        file->path, (ull)record, (ull)size, (ull)file->n, (ull)(size % record));
    return NAS_OK;
}

/* Reads record i and checks its labels. */
static int read_record(const variant *kind, cifar_file *file, uint64_t i, uint8_t *record,
                       nas_error *err) {
    uint64_t bytes = record_bytes(kind), offset = i * bytes;
    errno = 0;
    bool sought = file->next == i || !fseeko(file->stream, (off_t)offset, SEEK_SET);
    file->next = UINT64_MAX;
    if (!sought || fread(record, bytes, 1, file->stream) != 1)
        return nas_fail(err, NAS_ERR_IO, "%s: offset %llu: cannot read a record: %s", file->path,
                        (ull)offset,
                        errno ? strerror(errno) : "the file became shorter during the run");
    file->next = i + 1;
    for (uint32_t k = 0; k < kind->label_bytes; k++)
        if (record[k] >= kind->limits[k])
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: offset %llu: expected a %slabel of 0 to %u, found %u; is this "
                            "the file of %s in the binary version?",
                            file->path, (ull)(offset + k),
                            kind->label_bytes == 1 ? ""
                            : k                    ? "fine "
                                                   : "coarse ",
                            kind->limits[k] - 1, record[k],
                            kind->label_bytes == 1 ? "CIFAR-10" : "CIFAR-100");
    return NAS_OK;
}

static uint64_t count_train(const cifar *self) {
    uint64_t n = 0;
    for (int f = 0; f < self->kind->n_files - 1; f++) n += self->files[f].n;
    return n;
}

static int check_train_labels(cifar *self, nas_error *err) {
    uint8_t record[MAX_LABELS + PIXELS];
    uint64_t counts[MAX_CLASSES] = {0};
    for (int f = 0; f < self->kind->n_files - 1; f++)
        for (uint64_t i = 0; i < self->files[f].n; i++) {
            int rc = read_record(self->kind, &self->files[f], i, record, err);
            if (rc) return rc;
            counts[record[self->kind->label_at]]++;
        }
    for (uint32_t c = 0; c < self->kind->classes; c++)
        if (!counts[c])
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: no training image has label %u; expected all of 0 to %u",
                            self->config->folder, c, self->kind->classes - 1);
    return NAS_OK;
}

/* A copy cut at a record's end cannot be told from a subset made on purpose, so it is said. */
static void tell_if_subset(const cifar *self) {
    char line[PATH_MAX + 200];
    uint64_t n = count_train(self);
    if (n == self->kind->published) return;
    snprintf(line, sizeof line,
             "%s: %llu training images, where the published data set has %u; is a file cut?",
             self->config->folder, (ull)n, self->kind->published);
    self->host->log(self->host, NAS_WARNING, line);
}

/* Cuts self->text into lines, without blank ones and carriage returns; returns how many. */
static uint32_t cut_lines(cifar *self) {
    uint32_t n = 0;
    for (char *at = self->text, *next; at; at = next) {
        next = strchr(at, '\n');
        if (next) *next++ = '\0';
        at += strspn(at, " \t\r");
        size_t length = strlen(at);
        while (length && strchr(" \t\r", at[length - 1])) at[--length] = '\0';
        if (!length) continue;
        if (n < self->kind->classes) self->class_names[n] = at;
        n++;
    }
    return n;
}

/* Reads the class names, if there is a file of them. */
static int read_names(cifar *self, nas_error *err) {
    char path[PATH_MAX];
    int rc = nas_data_path(self->config->folder, self->kind->names, path, err);
    if (rc) return rc;
    FILE *stream;
    if (access(path, F_OK) && errno == ENOENT) return NAS_OK;
    rc = nas_data_open(path, "it was there a moment ago", &stream, NULL, err);
    if (rc) return rc;
    self->text = calloc(1, MAX_TEXT + 1);
    size_t length = self->text ? fread(self->text, 1, MAX_TEXT, stream) : 0;
    bool failed = ferror(stream) != 0;
    fclose(stream);
    if (!self->text) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    if (failed) return nas_fail(err, NAS_ERR_IO, "%s: cannot read it", path);
    if (length == MAX_TEXT || memchr(self->text, '\0', length))
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected a short text, a class name a line", path);
    uint32_t n = cut_lines(self);
    if (n != self->kind->classes)
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected %u lines, a class name each; found %u",
                        path, self->kind->classes, n);
    return NAS_OK;
}

static void cifar_destroy(void *instance) {
    cifar *self = instance;
    if (!self) return;
    for (int f = 0; f < MAX_FILES; f++)
        if (self->files[f].stream) fclose(self->files[f].stream);
    free(self->text);
    free(self);
}

static int cifar_create(const nas_host *host, const void *config, void **instance, nas_error *err) {
    cifar *self = calloc(1, sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->host = host;
    self->config = config;
    self->kind = &variants[self->config->classes];
    int rc = NAS_OK;
    for (int f = 0; f < self->kind->n_files && !rc; f++)
        rc = open_file(self, self->kind->files[f], &self->files[f], err);
    if (!rc) rc = check_train_labels(self, err);
    if (!rc) rc = read_names(self, err);
    if (rc) {
        cifar_destroy(self);
        return rc;
    }
    tell_if_subset(self);
    *instance = self;
    return NAS_OK;
}

static int cifar_info(void *instance, nas_dataset_info *info, nas_error *err) {
    (void)err;
    const cifar *self = instance;
    info->height = info->width = SIDE;
    info->channels = 3;
    info->classes = self->kind->classes;
    info->count[NAS_SPLIT_TRAIN] = count_train(self);
    info->count[NAS_SPLIT_TEST] = self->files[self->kind->n_files - 1].n;
    info->count[NAS_SPLIT_EXTRA] = 0;
    info->class_names = self->text ? self->class_names : NULL;
    info->flip = true;
    return NAS_OK;
}

/* The file and the record in it of image `index` of a split; NULL: there is none. */
static cifar_file *locate(cifar *self, nas_split split, uint64_t *index) {
    int test = self->kind->n_files - 1;
    int first = split == NAS_SPLIT_TRAIN ? 0 : test;
    int end = split == NAS_SPLIT_TRAIN ? test : split == NAS_SPLIT_TEST ? test + 1 : first;
    for (int f = first; f < end; f++) {
        if (*index < self->files[f].n) return &self->files[f];
        *index -= self->files[f].n;
    }
    return NULL;
}

static int cifar_read(void *instance, nas_split split, const uint64_t *indices, size_t n,
                      uint8_t *images, int32_t *labels, nas_error *err) {
    cifar *self = instance;
    uint8_t record[MAX_LABELS + PIXELS];
    for (size_t i = 0; i < n; i++) {
        uint64_t at = indices[i];
        cifar_file *file = locate(self, split, &at);
        if (!file) return nas_data_beyond(indices[i], indices[i] - at, err);
        int rc = read_record(self->kind, file, at, record, err);
        if (rc) return rc;
        const uint8_t *planes = record + self->kind->label_bytes;
        for (size_t p = 0; p < PLANE; p++)
            for (size_t c = 0; c < 3; c++) images[i * PIXELS + 3 * p + c] = planes[c * PLANE + p];
        if (labels) labels[i] = record[self->kind->label_at];
    }
    return NAS_OK;
}

/* True if a file is there, and a whole number of records. */
static bool looks_right(const char *folder, const variant *kind, int f) {
    char path[PATH_MAX];
    struct stat status;
    int n = snprintf(path, sizeof path, "%s/%s", folder, kind->files[f]);
    return n > 0 && n < PATH_MAX && !stat(path, &status) && S_ISREG(status.st_mode) &&
           status.st_size > 0 && (uint64_t)status.st_size % record_bytes(kind) == 0;
}

static int cifar_look(const char *folder, nas_recognised *found, nas_error *err) {
    (void)err;
    for (int v = 0; choices[v] && !found->yes; v++) {
        char value[32];
        bool right = true;
        for (int f = 0; f < variants[v].n_files; f++)
            right = right && looks_right(folder, &variants[v], f);
        if (!right) continue;
        snprintf(value, sizeof value, "\"%s\"", choices[v]);
        nas_recognised_text(found, "folder", folder);
        nas_recognised_json(found, "classes", value);
        snprintf(found->note, sizeof found->note, "CIFAR with %u classes", variants[v].classes);
    }
    return NAS_OK;
}

NAS_RECOGNISER(cifar_look)

static const nas_dataset_api api = {.size = sizeof api, .info = cifar_info, .read = cifar_read};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_DATASET,
    .id = "cifar",
    .version = "1.0.0",
    .summary = "CIFAR-10 and CIFAR-100 in their binary version",
    .license = "Apache-2.0",
    .source = "https://www.cs.toronto.edu/~kriz/cifar.html",
    .options = options,
    .config_size = sizeof(cifar_config),
    .create = cifar_create,
    .destroy = cifar_destroy,
    .vtable = &api,
    .extension = recogniser_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
