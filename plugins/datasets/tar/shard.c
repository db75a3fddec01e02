#include "shard.h"

#include <nashost/kit/dataset_files.h>
#include <nashost/kit/json_file.h>

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef unsigned long long ull;

enum { BLOCK = 1 << 14, LABEL_BYTES = 1 << 20, UNIT = 512 };

/* A shard that is being listed. */
typedef struct walk {
    const char *path;
    const tar_how *how;
    tar_files *files;
    tar_samples *samples;
    struct archive *archive;
    bool plain;
    uint64_t size, end; /* bytes of the file; where the last member ends, padded */
    size_t first;       /* of the samples that are this shard's */
    /* The sample whose members are being read. */
    char key[PATH_MAX];
    bool any, has_image;
    char *label;
    bool from_class; /* the label is of KEY.cls, which KEY.json does not replace */
    tar_sample image;
} walk;

static int damaged(const walk *w, nas_error *err) {
    const char *why = archive_error_string(w->archive);
    if (!why) why = "it ends too early";
    if (errno == ENOMEM || archive_errno(w->archive) == ENOMEM)
        return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", w->path);
    if (!w->any)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: the shard is cut off or damaged before its first key: %s; fetch it "
                        "again",
                        w->path, why);
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: key \"%.200s\": the shard is cut off or damaged behind it: %s; fetch it "
                    "again",
                    w->path, w->key, why);
}

/* ---- Members ---- */

/* Cuts a member's name at the first dot of its last part; NULL: it has none, or is hidden. */
static const char *split_name(const char *name, size_t *key) {
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    const char *dot = strchr(base, '.');
    if (!dot || dot == base || (size_t)(dot - name) >= PATH_MAX) return NULL;
    *key = (size_t)(dot - name);
    return dot + 1;
}

/* The whole of a member that is a label, as text from malloc. */
static int read_text(const walk *w, int64_t bytes, char **text, nas_error *err) {
    *text = NULL;
    if (bytes < 0 || bytes > LABEL_BYTES)
        return nas_fail(err, NAS_ERR_INPUT, "%s: key \"%.200s\": a label of %lld bytes", w->path,
                        w->key, (long long)bytes);
    *text = calloc(1, (size_t)bytes + 1);
    if (!*text) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (archive_read_data(w->archive, *text, (size_t)bytes) != bytes) return damaged(w, err);
    return NAS_OK;
}

static char *trimmed(const char *text) {
    while (isspace((unsigned char)*text)) text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) n--;
    return strndup(text, n);
}

/* The label in a JSON object, or the JSON itself; NULL: there is none, or no memory. */
static char *label_of(const json_t *json, const char *key) {
    char number[32];
    const json_t *value = json_is_object(json) ? json_object_get(json, key) : json;
    if (json_is_string(value)) return trimmed(json_string_value(value));
    if (!json_is_integer(value)) return NULL;
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    return strdup(number);
}

/* *label is NULL where the text is no JSON. */
static int json_label(const char *text, const char *key, char **label, nas_error *err) {
    json_t *json;
    nas_error why;
    *label = NULL;
    int rc = nas_json_parse(text, strlen(text), JSON_DECODE_ANY, ".json", &json, &why);
    if (rc) return rc == NAS_ERR_MEMORY ? nas_fail(err, rc, "%s", why.message) : NAS_OK;
    *label = label_of(json, key);
    json_decref(json);
    return NAS_OK;
}

static int take_label(walk *w, int64_t bytes, bool json, nas_error *err) {
    char *text, *label = NULL;
    int rc = read_text(w, bytes, &text, err);
    if (!rc && json) rc = json_label(text, w->how->label_key, &label, err);
    if (!rc && !json && strlen(text) == (size_t)bytes) label = trimmed(text);
    free(text);
    if (rc || (json && !label)) return rc; /* what else is known of an image is JSON too */
    if (!label || !*label) {
        free(label);
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: key \"%.200s\": .%s holds no label; expected a number or a name, as "
                        "text",
                        w->path, w->key, json ? "json" : "cls");
    }
    if (w->label && w->from_class == !json) {
        free(label);
        return nas_fail(err, NAS_ERR_INPUT, "%s: two samples with the key \"%.200s\"", w->path,
                        w->key);
    }
    bool keep = w->label && w->from_class;
    free(keep ? label : w->label);
    if (keep) return NAS_OK;
    w->label = label;
    w->from_class = !json;
    return NAS_OK;
}

