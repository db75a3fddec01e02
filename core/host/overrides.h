/* --set KEY.PATH=VALUE: changes to a pipeline's JSON before it is checked. */
#ifndef NAS_HOST_OVERRIDES_H
#define NAS_HOST_OVERRIDES_H

#include <jansson.h>
#include <nashost/plugin.h>

/* Applies "train.steps=100", in order, to root. The value is JSON, or else a bare string. An
 * array's index is a number, "platforms.0.name" or "platforms[0].name"; the index after the last
 * appends. Objects on the way that are missing are made. A "plugin" that is changed loses the
 * "options" beside it, which were the other one's. [main] */
int nas_overrides_apply(json_t *root, const char *const *overrides, size_t n, nas_error *err);

#endif
