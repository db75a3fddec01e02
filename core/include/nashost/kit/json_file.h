/* nashost plugin kit: JSON by Jansson with errors as values: files that a plugin reads, what it
 * says of wrong ones, values that it builds and writes. Jansson's own writers go on when there is
 * no memory for a key, and its builders' results are easily forgotten: the host and its plugins use
 * these alone. Every function here: [any]. */
#ifndef NASHOST_KIT_JSON_FILE_H
#define NASHOST_KIT_JSON_FILE_H

#include <nashost/plugin.h>

#include <jansson.h>

/* Fails with "FILE: KEY: expected ..., found ...". found: NULL for nothing. */
int nas_json_fail(const char *file, const char *key, const json_t *found, const char *expected,
                  nas_error *err);

/* Reads a file that holds an object whose keys are given once; the caller drops *root, which is
 * NULL on failure. */
int nas_json_read(const char *file, json_t **root, nas_error *err);

/* Parses a text of n bytes; keys must be given once. flags: more of Jansson's, such as
 * JSON_DECODE_ANY. where: file, or file and line, for messages. The caller drops *json, which is
 * NULL on failure: NAS_ERR_MEMORY, or NAS_ERR_INPUT with line and column. */
int nas_json_parse(const char *text, size_t n, size_t flags, const char *where, json_t **json,
                   nas_error *err);

/* A value's text, of *bytes bytes (NULL: not wanted). flags: Jansson's; without JSON_REAL_PRECISION,
 * numbers have as few digits as give them back: 0.8 and not 0.80000000000000004. The caller frees;
 * NULL: out of memory. */
char *nas_json_text(const json_t *json, size_t flags, size_t *bytes);

/* Writes the numbers of a JSON text of 17 digits with as few as give them back, in place; returns its
 * length. */
size_t nas_json_shorten(char *text);

/* Writes a value's text and a newline to a new file, or over an old one. */
int nas_json_write(const char *file, const json_t *json, size_t flags, nas_error *err);

/* Building a value. The first failure sticks: *object (or *array) is released and becomes NULL, to
 * which nothing more can be added, so that the builder tests its result once, at the end: NULL is
 * out of memory. value is taken over in any case; a NULL value is a failure. */
void nas_json_put(json_t **object, const char *key, json_t *value);
void nas_json_add(json_t **array, json_t *value);

/* Takes over the object and adds all of its keys, likewise. */
void nas_json_merge(json_t **object, json_t *others);

/* A deep copy; NULL: out of memory, or json is NULL. The caller owns it. */
json_t *nas_json_copy(const json_t *json);

/* A number, or null if it is not finite; a count, or null for UINT64_MAX; a text, or null if it is
 * NULL, bytes that are no UTF-8 replaced by U+FFFD. The caller owns the result; NULL: out of
 * memory. */
json_t *nas_number_json(double value);
json_t *nas_count_json(uint64_t value);
json_t *nas_text_json(const char *text);

/* Whether a text is UTF-8, which JSON demands; and a text with \xHH for each byte of it that is
 * not, for messages: returns buffer. */
bool nas_text_valid(const char *text);
char *nas_text_escaped(const char *text, char *buffer, size_t size);

/* Refuses keys of an object other than names [n]. prefix: of the keys in messages, such as
 * "efficiency." or "". */
int nas_json_keys(const char *file, const char *prefix, const json_t *object,
                  const char *const *names, size_t n, nas_error *err);

/* Takes a number in (0, most], or [0, most] if it may be zero. key: as messages name it. */
int nas_json_number(const char *file, const char *key, const json_t *found, bool zero, double most,
                    double *value, nas_error *err);

/* A number, as an integer where it is one; the caller owns it. NULL: out of memory. */
json_t *nas_json_plain(double value);

#endif
