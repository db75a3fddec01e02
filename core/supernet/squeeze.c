#include "supernet/squeeze.h"

static void add_bias(nas_real *rows, const nas_real *bias, size_t count, size_t n) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < n; j++) rows[i * n + j] += bias[j];
}

/* y [count][out] = x times the weights [in][out]. */
static void multiply(const nas_engine_pass *pass, const nas_real *x, size_t count,
                     const nas_slice *w, nas_real *y) {
    size_t in = w->inputs, out = w->columns;
    const nas_real *weights = pass->weights + w->offset;
    nas_product p = {count, out, in, x, in, 1, weights, w->out, y, out, false, NULL};
    nas_multiply(pass->kernels, &p);
}

void nas_squeeze_gates(const nas_engine_memory *memory, const nas_engine_pass *pass,
                       const nas_squeeze *s, const nas_squeeze_memory *sm, uint32_t image,
                       uint32_t count, nas_real *gate) {
    nas_affine from = nas_plain(memory, sm->gate + image * s->c, s->gate_act);
    pass->kernels->affine(gate, &from, NULL, count, s->c);
}

void nas_squeeze_forward(const nas_engine_memory *memory, const nas_engine_pass *pass,
                         const nas_squeeze *s, const nas_squeeze_memory *sm, uint32_t image,
                         uint32_t count, nas_real *gate) {
    nas_real *hidden = sm->hidden + image * s->r, *raw = sm->gate + image * s->c;
    nas_real *before = sm->before + image * s->r;
    multiply(pass, sm->pool + image * s->c, count, &s->reduce, before);
    add_bias(before, pass->weights + s->reduce_bias, count, s->r);
    nas_affine from = nas_plain(memory, before, s->act);
    pass->kernels->affine(hidden, &from, NULL, count, s->r);
    multiply(pass, hidden, count, &s->excite, raw);
    add_bias(raw, pass->weights + s->excite_bias, count, s->c);
    nas_squeeze_gates(memory, pass, s, sm, image, count, gate);
}

void nas_squeeze_transpose(const nas_engine_pass *pass, const nas_squeeze *s,
                           nas_real *transposed) {
    nas_matrix excite = {pass->weights + s->excite.offset, s->excite.out, true};
    nas_matrix reduce = {pass->weights + s->reduce.offset, s->reduce.out, true};
    nas_product_pack(pass->kernels, transposed, excite, NULL, s->c, s->r);
    nas_product_pack(pass->kernels, transposed + s->c * s->r, reduce, NULL, s->r, s->c);
}

void nas_squeeze_backward(const nas_engine_memory *memory, const nas_engine_pass *pass,
                          const nas_squeeze *s, const nas_squeeze_memory *sm, uint32_t image,
                          uint32_t count, const nas_real *transposed, nas_real *pool_grad) {
    nas_affine gate = nas_plain(memory, sm->gate + image * s->c, s->gate_act);
    nas_affine before = nas_plain(memory, sm->before + image * s->r, s->act);
    nas_real *gate_grad = sm->gate_grad + image * s->c;
    nas_real *hidden_grad = sm->hidden_grad + image * s->r;
    pass->kernels->act_grad(gate_grad, gate_grad, &gate, NULL, NULL, NULL, NULL, count, s->c);
    nas_multiply_packed(pass->kernels, gate_grad, s->c, transposed, count, s->r, false, hidden_grad,
                        NULL);
    pass->kernels->act_grad(hidden_grad, hidden_grad, &before, NULL, NULL, NULL, NULL, count, s->r);
    nas_multiply_packed(pass->kernels, hidden_grad, s->r, transposed + s->c * s->r, count, s->c,
                        false, pool_grad, NULL);
}

/* Of a linear layer from x [images][in] to dy [images][out]: adds a share of its weights' rows and
 * of its biases. */
static void add_linear(const nas_engine_pass *pass, const nas_real *x, const nas_real *dy,
                       const nas_slice *w, size_t bias, size_t share) {
    size_t in = w->inputs, out = w->columns;
    size_t row = in * share / NAS_CHUNKS, rows = in * (share + 1) / NAS_CHUNKS - row;
    size_t first = out * share / NAS_CHUNKS, end = out * (share + 1) / NAS_CHUNKS;
    nas_real *gradient = pass->gradient + nas_slice_row(w, row);
    for (int i = 0; rows && i < pass->n_cohorts; i++) {
        const nas_cohort *cohort = &pass->cohorts[i];
        const nas_real *a = x + cohort->first * in + row, *b = dy + cohort->first * out;
        nas_product p = {rows, out, cohort->images, a, 1, in, b, out, gradient, w->out, true, NULL};
        nas_multiply(pass->kernels, &p);
    }
    for (size_t image = 0; image < pass->n_images; image++)
        for (size_t j = first; j < end; j++) pass->gradient[bias + j] += dy[image * out + j];
}

void nas_squeeze_weights_grad(const nas_engine_pass *pass, const nas_squeeze *s,
                              const nas_squeeze_memory *sm, int share) {
    add_linear(pass, sm->pool, sm->hidden_grad, &s->reduce, s->reduce_bias, (size_t)share);
    add_linear(pass, sm->hidden, sm->gate_grad, &s->excite, s->excite_bias, (size_t)share);
}
