/* A subnet backward. */
#ifndef NAS_SUPERNET_BACKWARD_H
#define NAS_SUPERNET_BACKWARD_H

#include "supernet/engine_pass.h"

/* After nas_pass_forward with batch statistics on the same pass: adds the gradient to
 * pass->gradient for logits_grad [images][classes]. In memory it may move g of the trunk's last
 * unit, of which several subnets pass down the sum. [main] */
void nas_pass_backward(const nas_engine_plan *plan, nas_engine_memory *memory,
                       const nas_engine_pass *pass, const nas_real *logits_grad);

#endif
