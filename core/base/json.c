#include "base/json.h"

#include "base/file.h"
#include "base/memory.h"

#include <math.h>
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

/* ---- Building ---- */

static void keep(json_t **json, int failed) {
    if (!failed) return;
    json_decref(*json);
    *json = NULL;
}

void nas_json_put(json_t **object, const char *key, json_t *value) {
    keep(object, json_object_set_new(*object, key, value));
}

void nas_json_add(json_t **array, json_t *value) {
    keep(array, json_array_append_new(*array, value));
}

void nas_json_merge(json_t **object, json_t *others) {
    keep(object, json_object_update(*object, others));
    json_decref(others);
}

json_t *nas_number_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *nas_count_json(uint64_t value) {
    return value <= INT64_MAX ? json_integer((json_int_t)value) : json_null();
}

/* Bytes of the UTF-8 character (RFC 3629) at text, of which n bytes are there; 0: it is none. */
static size_t character(const unsigned char *text, size_t n) {
    size_t length = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;
    if (*text > 0xf4 || length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if (*text == 0xe0 && text[1] < 0xa0) return 0;
    if (*text == 0xed && text[1] > 0x9f) return 0;
    if (*text == 0xf0 && text[1] < 0x90) return 0;
    if (*text == 0xf4 && text[1] > 0x8f) return 0;
    return length;
}

bool nas_text_valid(const char *text) {
    size_t n = strlen(text), step;
    for (size_t at = 0; at < n; at += step)
        if (!(step = character((const unsigned char *)text + at, n - at))) return false;
    return true;
}

char *nas_text_escaped(const char *text, char *buffer, size_t size) {
    size_t n = strlen(text), used = 0;
    buffer[0] = 0;
    for (size_t at = 0; at < n && used + 8 < size;) {
        size_t step = character((const unsigned char *)text + at, n - at);
        if (step)
            snprintf(buffer + used, size - used, "%.*s", (int)step, text + at);
        else
            snprintf(buffer + used, size - used, "\\x%02x", (unsigned char)text[at]);
        used += strlen(buffer + used);
        at += step ? step : 1;
    }
    return buffer;
}

json_t *nas_text_json(const char *text) {
    static const char replacement[] = "\xEF\xBF\xBD";
    if (!text) return json_null();
    size_t bytes = strlen(text), used = 0;
    char *clean = nas_alloc(bytes + 1, sizeof replacement);
    for (size_t at = 0; clean && at < bytes;) {
        size_t n = character((const unsigned char *)text + at, bytes - at);
        memcpy(clean + used, n ? text + at : replacement, n ? n : sizeof replacement - 1);
        used += n ? n : sizeof replacement - 1;
        at += n ? n : 1;
    }
    json_t *json = clean ? json_stringn(clean, used) : NULL;
    free(clean);
    return json;
}
