#include "base/json.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static const size_t MAX_JSON_BYTES = (size_t)256 << 20;

int nas_json_load(const char *path, json_t **json, nas_error *err) {
    char *text = NULL;
    size_t bytes = 0;
    *json = NULL;
    int rc = nas_file_read(path, MAX_JSON_BYTES, &text, &bytes, err);
    if (!rc) rc = nas_json_parse(text, bytes, 0, path, json, err);
    free(text);
    return rc;
}

int nas_json_save(const char *path, const json_t *json, nas_error *err) {
    if (!json_is_object(json) && !json_is_array(json))
        return nas_fail(err, NAS_ERR_INPUT,
                        "cannot write %s: expected an object or array, found %s", path,
                        nas_json_kind(json));
    size_t bytes = 0;
    char *text = nas_json_text(json, JSON_INDENT(2), &bytes);
    if (!text)
        return nas_fail(err, NAS_ERR_MEMORY, "cannot write %s: no memory for its text", path);
    text[bytes] = '\n'; /* where its NUL was */
    int rc = nas_file_write(path, text, bytes + 1, err);
    free(text);
    return rc;
}

const char *nas_json_kind(const json_t *json) {
    if (!json) return "nothing";
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}
