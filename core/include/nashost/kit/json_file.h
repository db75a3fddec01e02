/* nashost plugin kit: JSON files that a plugin reads with Jansson, and what it says of wrong ones.
 * Every function here: [any]. */
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