static int write_all(int file, const char *data, size_t n) {
    for (ssize_t done; n; data += done, n -= (size_t)done)
        if ((done = write(file, data, n)) <= 0) return errno ? errno : EIO;
    return 0;
}

/* A file without a name, in TMPDIR. */
static int open_unpacked(tar_files *files, nas_error *err) {
    char path[PATH_MAX];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/nashost-shard-XXXXXX", folder && *folder ? folder : "/tmp");
    files->unpacked = mkostemp(path, O_CLOEXEC);
    if (files->unpacked < 0)
        return nas_fail(err, NAS_ERR_IO, "%s: %s; TMPDIR names another folder", path,
                        strerror(errno));
    unlink(path);
    return NAS_OK;
}

/* Copies a member of a compressed shard to where it can be read at any time. */
static int unpack(walk *w, nas_error *err) {
    char block[BLOCK];
    la_ssize_t n;
    int rc = w->files->unpacked < 0 ? open_unpacked(w->files, err) : NAS_OK;
    w->image.at = w->files->unpacked_bytes;
    while (!rc && (n = archive_read_data(w->archive, block, sizeof block)) != 0) {
        if (n < 0) return damaged(w, err);
        int why = write_all(w->files->unpacked, block, (size_t)n);
        if (why)
            rc = nas_fail(err, NAS_ERR_IO,
                          "%s: it cannot be unpacked: %s; TMPDIR names another folder", w->path,
                          strerror(why));
        w->files->unpacked_bytes += (uint64_t)n;
    }
    w->image.bytes = w->files->unpacked_bytes - w->image.at;
    return rc;
}

static int take_image(walk *w, const char *name, uint64_t bytes, nas_error *err) {
    size_t shard = strlen(w->path);
    if (w->has_image)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: two samples with the key \"%.200s\", or two images of one: %.200s",
                        w->path, w->key, name);
    w->has_image = true;
    w->image = (tar_sample){.key = shard + 1,
                            .key_size = strlen(w->key),
                            .shard = (uint32_t)(w->files->n - 1),
                            .at = (uint64_t)archive_filter_bytes(w->archive, 0),
                            .bytes = bytes};
    w->image.name = malloc(shard + strlen(name) + 2);
    if (!w->image.name) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    sprintf(w->image.name, "%s:%s", w->path, name);
    return w->plain ? NAS_OK : unpack(w, err);
}

/* ---- Samples ---- */

static int append(tar_samples *samples, const tar_sample *sample, nas_error *err) {
    size_t n = samples->n;
    if (!(n & (n - 1))) { /* full whenever it has a power of two */
        tar_sample *items = realloc(samples->items, (n ? 2 * n : 1) * sizeof *items);
        if (!items) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
        samples->items = items;
    }
    samples->items[samples->n++] = *sample;
    return NAS_OK;
}

/* Ends the sample whose members were read. */
static int finish(walk *w, nas_error *err) {
    int rc = NAS_OK;
    if (w->label && !w->has_image)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: key \"%.200s\": a label without an image; expected a .png, .jpg, .jpeg "
                      "or .webp beside it",
                      w->path, w->key);
    w->image.label = w->label;
    if (!rc && w->has_image) rc = append(w->samples, &w->image, err);
    if (rc || !w->has_image) {
        free(w->image.name);
        free(w->label);
    }
    w->image = (tar_sample){0};
    w->label = NULL;
    w->any = w->has_image = w->from_class = false;
    return rc;
}

static bool is_image(const char *kind) {
    return !strchr(kind, '.') && nas_named_as_image(kind - 1);
}

static bool is_label(const char *kind) {
    return !strcasecmp(kind, "cls") || !strcasecmp(kind, "json");
}

static int take_member(walk *w, const char *name, uint64_t bytes, nas_error *err) {
    size_t n;
    const char *kind = split_name(name, &n);
    int rc = NAS_OK;
    if (!kind) return NAS_OK;
    if (!w->any || strlen(w->key) != n || memcmp(w->key, name, n) != 0) {
        rc = finish(w, err);
        memcpy(w->key, name, n);
        w->key[n] = '\0';
        w->any = true;
    }
    if (rc) return rc;
    if (is_label(kind)) return take_label(w, (int64_t)bytes, strcasecmp(kind, "json") == 0, err);
    return is_image(kind) ? take_image(w, name, bytes, err) : NAS_OK;
}

