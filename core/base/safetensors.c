#include "base/safetensors.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/number_types.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are stored little-endian");
_Static_assert(sizeof(float) == 4, "F32 is the C type float");

#define METADATA "__metadata__"
#define CHECKSUM "checksum"
enum { PREFIX = 8, MAX_HEADER = 100000000, MAX_NDIM = 4 }; /* 100 MB: the format's own limit */

/* Bytes of a tensor of that shape, each number of `width` bytes; false if a number is beyond what
 * the JSON can hold. */
static bool tensor_bytes(const nas_tensor *t, uint32_t width, uint64_t *bytes) {
    *bytes = width;
    for (uint32_t i = 0; i < t->ndim; i++)
        if (t->shape[i] > INT64_MAX || __builtin_mul_overflow(*bytes, t->shape[i], bytes))
            return false;
    return *bytes <= INT64_MAX;
}

/* A name that fits nas_tensor, and that a one-line message can show. */
static int check_name(const char *where, const char *name, size_t index, nas_error *err) {
    size_t most = sizeof((nas_tensor *)0)->name - 1;
    size_t length = strnlen(name, most + 1);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ')
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: tensor %zu has a control character in its name", where, index);
    if (length > most)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: tensor %zu has a name longer than %zu bytes: '%.*s...'", where, index,
                        most, (int)most, name);
    return NAS_OK;
}

static int check_metadata(const char *where, json_t *metadata, nas_error *err) {
    const char *key;
    json_t *value;
    bool good = json_is_object(metadata);
    json_object_foreach(metadata, key, value) good = good && json_is_string(value);
    if (good) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: " METADATA ": expected an object of strings", where);
}

static int no_memory(const char *where, nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "%s: no memory for its tensors", where);
}

typedef struct reader {
    const char *where;
    char *memory;
    size_t bytes;
    const char *data;   /* the tensors' bytes */
    uint64_t available; /* how many they are */
    struct stored *stored;
} reader;

/* How the file holds a tensor. */
typedef struct stored {
    const nas_number_type *type;
    uint64_t begin, end; /* in the data */
    nas_tensor *tensor;
} stored;

/* Floats must be aligned. A header of odd length is not needed any more: move the data into it. */
static void align_data(reader *r, size_t header_end) {
    size_t at = header_end / PREFIX * PREFIX;
    r->available = r->bytes - header_end;
    r->data = r->memory + at;
    if (at != header_end) memmove(r->memory + at, r->memory + header_end, r->bytes - header_end);
}

static int parse_header(reader *r, json_t **header, nas_error *err) {
    uint64_t length = 0;
    if (r->bytes < PREFIX)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %zu bytes are too few for a safetensors file; is it cut off?",
                        r->where, r->bytes);
    memcpy(&length, r->memory, PREFIX);
    if (length > MAX_HEADER)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: a header of %llu bytes is more than the format's %d; it is not a "
                        "safetensors file",
                        r->where, (unsigned long long)length, MAX_HEADER);
    if (length > r->bytes - PREFIX)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: the header should have %llu bytes, but only %zu follow; is the file "
                        "cut off?",
                        r->where, (unsigned long long)length, r->bytes - PREFIX);
    if (!length || r->memory[PREFIX] != '{')
        return nas_fail(err, NAS_ERR_INPUT, "%s: the header does not start with '{'", r->where);
    char where[1000];
    snprintf(where, sizeof where, "%.900s: its header", r->where);
    int rc = nas_json_parse(r->memory + PREFIX, (size_t)length, 0, where, header, err);
    if (rc) return rc;
    align_data(r, PREFIX + (size_t)length);
    return NAS_OK;
}

/* Reads n integers that are not negative from an array. */
static bool read_sizes(const json_t *array, uint64_t *sizes, size_t n) {
    if (json_array_size(array) != n) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0) return false;
        sizes[i] = (uint64_t)json_integer_value(item);
    }
    return true;
}

