#include "supernet/kernel_chain.h"

#include "base/memory.h"
#include "nn/gemm.h"

#include <stdio.h>
#include <string.h>

/* The matrix of the step from a kernel to the next smaller choice, at least `least`; NULL: none. */
static const nas_parameter *next_matrix(const nas_supernet *supernet, const nas_layer *layer,
                                        size_t from, size_t least, size_t *to) {
    for (*to = from - 2; *to >= least && *to < from; *to -= 2) {
        char part[24], name[NAS_TENSOR_NAME];
        snprintf(part, sizeof part, ".matrix%uto%u", (unsigned)from & 0xf, (unsigned)*to & 0xf);
        nas_layer_tensor_name(layer, part, name);
        const nas_parameter *p = nas_supernet_find(supernet, name);
        if (p) return p;
    }
    return NULL;
}

nas_kernel_chain nas_kernel_chain_find(const nas_supernet *supernet, const nas_layer *layer,
                                       const nas_slice *slice) {
    nas_kernel_chain chain = {.source = *slice};
    if (!supernet->space.kernel_transform || layer->op != NAS_OP_DEPTHWISE) return chain;
    for (size_t from = slice->k, to; from > slice->kernel; from = to) {
        const nas_parameter *matrix = next_matrix(supernet, layer, from, slice->kernel, &to);
        if (!matrix || chain.n == NAS_KERNEL_STEPS) break;
        chain.step[chain.n++] = (nas_kernel_step){to, matrix->offset};
    }
    if (chain.n) chain.source.kernel = chain.step[0].to;
    return chain;
}

size_t nas_kernel_room(const nas_slice *slice) {
    size_t taps = 0;
    for (size_t k = slice->k; k >= 3; k -= 2) taps += (k - 2) * (k - 2);
    return 2 * taps * slice->columns;
}

/* ---- The parts of room: each step's input [to * to][c], and what it makes of it ---- */

static size_t taps_of(const nas_kernel_chain *chain, int step) {
    return chain->step[step].to * chain->step[step].to;
}

static nas_real *input_of(const nas_kernel_chain *chain, int step, nas_real *room) {
    for (int i = 0; i < step; i++) room += 2 * taps_of(chain, i) * chain->source.columns;
    return room;
}

static nas_real *output_of(const nas_kernel_chain *chain, int step, nas_real *room) {
    return input_of(chain, step, room) + taps_of(chain, step) * chain->source.columns;
}

nas_real *nas_kernel_chain_result(const nas_kernel_chain *chain, nas_real *room) {
    return output_of(chain, chain->n - 1, room);
}

/* The row of step - 1's kernel that is row `tap` of a step's input. */
static size_t centre(const nas_kernel_chain *chain, int step, size_t tap) {
    size_t from = chain->step[step - 1].to, to = chain->step[step].to, skip = (from - to) / 2;
    return (tap / to + skip) * from + tap % to + skip;
}

void nas_kernel_chain_forward(const nas_kernel_chain *chain, const nas_real *weights,
                              nas_real *room, nas_real *kernel) {
    size_t c = chain->source.columns;
    for (int i = 0; i < chain->n; i++) {
        size_t taps = taps_of(chain, i);
        nas_real *x = input_of(chain, i, room);
        for (size_t tap = 0; tap < taps; tap++) {
            const nas_real *row = i ? output_of(chain, i - 1, room) + centre(chain, i, tap) * c
                                    : weights + nas_slice_row(&chain->source, tap);
            memcpy(x + tap * c, row, c * sizeof *x);
        }
        nas_matrix matrix = {weights + chain->step[i].matrix, taps, false};
        nas_gemm(taps, c, taps, matrix, (nas_matrix){x, c, false}, 0,
                 i + 1 == chain->n ? kernel : output_of(chain, i, room), c);
    }
}

/* The gradient of a step's input, from that of what it made: to the kernel before it, which is zero
 * around its centre, or onto the tensor. */
static void pass_down(const nas_kernel_chain *chain, const nas_real *weights, int step,
                      nas_real *room, nas_real *gradient) {
    size_t to = chain->step[step].to, taps = to * to, c = chain->source.columns;
    nas_matrix made = {output_of(chain, step, room), c, false};
    nas_real *before = step ? output_of(chain, step - 1, room) : NULL;
    if (before) memset(before, 0, taps_of(chain, step - 1) * c * sizeof *before);
    for (size_t y = 0; y < to; y++) {
        nas_matrix turned = {weights + chain->step[step].matrix + y * to, taps, true};
        if (before)
            nas_gemm(to, c, taps, turned, made, 0, before + centre(chain, step, y * to) * c, c);
        else
            nas_gemm(to, c, taps, turned, made, 1, gradient + nas_slice_row(&chain->source, y * to),
                     chain->source.out);
    }
}

void nas_kernel_chain_backward(const nas_kernel_chain *chain, const nas_real *weights,
                               nas_real *room, nas_real *gradient) {
    size_t c = chain->source.columns;
    for (int i = chain->n - 1; i >= 0; i--) {
        size_t taps = taps_of(chain, i);
        nas_matrix made = {output_of(chain, i, room), c, false};
        nas_matrix x = {input_of(chain, i, room), c, true};
        nas_gemm(taps, taps, c, made, x, 1, gradient + chain->step[i].matrix, taps);
        pass_down(chain, weights, i, room, gradient);
    }
}

nas_real *nas_kernel_chain_make(const nas_kernel_chain *chain, const nas_real *weights) {
    size_t values = taps_of(chain, chain->n - 1) * chain->source.columns;
    nas_real *kernel = nas_alloc(values + nas_kernel_room(&chain->source), sizeof *kernel);
    if (kernel) nas_kernel_chain_forward(chain, weights, kernel + values, kernel);
    return kernel;
}
