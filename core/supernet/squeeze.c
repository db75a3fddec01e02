/* Squeeze-excite (arXiv 1709.01507) as in MobileNetV3: pool, linear, relu, linear, h-sigmoid. */
#include "supernet/engine_impl.h"

static void add_bias(nas_real *rows, const nas_real *bias, size_t count, size_t n) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < n; j++) rows[i * n + j] += bias[j];
}

/* y [count][out] = x times the weights [in][out]. */
static void multiply(const nas_engine *e, const nas_real *x, size_t count, slice w, nas_real *y) {
    const nas_real *weights = e->weights + w.offset;
    nas_product p = {count,   w.columns, w.rows, x,         w.rows, 1,
                     weights, w.ld,      y,      w.columns, false,  NULL};
    nas_multiply(e->kernels, &p);
}

void nas_squeeze_gates(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                       nas_real *gate) {
    nas_affine raw = {s->gate + image * s->c, e->ones, e->zeros, NAS_ACT_HSIGMOID};
    e->kernels->affine(gate, &raw, NULL, count, s->c);
}

void nas_squeeze_forward(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                         nas_real *gate) {
    nas_real *hidden = s->hidden + image * s->r, *raw = s->gate + image * s->c;
    multiply(e, s->pool + image * s->c, count, s->reduce, hidden);
    add_bias(hidden, e->weights + s->reduce_bias, count, s->r);
    nas_affine at = {hidden, e->ones, e->zeros, NAS_ACT_RELU};
    e->kernels->affine(hidden, &at, NULL, count, s->r);
    multiply(e, hidden, count, s->excite, raw);
    add_bias(raw, e->weights + s->excite_bias, count, s->c);
    nas_squeeze_gates(e, s, image, count, gate);
}

void nas_squeeze_turn(const nas_engine *e, const squeeze *s, nas_real *turned) {
    nas_matrix excite = {e->weights + s->excite.offset, s->excite.ld, true};
    nas_matrix reduce = {e->weights + s->reduce.offset, s->reduce.ld, true};
    nas_product_pack(e->kernels, turned, excite, NULL, s->c, s->r);
    nas_product_pack(e->kernels, turned + s->c * s->r, reduce, NULL, s->r, s->c);
}

void nas_squeeze_backward(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                          const nas_real *turned, nas_real *pool_grad) {
    const nas_real *raw = s->gate + image * s->c, *hidden = s->hidden + image * s->r;
    nas_real *gate_grad = s->gate_grad + image * s->c, *hidden_grad = s->hidden_grad + image * s->r;
    for (size_t i = 0; i < count * s->c; i++)
        gate_grad[i] *= raw[i] > -3 && raw[i] < 3 ? (nas_real)(1.0 / 6) : 0;
    nas_engine_multiply(e, gate_grad, s->c, turned, count, s->r, false, hidden_grad, NULL);
    for (size_t i = 0; i < count * s->r; i++)
        if (hidden[i] <= 0) hidden_grad[i] = 0;
    nas_engine_multiply(e, hidden_grad, s->r, turned + s->c * s->r, count, s->c, false, pool_grad,
                        NULL);
}

/* Of a linear layer from x [images][in] to dy [images][out]: adds a share of its weights' rows and
 * of its biases. */
static void add_linear(nas_engine *e, const nas_real *x, const nas_real *dy, slice w, size_t bias,
                       size_t share) {
    size_t row = w.rows * share / NAS_CHUNKS, rows = w.rows * (share + 1) / NAS_CHUNKS - row;
    size_t at = w.columns * share / NAS_CHUNKS, end = w.columns * (share + 1) / NAS_CHUNKS;
    nas_real *gradient = e->gradient + w.offset + row * w.ld;
    for (const cohort *own = e->cohorts; rows && own < e->cohorts + e->n_cohorts; own++) {
        nas_product p = {rows,
                         w.columns,
                         own->images,
                         x + own->first * w.rows + row,
                         1,
                         w.rows,
                         dy + own->first * w.columns,
                         w.columns,
                         gradient,
                         w.ld,
                         true,
                         NULL};
        nas_multiply(e->kernels, &p);
    }
    for (size_t image = 0; image < e->n_images; image++)
        for (size_t j = at; j < end; j++) e->gradient[bias + j] += dy[image * w.columns + j];
}

void nas_squeeze_add(nas_engine *e, const squeeze *s, int share) {
    add_linear(e, s->pool, s->hidden_grad, s->reduce, s->reduce_bias, (size_t)share);
    add_linear(e, s->hidden, s->gate_grad, s->excite, s->excite_bias, (size_t)share);
}
