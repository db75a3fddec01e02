/* Squeeze-excite (arXiv 1709.01507) as in MobileNetV3: pool, linear, relu, linear, h-sigmoid. */
#include "supernet/engine_impl.h"

static void add_bias(nas_real *rows, const nas_real *bias, size_t count, size_t n) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < n; j++) rows[i * n + j] += bias[j];
}

static void add_rows(nas_real *sum, const nas_real *rows, size_t count, size_t n) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < n; j++) sum[j] += rows[i * n + j];
}

static nas_matrix matrix(const nas_engine *e, slice s, bool transposed) {
    return (nas_matrix){e->weights + s.offset, s.ld, transposed};
}

void nas_squeeze_gates(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                       nas_real *gate) {
    nas_affine raw = {s->gate + image * s->c, e->ones, e->zeros, NAS_ACT_HSIGMOID};
    e->kernels->affine(gate, &raw, NULL, count, s->c);
}

/* relu of the reduced values, [count][r]. */
static void rectify(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                    nas_real *out) {
    nas_affine raw = {s->hidden + image * s->r, e->ones, e->zeros, NAS_ACT_RELU};
    e->kernels->affine(out, &raw, NULL, count, s->r);
}

void nas_squeeze_forward(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                         nas_real *gate) {
    nas_real *pool = s->pool + image * s->c, *hidden = s->hidden + image * s->r;
    nas_gemm(count, s->r, s->c, (nas_matrix){pool, s->c, false}, matrix(e, s->reduce, false), 0,
             hidden, s->r);
    add_bias(hidden, e->weights + s->reduce_bias, count, s->r);
    rectify(e, s, image, count, gate); /* [count][r] fits in [count][c] */
    nas_real *raw = s->gate + image * s->c;
    nas_gemm(count, s->c, s->r, (nas_matrix){gate, s->r, false}, matrix(e, s->excite, false), 0,
             raw, s->c);
    add_bias(raw, e->weights + s->excite_bias, count, s->c);
    nas_squeeze_gates(e, s, image, count, gate);
}

size_t nas_squeeze_partial(const squeeze *s) {
    return 2 * s->c * s->r + s->c + s->r;
}

void nas_squeeze_backward(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                          const tile *t, nas_real *partial) {
    nas_real *reduce = partial, *reduce_bias = reduce + s->c * s->r;
    nas_real *excite = reduce_bias + s->r, *excite_bias = excite + s->r * s->c;
    const nas_real *pool = s->pool + image * s->c, *hidden = s->hidden + image * s->r;
    const nas_real *raw = s->gate + image * s->c;

    for (size_t i = 0; i < count * s->c; i++)
        t->gate_grad[i] *= raw[i] > -3 && raw[i] < 3 ? (nas_real)(1.0 / 6) : 0;
    rectify(e, s, image, count, t->hidden);
    nas_gemm(s->r, s->c, count, (nas_matrix){t->hidden, s->r, true},
             (nas_matrix){t->gate_grad, s->c, false}, 1, excite, s->c);
    add_rows(excite_bias, t->gate_grad, count, s->c);

    nas_gemm(count, s->r, s->c, (nas_matrix){t->gate_grad, s->c, false}, matrix(e, s->excite, true),
             0, t->hidden_grad, s->r);
    for (size_t i = 0; i < count * s->r; i++)
        if (hidden[i] <= 0) t->hidden_grad[i] = 0;
    nas_gemm(s->c, s->r, count, (nas_matrix){pool, s->c, true},
             (nas_matrix){t->hidden_grad, s->r, false}, 1, reduce, s->r);
    add_rows(reduce_bias, t->hidden_grad, count, s->r);

    nas_gemm(count, s->c, s->r, (nas_matrix){t->hidden_grad, s->r, false},
             matrix(e, s->reduce, true), 0, t->pool_grad, s->c);
}