static int parse_type(const reader *r, const json_t *entry, nas_tensor *t, stored *s,
                      nas_error *err) {
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    if (!type)
        return nas_fail(err, NAS_ERR_INPUT, "%s: tensor '%s': dtype: expected a string", r->where,
                        t->name);
    s->type = nas_number_type_find(type);
    if (!s->type)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: tensor '%s' has dtype '%.20s'; expected F32, F64, F16, BF16 or "
                        "integers; convert it to float32",
                        r->where, t->name, type);
    const json_t *shape = json_object_get(entry, "shape");
    size_t ndim = json_array_size(shape);
    if (ndim > MAX_NDIM)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: tensor '%s' has %zu dimensions; at most %d are accepted", r->where,
                        t->name, ndim, MAX_NDIM);
    t->ndim = (uint32_t)ndim;
    if (!json_is_array(shape) || !read_sizes(shape, t->shape, ndim))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: tensor '%s': shape: expected an array of integers of at least 0",
                        r->where, t->name);
    return NAS_OK;
}

static int parse_offsets(const reader *r, const json_t *entry, nas_tensor *t, stored *s,
                         nas_error *err) {
    uint64_t at[2], bytes;
    if (!read_sizes(json_object_get(entry, "data_offsets"), at, 2) || at[0] > at[1])
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: tensor '%s': data_offsets: expected [begin, end] with begin <= end",
                        r->where, t->name);
    if (!tensor_bytes(t, s->type->bytes, &bytes))
        return nas_fail(err, NAS_ERR_INPUT, "%s: tensor '%s': its shape needs over 2^63 bytes",
                        r->where, t->name);
    if (at[1] - at[0] != bytes)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: tensor '%s': data_offsets span %llu bytes, but its shape needs %llu",
                        r->where, t->name, (unsigned long long)(at[1] - at[0]),
                        (unsigned long long)bytes);
    *s = (stored){s->type, at[0], at[1], t};
    return NAS_OK;
}

static int by_place(const void *a, const void *b) {
    const stored *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The header may name tensors in any order. */
static int check_places(reader *r, size_t n, nas_error *err) {
    uint64_t taken = 0;
    if (n) qsort(r->stored, n, sizeof *r->stored, by_place);
    for (size_t i = 0; i < n; taken = r->stored[i++].end) {
        const stored *s = &r->stored[i];
        if (s->begin != taken)
            return nas_fail(
                err, NAS_ERR_INPUT,
                "%s: tensor '%s': data_offsets begin at %llu, expected %llu: tensors must "
                "follow one another without gap or overlap",
                r->where, s->tensor->name, (unsigned long long)s->begin, (unsigned long long)taken);
        if (s->end > r->available)
            return nas_fail(
                err, NAS_ERR_INPUT,
                "%s: tensor '%s' ends at byte %llu of the data, but there are only %llu; "
                "is the file cut off?",
                r->where, s->tensor->name, (unsigned long long)s->end,
                (unsigned long long)r->available);
    }
    if (taken == r->available) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: %llu bytes of data belong to no tensor", r->where,
                    (unsigned long long)(r->available - taken));
}

/* ---- Numbers ---- */

static bool in_place(const reader *r, const stored *s) {
    return s->type->plain && (uintptr_t)(r->data + s->begin) % _Alignof(float) == 0;
}

/* Numbers that can be used where they lie stay there. */
static int take_numbers(const reader *r, size_t n, nas_tensor_file *file, nas_error *err) {
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (!in_place(r, &r->stored[i]))
            count += (r->stored[i].end - r->stored[i].begin) / r->stored[i].type->bytes;
    if (count) file->converted = nas_alloc(count, sizeof *file->converted);
    if (count && !file->converted) return no_memory(r->where, err);
    float *to = file->converted;
    for (size_t i = 0; i < n; i++) {
        const stored *s = &r->stored[i];
        const char *from = r->data + s->begin;
        s->tensor->data = in_place(r, s) ? (const float *)(const void *)from : to;
        if (in_place(r, s)) continue;
        for (; from < r->data + s->end; from += s->type->bytes) *to++ = s->type->to_float(from);
    }
    return NAS_OK;
}

