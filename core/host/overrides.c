#include "host/overrides.h"

#include "base/json.h"
#include "host/options.h"

#include <stdlib.h>
#include <string.h>

/* The number that key is, or -1. */
static long array_index(const char *key) {
    size_t n = strspn(key, "0123456789");
    return n > 0 && n < 10 && !key[n] ? strtol(key, NULL, 10) : -1;
}

/* Another plugin's options would be wrong ones. */
static void drop_options(json_t *node, const char *key, const json_t *value) {
    const json_t *before = json_object_get(node, key);
    if (strcmp(key, "plugin") == 0 && before && !json_equal(before, value))
        json_object_del(node, "options");
}

/* Puts value (a new reference, taken whatever happens) at key of an object or array. */
static int put(json_t *node, const char *key, json_t *value, const char *override, nas_error *err) {
    if (json_is_object(node)) {
        drop_options(node, key, value);
        if (!json_object_set_new(node, key, value)) return NAS_OK;
        return nas_fail(err, NAS_ERR_MEMORY, "--set %s: out of memory", override);
    }
    size_t index = (size_t)array_index(key);
    int failed = index < json_array_size(node) ? json_array_set_new(node, index, value)
                                               : json_array_append_new(node, value);
    return failed ? nas_fail(err, NAS_ERR_MEMORY, "--set %s: out of memory", override) : NAS_OK;
}

/* Fails unless node is an object, or an array that key is an index of. */
static int check_key(const json_t *node, const char *key, const char *override, nas_error *err) {
    char found[100];
    if (json_is_object(node)) return NAS_OK;
    if (!json_is_array(node))
        return nas_fail(err, NAS_ERR_INPUT,
                        "--set %s: \"%s\" would be a key of %s; expected an object or an array",
                        override, key, nas_found(node, found, sizeof found));
    long index = array_index(key);
    if (index >= 0 && (size_t)index <= json_array_size(node)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "--set %s: expected an index from 0 to %zu (which appends), found \"%s\"",
                    override, json_array_size(node), key);
}

static json_t *child(const json_t *node, const char *key) {
    return json_is_object(node) ? json_object_get(node, key)
                                : json_array_get(node, (size_t)array_index(key));
}

/* keys is cut up on the way. Takes value whatever happens. */
static int assign(json_t *node, char *keys, json_t *value, const char *override, nas_error *err) {
    static const char separators[] = ".[]";
    char *rest = NULL;
    char *key = strtok_r(keys, separators, &rest);
    int rc = NAS_OK;
    if (!key) rc = nas_fail(err, NAS_ERR_INPUT, "--set %s: expected KEY=VALUE", override);
    while (!rc && key) {
        char *next = strtok_r(NULL, separators, &rest);
        rc = check_key(node, key, override, err);
        if (!rc && !next) return put(node, key, value, override, err);
        if (!rc && !child(node, key)) rc = put(node, key, json_object(), override, err);
        if (!rc) node = child(node, key);
        key = next;
    }
    json_decref(value);
    return rc;
}

static int apply(json_t *root, const char *override, nas_error *err) {
    const char *equals = strchr(override, '=');
    if (!equals || equals == override)
        return nas_fail(err, NAS_ERR_INPUT, "--set %s: expected KEY=VALUE, such as train.steps=100",
                        override);
    char *keys = strndup(override, (size_t)(equals - override));
    if (!keys) return nas_fail(err, NAS_ERR_MEMORY, "--set %s: out of memory", override);
    json_t *value = NULL;
    int rc = nas_json_parse(equals + 1, strlen(equals + 1), JSON_DECODE_ANY, "--set", &value, err);
    if (!value && rc != NAS_ERR_MEMORY) value = json_string(equals + 1);
    if (value)
        rc = assign(root, keys, value, override, err);
    else if (nas_text_valid(equals + 1))
        rc = nas_fail(err, NAS_ERR_MEMORY, "--set %s: out of memory", override);
    else
        rc = nas_fail(err, NAS_ERR_INPUT, "--set %s: the value is not UTF-8", override);
    free(keys);
    return rc;
}

int nas_overrides_apply(json_t *root, const char *const *overrides, size_t n, nas_error *err) {
    int rc = NAS_OK;
    for (size_t i = 0; i < n && !rc; i++) rc = apply(root, overrides[i], err);
    return rc;
}
