/* The search space that a pipeline names. */
#ifndef NAS_HOST_SPACE_FILE_H
#define NAS_HOST_SPACE_FILE_H

#include "host/options.h"
#include "host/registry.h"

/* Reads the value of the key "space": an object; the path of a JSON file, relative to place's
 * folder, if it holds a '/' or ends in ".json"; else the name of a preset, the file
 * spaces/NAME.json beside a manifest. *space is a new object. source [source_size] gets where it
 * stands, for messages about what is in it. [main] */
int nas_space_find(const json_t *value, const nas_place *place, const nas_registry *registry,
                   json_t **space, char *source, size_t source_size, nas_error *err);

/* The space that a file of weights, as `nashost import` or a run wrote it, tells in its metadata.
 * *space is a new object; source as above. A file that tells none is NAS_ERR_INPUT. [any] */
int nas_space_of_weights(const char *path, json_t **space, char *source, size_t source_size,
                         nas_error *err);

#endif
