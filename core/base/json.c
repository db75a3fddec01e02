#include "base/json.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static const size_t MAX_JSON_BYTES = (size_t)256 << 20;

/* The parser quotes the text near a mistake, which may hold control characters. */
static void one_line(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ') *text = ' ';
}

static int parse(const char *path, const char *text, size_t bytes, json_t **json, nas_error *err) {
    if (bytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s:1:1: the file starts with a byte order mark; save it as UTF-8 "
                        "without one",
                        path);
    json_error_t mistake;
    *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &mistake);
    if (*json) return NAS_OK;
    if (json_error_code(&mistake) == json_error_out_of_memory)
        return nas_fail(err, NAS_ERR_MEMORY, "cannot parse %s: out of memory", path);
    one_line(mistake.text);
    return nas_fail(err, NAS_ERR_INPUT, "%s:%d:%d: not valid JSON: %s", path, mistake.line,
                    mistake.column, mistake.text);
}

int nas_json_load(const char *path, json_t **json, nas_error *err) {
    char *text = NULL;
    size_t bytes = 0;
    *json = NULL;
    int rc = nas_file_read(path, MAX_JSON_BYTES, &text, &bytes, err);
    if (!rc) rc = parse(path, text, bytes, json, err);
    free(text);
    return rc;
}

int nas_json_save(const char *path, const json_t *json, nas_error *err) {
    if (!json_is_object(json) && !json_is_array(json))
        return nas_fail(err, NAS_ERR_INPUT,
                        "cannot write %s: expected an object or array, found %s", path,
                        nas_json_kind(json));
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    size_t bytes = text ? strlen(text) : 0;
    char *line = text ? realloc(text, bytes + 2) : NULL;
    if (!line) {
        free(text);
        return nas_fail(err, NAS_ERR_MEMORY, "cannot write %s: no memory for its text", path);
    }
    line[bytes++] = '\n';
    int rc = nas_file_write(path, line, bytes, err);
    free(line);
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