static int compare_keys(const void *a, const void *b) {
    const tar_sample *x = *(const tar_sample *const *)a, *y = *(const tar_sample *const *)b;
    size_t n = x->key_size < y->key_size ? x->key_size : y->key_size;
    int order = memcmp(x->name + x->key, y->name + y->key, n);
    return order ? order : (x->key_size > y->key_size) - (x->key_size < y->key_size);
}

static int check_keys(const walk *w, nas_error *err) {
    size_t n = w->samples->n - w->first;
    const tar_sample **sorted = (const tar_sample **)calloc(n + 1, sizeof(void *));
    int rc = sorted ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n && !rc; i++) sorted[i] = &w->samples->items[w->first + i];
    if (n && !rc) qsort(sorted, n, sizeof(void *), compare_keys);
    for (size_t i = 1; i < n && !rc; i++)
        if (!compare_keys(&sorted[i - 1], &sorted[i]))
            rc = nas_fail(err, NAS_ERR_INPUT, "%s: two samples with the key \"%.*s\"", w->path,
                          (int)sorted[i]->key_size, sorted[i]->name + sorted[i]->key);
    free(sorted);
    return rc;
}

/* ---- A shard ---- */

static int open_shard(walk *w, nas_error *err) {
    struct stat status;
    if (stat(w->path, &status))
        return nas_fail(err, NAS_ERR_INPUT, "%s: %s", w->path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected a file", w->path);
    w->size = (uint64_t)status.st_size;
    errno = 0; /* libarchive calls it damage where memory ended */
    w->archive = archive_read_new();
    if (!w->archive) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    /* A filter that would start a program says so by a warning, and is left out. */
    archive_read_support_filter_gzip(w->archive);
    if (archive_read_support_filter_zstd(w->archive) != ARCHIVE_OK)
        return nas_fail(err, NAS_ERR_INPUT, "%s: this libarchive knows no zstd", w->path);
    archive_read_support_format_tar(w->archive);
    if (archive_read_open_filename(w->archive, w->path, BLOCK) != ARCHIVE_OK)
        return nas_fail(
            err, nas_data_code(NAS_ERR_INPUT),
            "%s: it is no tar archive, plain or by gzip or zstd, or the shard is cut off or "
            "damaged: %s",
            w->path, nas_data_why(archive_error_string(w->archive)));
    w->plain = archive_filter_count(w->archive) == 1;
    w->files->plain[w->files->n - 1] = w->plain;
    return NAS_OK;
}

/* A member of a plain shard lies where libarchive stands behind its header. */
static int check_end(walk *w, uint64_t bytes, nas_error *err) {
    uint64_t at = (uint64_t)archive_filter_bytes(w->archive, 0);
    if (!w->plain) return NAS_OK;
    if (at > w->size || bytes > w->size - at) return damaged(w, err);
    w->end = at + (bytes + UNIT - 1) / UNIT * UNIT;
    return NAS_OK;
}

static const char *name_of(struct archive_entry *entry) {
    const char *name = archive_entry_pathname_utf8(entry);
    return name ? name : archive_entry_pathname(entry);
}

static const char *target_of(struct archive_entry *entry) {
    const char *to = archive_entry_hardlink_utf8(entry);
    if (!to) to = archive_entry_hardlink(entry);
    if (!to) to = archive_entry_symlink_utf8(entry);
    return to ? to : archive_entry_symlink(entry);
}

/* A link, or what else is no file, holds nothing itself: refused where it is named as an image or
 * a label, or its sample would be lost without a word. */
static int pass_over(const walk *w, struct archive_entry *entry, const char *name, nas_error *err) {
    size_t n;
    const char *kind = split_name(name, &n), *to = target_of(entry);
    if (!kind || archive_entry_filetype(entry) == AE_IFDIR || !(is_label(kind) || is_image(kind)))
        return NAS_OK;
    if (to)
        return nas_fail(
            err, NAS_ERR_INPUT,
            "%s: key \"%.*s\": %.200s is a link to %.200s, which is not followed; write "
            "the shard anew with what links name (GNU tar: --dereference "
            "--hard-dereference)",
            w->path, (int)(n < 200 ? n : 200), name, name, to);
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: key \"%.*s\": %.200s is %s; write the shard anew with plain files",
                    w->path, (int)(n < 200 ? n : 200), name, name,
                    archive_entry_sparse_count(entry) ? "stored as a sparse file" : "no file");
}

