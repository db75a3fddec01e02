#include "space/fields.h"

#include "base/json.h"

#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>

nas_spot nas_spot_root(const char *where) {
    return (nas_spot){.where = where};
}

/* Marks a path that did not fit: a user's key may be of any length. */
static void mark_cut(nas_spot *spot, int written) {
    if (written < (int)sizeof spot->path) return;
    memcpy(spot->path + sizeof spot->path - 4, "...", 4);
}

nas_spot nas_spot_key(const nas_spot *spot, const char *key) {
    nas_spot inner = {.where = spot->where};
    const char *dot = spot->path[0] ? "." : "";
    mark_cut(&inner, snprintf(inner.path, sizeof inner.path, "%s%s%.200s", spot->path, dot, key));
    return inner;
}

nas_spot nas_spot_item(const nas_spot *spot, size_t index) {
    nas_spot inner = {.where = spot->where};
    mark_cut(&inner, snprintf(inner.path, sizeof inner.path, "%s[%zu]", spot->path, index));
    return inner;
}

/* The value itself where it is short, else its kind. */
static void describe(const json_t *json, char *text, size_t size) {
    if (!json) {
        snprintf(text, size, "nothing");
        return;
    }
    char *dump = json_is_object(json) || json_is_array(json)
                     ? NULL
                     : nas_json_text(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6), NULL);
    if (dump) {
        snprintf(text, size, "%.60s", dump);
    } else if (json_is_array(json)) {
        snprintf(text, size, "array of %zu", json_array_size(json));
    } else {
        snprintf(text, size, "%s", nas_json_kind(json));
    }
    free(dump);
}

int nas_spot_fail(const nas_spot *spot, const json_t *found, nas_error *err, const char *expected,
                  ...) {
    char want[400], got[80];
    va_list args;
    va_start(args, expected);
    vsnprintf(want, sizeof want, expected, args);
    va_end(args);
    describe(found, got, sizeof got);
    return nas_fail(err, NAS_ERR_INPUT, "%s: %s%sexpected %s, found %s", spot->where, spot->path,
                    spot->path[0] ? ": " : "", want, got);
}

int nas_field_keys(const nas_spot *spot, const json_t *json, const char *const *names, size_t n,
                   nas_error *err) {
    if (!json_is_object(json)) return nas_spot_fail(spot, json, err, "an object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value) {
        bool known = false;
        for (size_t i = 0; i < n; i++) known = known || strcmp(key, names[i]) == 0;
        if (known) continue;
        const char *near = nas_nearest(key, names, n);
        nas_spot at = nas_spot_key(spot, key);
        return nas_fail(err, NAS_ERR_INPUT, "%s: %s: unknown key%s%s%s", at.where, at.path,
                        near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return NAS_OK;
}

int nas_field_uint(const nas_spot *spot, const json_t *object, const char *key, bool required,
                   uint32_t min, uint32_t max, uint32_t *value, nas_error *err) {
    const json_t *json = json_object_get(object, key);
    if (!json && !required) return NAS_OK;
    json_int_t found = json_integer_value(json);
    if (!json_is_integer(json) || found < (json_int_t)min || found > (json_int_t)max) {
        nas_spot at = nas_spot_key(spot, key);
        return nas_spot_fail(&at, json, err, "an integer from %u to %u", min, max);
    }
    *value = (uint32_t)found;
    return NAS_OK;
}

int nas_field_array(const nas_spot *spot, const json_t *object, const char *key, size_t min,
                    size_t max, const json_t **array, nas_error *err) {
    *array = json_object_get(object, key);
    if (!json_is_array(*array) || json_array_size(*array) < min || json_array_size(*array) > max) {
        nas_spot at = nas_spot_key(spot, key);
        return min == max ? nas_spot_fail(&at, *array, err, "an array of %zu", min)
                          : nas_spot_fail(&at, *array, err, "an array of %zu to %zu", min, max);
    }
    return NAS_OK;
}