static int parse_tensor(reader *r, const char *name, const json_t *entry, size_t index,
                        nas_tensor *t, stored *s, nas_error *err) {
    int rc = check_name(r->where, name, index, err);
    if (rc) return rc;
    memcpy(t->name, name, strlen(name) + 1);
    if (!json_is_object(entry))
        return nas_fail(err, NAS_ERR_INPUT, "%s: tensor '%s': expected an object", r->where, name);
    rc = parse_type(r, entry, t, s, err);
    return rc ? rc : parse_offsets(r, entry, t, s, err);
}

/* ---- The checksum ---- */

static uLong add_text(uLong sum, const char *text) {
    return crc32_z(sum, (const Bytef *)text, strlen(text) + 1);
}

/* CRC-32 of the metadata but for the checksum itself, and of the tensors' names, shapes and bytes.
 */
static uint32_t sum_of(const json_t *metadata, const nas_tensor *tensors, size_t n) {
    uLong sum = crc32_z(0, NULL, 0);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
        if (!strcmp(key, CHECKSUM)) continue;
        sum = add_text(add_text(sum, key), json_string_value(value));
    }
    for (size_t i = 0; i < n; i++) {
        const nas_tensor *t = &tensors[i];
        uint64_t bytes = 0;
        tensor_bytes(t, sizeof(float), &bytes);
        sum = crc32_z(add_text(sum, t->name), (const Bytef *)t->shape, t->ndim * sizeof *t->shape);
        if (bytes) sum = crc32_z(sum, (const Bytef *)t->data, (size_t)bytes);
    }
    return (uint32_t)sum;
}

static int add_checksum(const char *path, json_t *metadata, const nas_tensor *tensors, size_t n,
                        nas_error *err) {
    char text[16];
    snprintf(text, sizeof text, "%08x", sum_of(metadata, tensors, n));
    if (json_object_set_new(metadata, CHECKSUM, json_string(text))) return no_memory(path, err);
    return NAS_OK;
}

/* A file that has none is taken as it is: other programs write none, and those that convert numbers
 * keep the old one. */
static int check_checksum(const reader *r, const json_t *metadata, const nas_tensor_file *file,
                          nas_error *err) {
    const char *said = json_string_value(json_object_get(metadata, CHECKSUM));
    char text[16];
    for (size_t i = 0; i < file->n_tensors; i++)
        if (!r->stored[i].type->plain) return NAS_OK;
    if (!said) return NAS_OK;
    snprintf(text, sizeof text, "%08x", sum_of(metadata, file->tensors, file->n_tensors));
    if (strcmp(text, said) == 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: it is damaged: its checksum should be %.16s, and is %s", r->where, said,
                    text);
}

static int parse_metadata(const reader *r, json_t *metadata, nas_tensor_file *file,
                          nas_error *err) {
    int rc = check_metadata(r->where, metadata, err);
    if (rc) return rc;
    file->metadata = nas_json_text(metadata, JSON_COMPACT, NULL);
    return file->metadata ? NAS_OK : no_memory(r->where, err);
}

static int parse_entries(reader *r, json_t *header, nas_tensor_file *file, nas_error *err) {
    file->tensors = nas_alloc(json_object_size(header), sizeof *file->tensors);
    r->stored = nas_alloc(json_object_size(header), sizeof *r->stored);
    if (!file->tensors || !r->stored) return no_memory(r->where, err);
    int rc = NAS_OK;
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry) {
        if (rc) break;
        if (!strcmp(name, METADATA)) {
            rc = parse_metadata(r, entry, file, err);
        } else {
            nas_tensor *t = &file->tensors[file->n_tensors];
            rc = parse_tensor(r, name, entry, file->n_tensors, t, &r->stored[file->n_tensors], err);
            file->n_tensors++;
        }
    }
    if (!rc) rc = check_places(r, file->n_tensors, err);
    if (!rc) rc = take_numbers(r, file->n_tensors, file, err);
    return rc ? rc : check_checksum(r, json_object_get(header, METADATA), file, err);
}

