/* JSON files by Jansson, with errors as values. */
#ifndef NAS_BASE_JSON_H
#define NAS_BASE_JSON_H

#include <jansson.h>
#include <nashost/plugin.h>

/* Loads a file; duplicate keys are an error; the message gives file, line and column. The caller
 * releases *json with json_decref. [any] */
int nas_json_load(const char *path, json_t **json, nas_error *err);

/* Writes a file as nas_file_write does, indented by 2, keys in insertion order, a newline at the
 * end. Reals are written with 17 digits and read back bit-identically. [any] */
int nas_json_save(const char *path, const json_t *json, nas_error *err);

/* "object", "array", "string", "integer", "number", "boolean" or "null", for messages;
 * "nothing" for NULL. [any] */
const char *nas_json_kind(const json_t *json);

/* Whether a text is UTF-8, which JSON demands; and a text with \xHH for each byte of it that is
 * not, for messages: returns buffer. [any] */
bool nas_text_valid(const char *text);
char *nas_text_escaped(const char *text, char *buffer, size_t size);

/* Building a value. The first failure sticks: *object (or *array) is released and becomes NULL, to
 * which nothing more can be added, so that the builder tests its result once, at the end: NULL is
 * out of memory. value is taken over in any case; a NULL value is a failure. [any] */
void nas_json_put(json_t **object, const char *key, json_t *value);
void nas_json_add(json_t **array, json_t *value);

/* Takes over the object and adds all of its keys, likewise. */
void nas_json_merge(json_t **object, json_t *others);

/* A number, or null if it is not finite; a count, or null for UINT64_MAX; a text, or null if it is
 * NULL, bytes that are no UTF-8 replaced by U+FFFD. The caller owns the result; NULL: out of
 * memory. [any] */
json_t *nas_number_json(double value);
json_t *nas_count_json(uint64_t value);
json_t *nas_text_json(const char *text);

#endif
