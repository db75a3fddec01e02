/* A file of weights that stands alone, without a run directory. */
#ifndef NAS_CLI_WEIGHTS_H
#define NAS_CLI_WEIGHTS_H

#include "base/safetensors.h"
#include "space/space.h"

typedef struct nas_weights {
    nas_tensor_file file;
    nas_space space; /* as the file tells it, for the channels and classes of its tensors */
} nas_weights;

/* Reads what `nashost import` or a run wrote. On failure it is empty. [any] */
int nas_weights_open(const char *path, nas_weights *weights, nas_error *err);
void nas_weights_close(nas_weights *weights); /* NULL-safe, empty is fine */

#endif