int nas_tensors_parse(char *memory, size_t bytes, const char *where, nas_tensor_file *file,
                      nas_error *err) {
    reader r = {.where = where, .memory = memory, .bytes = bytes};
    json_t *header = NULL;
    *file = (nas_tensor_file){.memory = memory};
    int rc = parse_header(&r, &header, err);
    if (!rc) rc = parse_entries(&r, header, file, err);
    json_decref(header);
    free(r.stored);
    if (rc) nas_tensors_free(file);
    return rc;
}

int nas_tensors_load(const char *path, nas_tensor_file *file, nas_error *err) {
    char *memory = NULL;
    size_t bytes = 0;
    *file = (nas_tensor_file){0};
    int rc = nas_file_read(path, SIZE_MAX / 2, &memory, &bytes, err);
    return rc ? rc : nas_tensors_parse(memory, bytes, path, file, err);
}

const nas_tensor *nas_tensors_find(const nas_tensor_file *file, const char *name) {
    for (size_t i = 0; i < file->n_tensors; i++)
        if (!strcmp(file->tensors[i].name, name)) return &file->tensors[i];
    return NULL;
}

int nas_tensors_finite(const nas_tensor_file *file, const char *path, nas_error *err) {
    for (size_t i = 0; i < file->n_tensors; i++) {
        const nas_tensor *t = &file->tensors[i];
        uint64_t n = 1;
        for (uint32_t d = 0; d < t->ndim; d++) n *= t->shape[d];
        for (uint64_t k = 0; k < n; k++)
            if (!isfinite(t->data[k]))
                return nas_fail(err, NAS_ERR_NUMERIC,
                                "%s: tensor \"%s\": number %llu is not finite (%g); the file is "
                                "damaged, or of a training that diverged: train again",
                                path, t->name, (unsigned long long)k, (double)t->data[k]);
    }
    return NAS_OK;
}

void nas_tensor_shape_text(uint32_t ndim, const uint64_t *shape, char text[NAS_SHAPE_TEXT]) {
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t d = 0; d < ndim && d < MAX_NDIM; d++)
        used += (size_t)snprintf(text + used, NAS_SHAPE_TEXT - used, "%s%llu", d ? " x " : "",
                                 (unsigned long long)shape[d]);
}

void nas_tensors_free(nas_tensor_file *file) {
    if (!file) return;
    free(file->memory);
    free(file->tensors);
    free(file->metadata);
    free(file->converted);
    *file = (nas_tensor_file){0};
}

static int check_given(const char *path, const nas_tensor *t, size_t index, nas_error *err) {
    uint64_t bytes = 0;
    int rc = check_name(path, t->name, index, err);
    if (rc) return rc;
    if (t->ndim > MAX_NDIM || !tensor_bytes(t, sizeof(float), &bytes))
        return nas_fail(err, NAS_ERR_INPUT, "%s: tensor '%s' has too many dimensions or bytes",
                        path, t->name);
    if (!t->data && bytes)
        return nas_fail(err, NAS_ERR_INPUT, "%s: tensor '%s' has no data", path, t->name);
    return NAS_OK;
}

