/* Global average pooling and the linear layers behind it. */
#ifndef NAS_SUPERNET_HEAD_H
#define NAS_SUPERNET_HEAD_H

#include "supernet/engine_pass.h"

/* Pools a micro-batch into the first linear layer's input. [worker] */
void nas_head_pool(const nas_engine_plan *plan, const nas_engine_memory *memory,
                   const nas_engine_pass *pass, const nas_microbatch *micro);

/* From there to logits [images][classes]. [main] */
void nas_head_forward(const nas_engine_plan *plan, const nas_engine_memory *memory,
                      const nas_engine_pass *pass, nas_real *logits);

/* From logits_grad [images][classes]: adds the linear layers' gradients, and leaves g and its sums
 * of the last unit. [main] */
void nas_head_backward(const nas_engine_plan *plan, const nas_engine_memory *memory,
                       const nas_engine_pass *pass, const nas_real *logits_grad);

#endif
