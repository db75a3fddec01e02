/* checkpoint/state.safetensors: a training that can go on with the same bits. One file, replaced as
 * a whole: tensors "weights", "velocity", with averaging "average", and with an anchor "initial",
 * flat in the supernet's order; "ssl_state", the loss plugin's bytes (nas.state/1) as one number
 * each; metadata "step", "seconds", "metrics" (the sums since the last line of metrics.jsonl, as
 * JSON), "training" (the pipeline's keys that decide the weights, as JSON), "program", "ssl" and
 * "instructions" (which builds made it), and "checksum". The one before it is kept as
 * checkpoint/previous.safetensors. */
#ifndef NAS_RUN_CHECKPOINT_H
#define NAS_RUN_CHECKPOINT_H

#include "base/log.h"
#include "host/instance.h"
#include "nn/real.h"
#include "run/metrics.h"

#define NAS_CHECKPOINT "checkpoint/state.safetensors" /* in the run directory */
#define NAS_CHECKPOINT_KEPT "checkpoint/previous.safetensors"

typedef struct nas_train_state {
    uint64_t step;  /* steps done */
    double seconds; /* spent on them */
    size_t size;    /* of each array */
    nas_real *weights, *velocity;
    nas_real *average;       /* NULL: none kept */
    nas_real *initial;       /* the weights before the first step; NULL: not kept */
    const nas_instance *ssl; /* whose state goes along, if it has one */
    const json_t *pipeline;  /* resolved; NULL: not compared */
    nas_metrics metrics;     /* since the last line */
    double logged;           /* seconds at that line */
} nas_train_state;

/* The bytes that the loss keeps (nas.state/1), which the caller frees, and such bytes given back to
 * it. One that keeps none has *bytes NULL, and takes nothing. [main] */
int nas_train_state_pack(const nas_train_state *state, unsigned char **bytes, size_t *n,
                         nas_error *err);
int nas_train_state_unpack(const nas_train_state *state, const unsigned char *bytes, size_t n,
                           nas_error *err);

/* Writes into the run directory out, and keeps the one before. When it fails, what was there is
 * there still. [main] */
int nas_checkpoint_save(const char *out, const nas_train_state *state, nas_error *err);

/* Fills the arrays of state and the rest of it. A file that is damaged is named to the log, and the
 * one before it is used. One by another training, another build of the program or the loss, or
 * other instructions is refused, with what differs. *found: there was one. A step beyond `steps` is
 * an error. [main] */
int nas_checkpoint_load(const char *out, uint64_t steps, const nas_log *log, nas_train_state *state,
                        bool *found, nas_error *err);

/* Removes both and their folder; what cannot be removed does no harm. [main] */
void nas_checkpoint_remove(const char *out);

#endif
