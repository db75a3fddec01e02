#include <nashost/kit/json_file.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

int nas_json_fail(const char *file, const char *key, const json_t *found, const char *expected,
                  nas_error *err) {
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int rc = nas_fail(err, NAS_ERR_INPUT, "%s: %.200s: expected %s, found %.60s", file, key,
                      expected, found ? text ? text : "?" : "nothing");
    free(text);
    return rc;
}

int nas_json_read(const char *file, json_t **root, nas_error *err) {
    json_error_t where;
    *root = json_load_file(file, JSON_REJECT_DUPLICATES, &where);
    if (json_is_object(*root)) return NAS_OK;
    int rc = *root ? nas_fail(err, NAS_ERR_INPUT, "%s: expected an object", file)
                   : nas_fail(err, NAS_ERR_INPUT, "%s: line %d, column %d: %s", file, where.line,
                              where.column, where.text);
    json_decref(*root);
    *root = NULL;
    return rc;
}

int nas_json_keys(const char *file, const char *prefix, const json_t *object,
                  const char *const *names, size_t n, nas_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool known = false;
        for (size_t i = 0; i < n; i++) known = known || strcmp(key, names[i]) == 0;
        if (known) continue;
        char list[400] = "";
        for (size_t i = 0, used = 0; i < n && used < sizeof list; i++)
            used +=
                (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
        return nas_fail(err, NAS_ERR_INPUT, "%s: %s%.60s: unknown key; the keys here are %s", file,
                        prefix, key, list);
    }
    return NAS_OK;
}

int nas_json_number(const char *file, const char *key, const json_t *found, bool zero, double most,
                    double *value, nas_error *err) {
    *value = json_number_value(found);
    if (json_is_number(found) && (zero ? *value >= 0 : *value > 0) && *value <= most) return NAS_OK;
    char expected[80];
    snprintf(expected, sizeof expected, "a number %s and at most %g",
             zero ? "of at least 0" : "above 0", most);
    return nas_json_fail(file, key, found, expected, err);
}

json_t *nas_json_plain(double value) {
    return value == floor(value) ? json_integer((json_int_t)value) : json_real(value);
}
