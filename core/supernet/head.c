/* Global average pooling and the linear layers behind it. */
#include "supernet/engine_impl.h"

#include "base/rng.h"

#include <string.h>

void nas_head_pool(nas_engine *e, const group *at) {
    int last = e->n_units - 1;
    const unit *u = &e->units[last];
    size_t rows = (size_t)u->oh * u->ow;
    nas_real share = (nas_real)1 / (nas_real)rows;
    for (uint32_t i = at->first; i < at->end; i++) {
        nas_affine from = nas_engine_affine(e, last, at, i);
        nas_real *out = e->linears[0].x + i * u->oc;
        e->kernels->column_dots(out, NULL, &from, rows, u->oc);
        for (size_t c = 0; c < u->oc; c++) out[c] *= share;
    }
}

/* A linear layer's product cut into HEAD_BLOCKS parts, so that all threads have work. */
typedef struct product {
    size_t m, n, k;
    nas_matrix a, b;
    nas_real beta, *c;
    size_t ldc;
} product;

static void product_block(void *context, int block, int thread) {
    (void)thread;
    const product *p = context;
    size_t first = p->m * (size_t)block / HEAD_BLOCKS,
           end = p->m * ((size_t)block + 1) / HEAD_BLOCKS;
    nas_matrix a = p->a;
    a.data += a.transposed ? first : first * a.ld;
    if (end > first)
        nas_gemm(end - first, p->n, p->k, a, p->b, p->beta, p->c + first * p->ldc, p->ldc);
}

static void multiply(nas_engine *e, product p) {
    nas_parallel(e->pool, HEAD_BLOCKS, false, product_block, &p);
}

static nas_activation hidden_activation(const nas_engine *e) {
    return e->supernet->space.head.hidden_activation;
}

/* Inverted dropout (arXiv 1207.0580), a mask a row by (seed, step, stream, row). */
static void drop(nas_engine *e, const nas_forward *how) {
    linear *l = &e->linears[e->n_linear - 1];
    nas_real keep = (nas_real)(1 / (1 - how->dropout));
    for (uint32_t row = 0; row < e->n_images; row++) {
        nas_rng rng = nas_rng_open(how->seed, NAS_RNG_DROPOUT, how->step, how->stream << 20 | row);
        nas_real *mask = e->dropout_mask + row * l->in, *x = l->x + row * l->in;
        for (size_t i = 0; i < l->in; i++) {
            mask[i] = nas_rng_uniform(&rng) < how->dropout ? 0 : keep;
            x[i] *= mask[i];
        }
    }
}

void nas_head_forward(nas_engine *e, const nas_forward *how, nas_real *logits) {
    e->dropped = how->dropout > 0;
    for (int i = 0; i < e->n_linear; i++) {
        linear *l = &e->linears[i];
        bool last = i == e->n_linear - 1;
        if (last && e->dropped) drop(e, how);
        multiply(e, (product){e->n_images,
                              l->out,
                              l->in,
                              {l->x, l->in, false},
                              {e->weights + l->weight, l->out, false},
                              0,
                              l->y,
                              l->out});
        for (uint32_t row = 0; row < e->n_images; row++)
            for (size_t j = 0; j < l->out; j++) l->y[row * l->out + j] += e->weights[l->bias + j];
        nas_affine from = {l->y, e->ones, e->zeros, last ? NAS_ACT_NONE : hidden_activation(e)};
        e->kernels->affine(last ? logits : l[1].x, &from, NULL, e->n_images, l->out);
    }
}

/* From dy [images][out] (before activation) to the parameters' gradients and dx. */
static void backward_linear(nas_engine *e, const linear *l, const nas_real *dy) {
    for (const cohort *own = e->cohorts; own < e->cohorts + e->n_cohorts; own++)
        multiply(e, (product){l->in,
                              l->out,
                              own->images,
                              {l->x + own->first * l->in, l->in, true},
                              {dy + own->first * l->out, l->out, false},
                              1,
                              e->gradient + l->weight,
                              l->out});
    for (uint32_t row = 0; row < e->n_images; row++)
        for (size_t j = 0; j < l->out; j++) e->gradient[l->bias + j] += dy[row * l->out + j];
    multiply(e, (product){e->n_images,
                          l->in,
                          l->out,
                          {dy, l->out, false},
                          {e->weights + l->weight, l->out, true},
                          0,
                          l->dx,
                          l->in});
}

static void unpool_chunk(void *context, int chunk, int thread) {
    nas_engine *e = context;
    int last = e->n_units - 1;
    const unit *u = &e->units[last];
    size_t rows = (size_t)u->oh * u->ow;
    group at = nas_engine_group(e, chunk, false, thread);
    double *sums = nas_engine_sums(e, chunk);
    memset(sums, 0, 2 * u->oc * sizeof *sums);
    for (uint32_t i = at.first; i < at.end; i++) {
        nas_affine from = nas_engine_affine(e, last, &at, i);
        nas_real *shift = e->linears[0].dx + i * u->oc, share = (nas_real)1 / (nas_real)rows;
        for (size_t c = 0; c < u->oc; c++) shift[c] *= share;
        /* Every pixel's gradient is the same: 0 times anything finite, plus shift. */
        e->kernels->act_grad(u->g + i * u->values, from.y, &from, e->zeros, shift, NULL, sums, rows,
                             u->oc);
    }
}

void nas_head_backward(nas_engine *e, const nas_real *logits_grad) {
    const nas_real *dy = logits_grad;
    for (int i = e->n_linear - 1; i >= 0; i--) {
        linear *l = &e->linears[i];
        backward_linear(e, l, dy);
        if (i == e->n_linear - 1 && e->dropped)
            for (size_t j = 0; j < e->n_images * l->in; j++) l->dx[j] *= e->dropout_mask[j];
        if (i == 0) break;
        /* Through the activation below, in place. */
        nas_affine at = {l[-1].y, e->ones, e->zeros, hidden_activation(e)};
        double *unused = e->sums;
        e->kernels->act_grad(l->dx, l->dx, &at, NULL, NULL, NULL, unused, e->n_images, l->in);
        dy = l->dx;
    }
    nas_parallel(e->pool, e->chunks, false, unpool_chunk, e);
}
