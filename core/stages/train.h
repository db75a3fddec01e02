/* The training stage: reads the images, writes metrics.jsonl, checkpoint/ and, at the end,
 * supernet.safetensors (the averaged weights if train.ema is above 0, else the last ones). */
#ifndef NAS_STAGES_TRAIN_H
#define NAS_STAGES_TRAIN_H

#include "stages/evaluate.h"

/* Ends with the trained weights in context->supernet: read from supernet.safetensors if the run
 * directory has it, else trained, from the checkpoint if there is one. context->split must be
 * there. *trained tells whether a step was taken. An interrupt writes a checkpoint first; weights
 * that stop being finite end the run with NAS_ERR_NUMERIC, and its last checkpoint stays. The
 * validation (stages/validate.h) is a part of it. [main] */
int nas_train(nas_context *context, nas_evaluator *evaluator, bool *trained, nas_error *err);

#endif
