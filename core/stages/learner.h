/* Training, one step after the other: batches, gradients, weights. What a training writes is not
 * its business. */
#ifndef NAS_STAGES_LEARNER_H
#define NAS_STAGES_LEARNER_H

#include "nn/optimizer.h"
#include "run/checkpoint.h"
#include "stages/step.h"

typedef struct nas_learner {
    const nas_context *context;
    nas_train_state state; /* weights are the supernet's; metrics are cleared by who reads them */
    nas_real *gradient;
    nas_span *spans;
    nas_step step;
    nas_loader *loader;
    bool *needed;           /* the loader's; NULL: all images */
    double opened, earlier; /* this process's start, and seconds of those before it */
    double lr;              /* of the last step */
} nas_learner;

/* Starts from the context's weights, or from the checkpoint of the run directory out, if that is
 * not NULL and has one. The context must have its split. Do not move it. On failure nothing is
 * left. The ranks of a cluster open it together, and all begin with the state of rank 0. [main] */
int nas_learner_open(const nas_context *context, const char *out, nas_learner *learner,
                     nas_error *err);
void nas_learner_close(nas_learner *learner); /* zeroed is fine */

/* The batches that such a training reads, from a step on. needed: as the loader's configuration has
 * it. The caller closes the loader. [main] */
int nas_learner_loader(const nas_context *context, const bool *needed, uint64_t first_step,
                       nas_loader **loader, nas_error *err);

/* One step: waits for its batch, changes the weights and their average. A loss or gradient that is
 * not finite is NAS_ERR_NUMERIC. In a cluster all ranks take it together. [main] */
int nas_learner_step(nas_learner *learner, nas_error *err);

#endif