/* Adds tensor t, whose bytes begin at *end of the data, and moves *end behind it. */
static int describe(const char *path, const nas_tensor *t, size_t index, json_t *header,
                    uint64_t *end, nas_error *err) {
    uint64_t bytes = 0, begin = *end;
    if (!strcmp(t->name, METADATA) || json_object_get(header, t->name))
        return nas_fail(err, NAS_ERR_INPUT, "%s: tensor %zu: the name '%s' is taken", path, index,
                        t->name);
    tensor_bytes(t, sizeof(float), &bytes);
    if (__builtin_add_overflow(begin, bytes, end) || *end > INT64_MAX)
        return nas_fail(err, NAS_ERR_INPUT, "%s: tensor '%s' makes the file too large", path,
                        t->name);
    json_t *shape = json_array();
    for (uint32_t i = 0; i < t->ndim; i++)
        nas_json_add(&shape, json_integer((json_int_t)t->shape[i]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape,
                              "data_offsets", (json_int_t)begin, (json_int_t)*end);
    if (!json_object_set_new(header, t->name, entry)) return NAS_OK;
    if (nas_text_valid(t->name)) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    return nas_fail(err, NAS_ERR_INPUT, "%s: cannot describe tensor '%s': its name is not UTF-8",
                    path, t->name);
}

/* The header's JSON, padded with spaces so that the data behind it is aligned; the caller frees. */
static char *pad_header(const json_t *header, size_t *bytes) {
    char *text = nas_json_text(header, JSON_COMPACT, NULL);
    if (!text) return NULL;
    size_t length = strlen(text);
    *bytes = (length + PREFIX - 1) / PREFIX * PREFIX;
    char *padded = realloc(text, *bytes + 1);
    if (padded)
        memset(padded + length, ' ', *bytes - length);
    else
        free(text);
    return padded;
}

/* length is the header's, as the file's first bytes hold it. */
static int write_all(const char *path, const char *header, uint64_t length,
                     const nas_tensor *tensors, size_t n, nas_error *err) {
    nas_piece *pieces = nas_alloc(n + 2, sizeof *pieces);
    if (!pieces) return no_memory(path, err);
    pieces[0] = (nas_piece){&length, PREFIX};
    pieces[1] = (nas_piece){header, (size_t)length};
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = 0;
        tensor_bytes(&tensors[i], sizeof(float), &bytes);
        pieces[i + 2] = (nas_piece){tensors[i].data, (size_t)bytes};
    }
    int rc = nas_file_write_pieces(path, pieces, n + 2, err);
    free(pieces);
    return rc;
}

/* The header object with the metadata alone. */
static int start_header(const char *path, const char *metadata_json, const nas_tensor *tensors,
                        size_t n, json_t **header, nas_error *err) {
    *header = json_object();
    if (!*header) return no_memory(path, err);
    if (!metadata_json) return NAS_OK;
    json_t *metadata;
    int rc = nas_json_parse(metadata_json, strlen(metadata_json), 0, path, &metadata, err);
    if (rc != NAS_ERR_MEMORY) rc = check_metadata(path, metadata, err);
    if (rc) {
        json_decref(metadata);
        return rc;
    }
    rc = add_checksum(path, metadata, tensors, n, err);
    if (rc) {
        json_decref(metadata);
        return rc;
    }
    return json_object_set_new(*header, METADATA, metadata) ? no_memory(path, err) : NAS_OK;
}

int nas_tensors_save(const char *path, const nas_tensor *tensors, size_t n,
                     const char *metadata_json, nas_error *err) {
    json_t *header = NULL;
    uint64_t end = 0;
    size_t length = 0;
    int rc = NAS_OK;
    for (size_t i = 0; !rc && i < n; i++) rc = check_given(path, &tensors[i], i, err);
    if (!rc) rc = start_header(path, metadata_json, tensors, n, &header, err);
    for (size_t i = 0; !rc && i < n; i++) rc = describe(path, &tensors[i], i, header, &end, err);
    char *text = rc ? NULL : pad_header(header, &length);
    if (!rc && !text) rc = no_memory(path, err);
    if (!rc && length > MAX_HEADER)
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: a header of %zu bytes is more than the format's %d",
                      path, length, MAX_HEADER);
    if (!rc) rc = write_all(path, text, length, tensors, n, err);
    free(text);
    json_decref(header);
    return rc;
}
