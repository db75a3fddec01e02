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
    const char *folder; /* that NAS_TYPE_PATH options are relative to */
} nas_place;

/* Checks object (NULL: an empty one) against options and fills config. Unknown keys, wrong types,
 * values out of range and missing required options are errors: file, JSON path, expected, found and
 * the nearest known name. nested: further keys that the caller reads itself (NULL-terminated, or
 * NULL). *resolved gets a new object with every option in table order, defaults and absolute paths
 * included; strings in config point into it, so it must outlive config. [main] */
int nas_options_parse(const nas_option *options, size_t option_size, const json_t *object,
                      const char *const *nested, const nas_place *place, void *config,
                      json_t **resolved, nas_error *err);

/* Checks a plugin's table itself: names, types, defaults that parse and lie in range, offsets
 * within config_size. who names the plugin in messages. [any] */
int nas_options_check(const nas_option *options, size_t option_size, size_t config_size,
                      const char *who, nas_error *err);

/* "bool", "int", "float", "string", "path", "enum". */
const char *nas_type_name(nas_type type);

#endif
