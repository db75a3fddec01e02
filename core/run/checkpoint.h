/* checkpoint/state.safetensors: a training that can go on with the same bits. One file, replaced as
 * a whole: tensors "weights", "velocity", with averaging "average", and with an anchor "initial",
 * flat in the supernet's order; "ssl_state", the loss plugin's bytes (nas.state/1) as one number
 * each; metadata "step", "seconds". */
#ifndef NAS_RUN_CHECKPOINT_H
#define NAS_RUN_CHECKPOINT_H

#include "host/instance.h"
#include "nn/real.h"

#define NAS_CHECKPOINT "checkpoint/state.safetensors" /* in the run directory */

typedef struct nas_train_state {
    uint64_t step;  /* steps done */
    double seconds; /* spent on them */
    size_t size;    /* of each array */
    nas_real *weights, *velocity;
    nas_real *average;       /* NULL: none kept */
    nas_real *initial;       /* the weights before the first step; NULL: not kept */
    const nas_instance *ssl; /* whose state goes along, if it has one */
} nas_train_state;

/* Writes to path; its folder must exist. [main] */
int nas_checkpoint_save(const char *path, const nas_train_state *state, nas_error *err);

/* Fills the arrays of state, its step and seconds, and the plugin's state. [main] */
int nas_checkpoint_load(const char *path, nas_train_state *state, nas_error *err);

#endif
