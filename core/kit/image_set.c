#include <nashost/kit/image_set.h>

#include <nashost/kit/dataset_files.h>
#include <nashost/kit/image_file.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool nas_named_as_image(const char *name) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

int nas_image_set_add(nas_image_set *set, const char *path, int32_t label, nas_error *err) {
    const nas_image_item item = {.path = (char *)(uintptr_t)path, .label = label};
    return nas_image_set_add_item(set, &item, err);
}

int nas_image_set_add_item(nas_image_set *set, const nas_image_item *given, nas_error *err) {
    if (!(set->n & (set->n - 1))) { /* full whenever it has a power of two */
        nas_image_item *items = realloc(set->items, (set->n ? 2 * set->n : 1) * sizeof *items);
        if (!items) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
        set->items = items;
    }
    nas_image_item item = *given;
    item.path = strdup(given->path);
    if (!item.path) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    set->items[set->n++] = item;
    return NAS_OK;
}

void nas_image_set_free(nas_image_set *set) {
    for (size_t i = 0; i < set->n; i++) free(set->items[i].path);
    free(set->items);
    *set = (nas_image_set){0};
}

/* ---- Reading ---- */

static nas_picture picture_of(const nas_image_how *how) {
    return (nas_picture){.channels = how->channels, .side = how->side, .max_side = how->max_side};
}

static int read_one(const nas_image_item *item, const nas_image_how *how, nas_picture *p,
                    uint8_t *out, nas_error *err) {
    FILE *file;
    int rc = how->open ? how->open(how->context, item, &file, err)
                       : nas_data_open(item->path, "it was there when the images were listed",
                                       &file, NULL, err);
    if (rc) return rc;
    rc = nas_image_decode(file, item->path, p, err);
    fclose(file);
    return rc ? rc : nas_image_square(p, how->side, out, err);
}

/* A file's own fault, after which the others can be read. */
static bool is_bad(int rc) {
    return rc == NAS_ERR_INPUT || rc == NAS_ERR_IO;
}

int nas_image_set_read(const nas_image_set *set, const nas_image_how *how, const nas_host *host,
                       const char *advice, const uint64_t *indices, size_t n, uint8_t *images,
                       int32_t *labels, nas_error *err) {
    nas_picture p = picture_of(how);
    size_t area = (size_t)how->side * how->side * how->channels, bad = 0;
    nas_error first = {0}, why;
    int rc = NAS_OK;
    for (size_t i = 0; i < n && (!rc || is_bad(rc)); i++) {
        if (indices[i] >= set->n) {
            rc = nas_data_beyond(indices[i], set->n, &first);
            break;
        }
        const nas_image_item *item = &set->items[indices[i]];
        int code = read_one(item, how, &p, images + i * area, &why);
        if (labels) labels[i] = item->label;
        if (!code) continue;
        if (!bad++ || !is_bad(code)) first = why;
        rc = !rc || !is_bad(code) ? code : rc;
        host->log(host, NAS_WARNING, why.message);
    }
    free(p.pixels);
    if (!rc) return NAS_OK;
    if (!is_bad(rc)) return nas_fail(err, rc, "%s", first.message);
    if (n == 1) return nas_fail(err, rc, "%.800s; %s", first.message, advice);
    return nas_fail(err, rc, "%zu of %zu images cannot be read: %.700s%s; %s", bad, n,
                    first.message, bad > 1 ? ", and those listed above" : "", advice);
}

int nas_image_set_labels(const nas_image_set *set, uint64_t first, size_t n, int32_t *labels,
                         nas_error *err) {
    if (first > set->n || n > set->n - first) return nas_data_beyond(first + n - 1, set->n, err);
    for (size_t i = 0; i < n; i++) labels[i] = set->items[first + i].label;
    return NAS_OK;
}

int nas_image_set_sift(nas_image_set *set, const nas_image_how *how, const nas_host *host,
                       uint64_t *skipped, nas_error *err) {
    nas_picture p = picture_of(how);
    uint8_t *room = malloc((size_t)how->side * how->side * how->channels);
    size_t kept = 0;
    int rc = room ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < set->n; i++) {
        nas_error why;
        int code = rc ? NAS_OK : read_one(&set->items[i], how, &p, room, &why);
        if (is_bad(code)) {
            host->log(host, NAS_WARNING, why.message);
            free(set->items[i].path);
            ++*skipped;
            continue;
        }
        if (code) rc = nas_fail(err, code, "%s", why.message);
        set->items[kept++] = set->items[i];
    }
    set->n = kept;
    free(room);
    free(p.pixels);
    return rc;
}

uint64_t nas_image_set_hash(const nas_image_set *set, size_t folder) {
    uint64_t hash = NAS_HASH_START;
    for (size_t i = 0; i < set->n; i++) {
        const char *name = set->items[i].path + folder;
        hash = nas_hash(hash, name, strlen(name) + 1);
    }
    return hash;
}

/* ---- Without a set ---- */

static int read_photo(const char *path, uint32_t side, uint32_t channels, uint8_t *image,
                      nas_error *err) {
    const nas_image_how how = {.side = side, .channels = channels, .max_side = 8192};
    const nas_image_item item = {.path = (char *)(uintptr_t)path, .label = -1};
    nas_picture p = picture_of(&how);
    int rc = read_one(&item, &how, &p, image, err);
    free(p.pixels);
    return rc;
}

const nas_photo_api nas_image_photos = {
    .size = sizeof nas_image_photos,
    .crop = "the largest square in the middle of the upright picture (Exif's orientation applied)",
    .resize =
        "bilinear with half-pixel centres; when shrinking, the triangle is as wide as the "
        "source's pixels demand (anti-aliased, as Pillow's BILINEAR), rounded to whole pixels",
    .colour = "transparent pixels on white; grey is (77 R + 150 G + 29 B + 128) / 256 (Rec. 601)",
    .named = nas_named_as_image,
    .read = read_photo};