static int walk_shard(walk *w, nas_error *err) {
    struct archive_entry *entry;
    int code, rc = NAS_OK;
    while (!rc && (code = archive_read_next_header(w->archive, &entry)) != ARCHIVE_EOF) {
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return damaged(w, err);
        const char *name = name_of(entry);
        uint64_t bytes = (uint64_t)archive_entry_size(entry);
        bool file = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry) &&
                    archive_entry_sparse_count(entry) == 0;
        rc = check_end(w, file ? bytes : 0, err);
        if (!rc && name)
            rc = file ? take_member(w, name, bytes, err) : pass_over(w, entry, name, err);
    }
    /* An archive ends with blocks of zeros: without one it was cut between two members. */
    if (!rc && w->plain && w->size < w->end + UNIT) rc = damaged(w, err);
    if (!rc) rc = finish(w, err);
    return rc ? rc : check_keys(w, err);
}

static int add_file(tar_files *files, const char *path, nas_error *err) {
    char **paths = realloc(files->paths, (files->n + 1) * sizeof *paths);
    if (paths) files->paths = paths;
    bool *plain = paths ? realloc(files->plain, files->n + 1) : NULL;
    if (plain) files->plain = plain;
    char *copy = plain ? strdup(path) : NULL;
    if (!copy) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    files->paths[files->n++] = copy;
    return NAS_OK;
}

int tar_list(const char *path, const tar_how *how, tar_files *files, tar_samples *samples,
             nas_error *err) {
    walk *w = calloc(1, sizeof *w);
    int rc = w ? add_file(files, path, err) : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (rc) {
        free(w);
        return rc;
    }
    *w = (walk){.path = path, .how = how, .files = files, .samples = samples, .first = samples->n};
    rc = open_shard(w, err);
    if (!rc) rc = walk_shard(w, err);
    free(w->image.name);
    free(w->label);
    if (w->archive) archive_read_free(w->archive);
    free(w);
    return rc;
}

void tar_samples_free(tar_samples *samples) {
    for (size_t i = 0; i < samples->n; i++) {
        free(samples->items[i].name);
        free(samples->items[i].label);
    }
    free(samples->items);
    *samples = (tar_samples){0};
}

void tar_files_free(tar_files *files) {
    for (size_t i = 0; i < files->n; i++) free(files->paths[i]);
    free(files->paths);
    free(files->plain);
    if (files->unpacked >= 0) close(files->unpacked);
    *files = (tar_files){.unpacked = -1};
}

/* ---- A part of a file, as a file ---- */

typedef struct part {
    int file;
    bool own;
    uint64_t at, bytes, position;
} part;

static ssize_t part_read(void *cookie, char *to, size_t n) {
    part *p = cookie;
    if (p->position >= p->bytes) return 0;
    if (n > p->bytes - p->position) n = p->bytes - p->position;
    ssize_t got = pread(p->file, to, n, (off_t)(p->at + p->position));
    if (got > 0) p->position += (uint64_t)got;
    return got;
}

static int part_seek(void *cookie, off64_t *offset, int whence) {
    part *p = cookie;
    off64_t from = whence == SEEK_SET   ? 0
                   : whence == SEEK_CUR ? (off64_t)p->position
                                        : (off64_t)p->bytes;
    if (from + *offset < 0) return -1;
    *offset += from;
    p->position = (uint64_t)*offset;
    return 0;
}

static int part_close(void *cookie) {
    part *p = cookie;
    if (p->own) close(p->file);
    free(p);
    return 0;
}

int tar_open_image(const void *context, const nas_image_item *item, FILE **file, nas_error *err) {
    static const cookie_io_functions_t functions = {
        .read = part_read, .seek = part_seek, .close = part_close};
    const tar_files *files = context;
    bool plain = files->plain[item->from];
    int opened = plain ? open(files->paths[item->from], O_RDONLY | O_CLOEXEC) : files->unpacked;
    if (opened < 0) return nas_fail(err, NAS_ERR_IO, "%s: %s", item->path, strerror(errno));
    part *p = malloc(sizeof *p);
    if (p) *p = (part){opened, plain, item->at, item->bytes, 0};
    *file = p ? fopencookie(p, "rb", functions) : NULL;
    if (*file) return NAS_OK;
    if (plain) close(opened);
    free(p);
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}
