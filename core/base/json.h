/* JSON files by Jansson, with errors as values. What builds and prints values is in the kit. */
#ifndef NAS_BASE_JSON_H
#define NAS_BASE_JSON_H

#include <jansson.h>
#include <nashost/kit/json_file.h>

/* Loads a file; duplicate keys are an error; the message gives file, line and column. The caller
 * releases *json with json_decref. [any] */
int nas_json_load(const char *path, json_t **json, nas_error *err);

/* Writes a file as nas_file_write does, indented by 2, keys in insertion order, a newline at the
 * end. Reals are written with as many digits as give them back bit-identically. [any] */
int nas_json_save(const char *path, const json_t *json, nas_error *err);

/* "object", "array", "string", "integer", "number", "boolean" or "null", for messages;
 * "nothing" for NULL. [any] */
const char *nas_json_kind(const json_t *json);

/* n bytes as a text of Base64 (RFC 4648, section 4). The caller owns it; NULL: out of memory.
 * [any] */
json_t *nas_base64_json(const uint8_t *data, size_t n);

#endif
