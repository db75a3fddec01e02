/* What a process of a run is made of and works on: ranks of which one differs from the others would
 * give other bits, or wait for each other for ever. */
#ifndef NAS_STAGES_FINGERPRINT_H
#define NAS_STAGES_FINGERPRINT_H

#include "run/context.h"

/* As JSON text, which the caller frees: the program's version and a hash of its file, its
 * instruction set, id, version and hash of each plugin of the run, the pipeline with every default,
 * the data set as in data.json. [main] */
int nas_fingerprint_text(const nas_context *context, char **text, nas_error *err);

/* NAS_ERR_INPUT if this process's text is not rank 0's, with the first thing that differs. [any] */
int nas_fingerprint_compare(const char *mine, const char *first, nas_error *err);

#endif
