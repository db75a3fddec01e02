/* Reading the fields of a space or a genome from JSON, with messages that say where a field stands,
 * what was expected and what was found. */
#ifndef NAS_SPACE_FIELDS_H
#define NAS_SPACE_FIELDS_H

#include <jansson.h>
#include <nashost/plugin.h>

/* A place in a JSON text. */
typedef struct nas_spot {
    const char *where; /* of the text, such as a file's name */
    char path[64];     /* within it, such as "stages[1].kernel"; "" is the root */
} nas_spot;

nas_spot nas_spot_root(const char *where);
nas_spot nas_spot_key(const nas_spot *spot, const char *key);
nas_spot nas_spot_item(const nas_spot *spot, size_t index);

/* Fails with "WHERE: PATH: expected EXPECTED, found FOUND". found NULL: the key is missing. [any]
 */
NAS_PRINTF(4, 5)
int nas_spot_fail(const nas_spot *spot, const json_t *found, nas_error *err, const char *expected,
                  ...);

/* Checks that json is an object, and that it holds no key but names [n]. [any] */
int nas_field_keys(const nas_spot *spot, const json_t *json, const char *const *names, size_t n,
                   nas_error *err);

/* Reads object[key], an integer in min .. max. required: a missing key is an error; else *value
 * stays as it was. [any] */
int nas_field_uint(const nas_spot *spot, const json_t *object, const char *key, bool required,
                   uint32_t min, uint32_t max, uint32_t *value, nas_error *err);

/* Reads object[key], an array of min .. max items, which must be there. [any] */
int nas_field_array(const nas_spot *spot, const json_t *object, const char *key, size_t min,
                    size_t max, const json_t **array, nas_error *err);

#endif
