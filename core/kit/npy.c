#include <nashost/kit/json_file.h>
#include <nashost/kit/npy.h>

#include <string.h>

int nas_npy_begin(const uint8_t *prefix, const char *name, uint32_t *begin, nas_error *err) {
    if (memcmp(prefix, "\x93NUMPY", 6) != 0)
        return nas_fail(err, NAS_ERR_INPUT, "%s: offset 0: this is not an array in .npy format%s",
                        name, memcmp(prefix, "PK", 2) ? "" : " but an archive (.npz)");
    if (prefix[6] < 1 || prefix[6] > 3 || prefix[7])
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: offset 6: format version %u.%u; expected 1.0, 2.0 or 3.0", name,
                        prefix[6], prefix[7]);
    *begin = prefix[6] > 1 ? NAS_NPY_PREFIX + 2 : NAS_NPY_PREFIX;
    return NAS_OK;
}

int nas_npy_length(const uint8_t *bytes, const char *name, uint32_t *length, nas_error *err) {
    *length = (uint32_t)bytes[8] | (uint32_t)bytes[9] << 8;
    if (bytes[6] > 1) *length |= (uint32_t)bytes[10] << 16 | (uint32_t)bytes[11] << 24;
    if (*length <= NAS_NPY_MAX_HEADER) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: offset 8: a header of %u bytes; expected at most %d",
                    name, *length, NAS_NPY_MAX_HEADER);
}

/* Turns the header, a Python dictionary, into JSON of the same length: other quotes and brackets,
 * small letters in True and False, and no comma before a closing bracket. */
static void to_json(char *text, size_t length) {
    static const char from[] = "'()TF", to[] = "\"[]tf";
    size_t comma = length;
    for (size_t i = 0; i < length; i++) {
        const char *found = (const char *)memchr(from, text[i], sizeof from - 1);
        if (found) text[i] = to[found - from];
        if (comma < length && (text[i] == ']' || text[i] == '}')) text[comma] = ' ';
        if (!strchr(" \t\n", text[i]) || !text[i]) comma = text[i] == ',' ? i : length;
    }
}

static int take_shape(const json_t *shape, const char *name, nas_npy *npy, nas_error *err) {
    if (!json_is_array(shape) || json_array_size(shape) > NAS_NPY_MAX_DIMS)
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected a shape of 1 to %d sizes", name,
                        NAS_NPY_MAX_DIMS);
    for (npy->ndim = 0; npy->ndim < json_array_size(shape); npy->ndim++) {
        const json_t *size = json_array_get(shape, npy->ndim);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return nas_fail(err, NAS_ERR_INPUT, "%s: size %u of the shape is no count", name,
                            npy->ndim);
        npy->shape[npy->ndim] = (uint64_t)json_integer_value(size);
    }
    json_dumpb(shape, npy->shape_text, sizeof npy->shape_text - 1, 0);
    return NAS_OK;
}

static int take(const json_t *json, const char *name, nas_npy *npy, nas_error *err) {
    const json_t *type = json_object_get(json, "descr");
    const json_t *fortran = json_object_get(json, "fortran_order");
    if (!json_is_string(type) || !json_is_boolean(fortran) || json_object_size(json) != 3)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected a header of descr (one type of number), fortran_order and "
                        "shape alone",
                        name);
    snprintf(npy->type, sizeof npy->type, "%s", json_string_value(type));
    npy->fortran = json_is_true(fortran);
    return take_shape(json_object_get(json, "shape"), name, npy, err);
}

int nas_npy_parse(char *text, size_t length, uint32_t begin, const char *name, nas_npy *npy,
                  nas_error *err) {
    json_error_t why;
    json_t *json;
    *npy = (nas_npy){0};
    to_json(text, length);
    int rc = nas_json_parse(text, length, 0, name, &json, err);
    if (rc == NAS_ERR_MEMORY) return rc;
    if (rc) {
        json_decref(json_loadb(text, length, JSON_REJECT_DUPLICATES, &why));
        return nas_fail(err, NAS_ERR_INPUT, "%s: offset %llu: the header is damaged: %s", name,
                        (unsigned long long)begin + (unsigned long long)why.position, why.text);
    }
    rc = take(json, name, npy, err);
    json_decref(json);
    return rc;
}
