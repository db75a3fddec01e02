/* Squeeze-excite (arXiv 1709.01507): pool, linear, activation, linear, gate; for `count` images
 * from `image` on. */
#ifndef NAS_SUPERNET_SQUEEZE_H
#define NAS_SUPERNET_SQUEEZE_H

#include "supernet/engine_pass.h"

/* From sm->pool: sm->hidden, sm->gate (before its activation) and gate [count][c]. [worker] */
void nas_squeeze_forward(const nas_engine_memory *memory, const nas_engine_pass *pass,
                         const nas_squeeze *s, const nas_squeeze_memory *sm, uint32_t image,
                         uint32_t count, nas_real *gate);

/* gate [count][c] again, from sm->gate. [worker] */
void nas_squeeze_gates(const nas_engine_memory *memory, const nas_engine_pass *pass,
                       const nas_squeeze *s, const nas_squeeze_memory *sm, uint32_t image,
                       uint32_t count, nas_real *gate);

/* Both weights transposed and packed, 2 * c * r values, as backward wants them. [worker] */
void nas_squeeze_transpose(const nas_engine_pass *pass, const nas_squeeze *s, nas_real *transposed);

/* From the gates' gradient in sm->gate_grad: that and sm->hidden_grad before activation, and
 * pool_grad [count][c]. [worker] */
void nas_squeeze_backward(const nas_engine_memory *memory, const nas_engine_pass *pass,
                          const nas_squeeze *s, const nas_squeeze_memory *sm, uint32_t image,
                          uint32_t count, const nas_real *transposed, nas_real *pool_grad);

/* When all images are done: adds a share, one of NAS_CHUNKS, of the four parameter gradients.
 * [worker] */
void nas_squeeze_weights_grad(const nas_engine_pass *pass, const nas_squeeze *s,
                              const nas_squeeze_memory *sm, int share);

#endif
