/* A subnet forward. */
#ifndef NAS_SUPERNET_FORWARD_H
#define NAS_SUPERNET_FORWARD_H

#include "supernet/engine_pass.h"

/* Runs the pass's images through the plan's units and linear layers: statistics, nodes and y go to
 * memory, logits [images][classes] (NULL: not wanted, only statistics) to the caller's. [main] */
void nas_pass_forward(const nas_engine_plan *plan, const nas_engine_memory *memory,
                      const nas_engine_pass *pass, nas_real *logits);

#endif
