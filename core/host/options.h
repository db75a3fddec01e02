/* Option tables: from a JSON object to a C structure. Plugins and the host's own pipeline sections
 * are described and parsed alike. */
#ifndef NAS_HOST_OPTIONS_H
#define NAS_HOST_OPTIONS_H

#include <jansson.h>
#include <nashost/plugin.h>

/* Where an object stands, for messages and for relative paths. */
typedef struct nas_place {
    const char *file;   /* of the pipeline, as the user named it */
    const char *path;   /* JSON path, such as "train.ssl.options"; "" is the root */
    const char *folder; /* absolute; what NAS_TYPE_PATH options are relative to */
} nas_place;

/* Checks object (NULL: an empty one) against options and fills config. Unknown keys, wrong types,
 * values out of range and missing required options are errors: file, JSON path, expected, found and
 * the nearest known name. nested: further keys that the caller reads itself (NULL-terminated, or
 * NULL). *resolved gets a new object with every option in table order, defaults and absolute paths
 * included; strings in config point into it, so it must outlive config. An option whose default is
 * null is left out of it while it has no value. Lists of strings are freed with nas_options_free.
 * On failure *resolved is NULL and nothing is to be freed. [main] */
int nas_options_parse(const nas_option *options, size_t option_size, const json_t *object,
                      const char *const *nested, const nas_place *place, void *config,
                      json_t **resolved, nas_error *err);

/* Frees what NAS_TYPE_STRINGS options hold in config and sets them to NULL. [main] */
void nas_options_free(const nas_option *options, size_t option_size, void *config);

#define NAS_MAX_OPTIONS 128 /* in one table */

/* Checks a plugin's table itself: names, types, defaults that parse and lie in range, fields that
 * are aligned, within config_size and do not overlap. who names the plugin in messages. Fails with
 * NAS_ERR_PLUGIN. options NULL: none. [any] */
int nas_options_check(const nas_option *options, size_t option_size, size_t config_size,
                      const char *who, nas_error *err);

/* "bool", "int", "float", "string", "path", "enum", "strings"; "unknown" for any other value. */
const char *nas_type_name(nas_type type);

/* Entry i of a table whose entries are option_size bytes long. */
const nas_option *nas_option_at(const nas_option *options, size_t option_size, size_t i);

/* What an option accepts, such as "an integer from 1 to 64"; returns buffer. [any] */
char *nas_option_expected(const nas_option *option, char *buffer, size_t size);

/* What was found, such as "3 (an integer)" or "an object"; returns buffer. [any] */
char *nas_found(const json_t *value, char *buffer, size_t size);

/* Fails with NAS_ERR_INPUT and "FILE: PATH.KEY: MESSAGE"; key may be NULL. [any] */
NAS_PRINTF(4, 5)
int nas_fail_at(const nas_place *place, const char *key, nas_error *err, const char *format, ...);

/* Fails unless every key of object is one of names [n] (NULL entries are skipped). [any] */
int nas_check_keys(const nas_place *place, const json_t *object, const char *const *names, size_t n,
                   nas_error *err);

/* What the default's text says; the caller owns it. NULL: out of memory, or there is none. [any] */
json_t *nas_option_default(const nas_option *option);

#endif
