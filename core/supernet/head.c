#include "supernet/head.h"

#include "base/rng.h"
#include "supernet/share.h"

#include <string.h>

#define HEAD_BLOCKS 4 /* fixed cuts of the linear layers, as chunks are of images */

void nas_head_pool(const nas_engine_plan *plan, const nas_engine_memory *memory,
                   const nas_engine_pass *pass, const nas_microbatch *micro) {
    int last = plan->n_units - 1;
    const nas_unit *u = &plan->units[last];
    size_t rows = (size_t)u->oh * u->ow;
    nas_real share = (nas_real)1 / (nas_real)rows;
    for (uint32_t i = micro->first; i < micro->end; i++) {
        nas_affine from = nas_unit_affine(plan, memory, last, micro, i);
        nas_real *out = memory->linears[0].x + i * u->oc;
        pass->kernels->column_dots(out, NULL, &from, rows, u->oc);
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

static void multiply(const nas_engine_pass *pass, product p) {
    nas_parallel(pass->pool, HEAD_BLOCKS, false, product_block, &p);
}

/* Inverted dropout (arXiv 1207.0580) of x [images][in], a mask a row by (seed, step, stream, row).
 */
static void drop(const nas_engine_pass *pass, size_t in, nas_real *masks, nas_real *x) {
    const nas_forward *how = &pass->how;
    nas_real keep = (nas_real)(1 / (1 - how->dropout));
    for (uint32_t row = 0; row < pass->n_images; row++, masks += in, x += in) {
        nas_rng rng = nas_rng_open(how->seed, NAS_RNG_DROPOUT, how->step, how->stream << 20 | row);
        for (size_t i = 0; i < in; i++) {
            masks[i] = nas_rng_uniform(&rng) < how->dropout ? 0 : keep;
            x[i] *= masks[i];
        }
    }
}

/* y = x W, + bias where there is one. */
static void forward_linear(const nas_engine_pass *pass, const nas_linear *l,
                           const nas_linear_memory *lm) {
    const nas_real *bias = pass->weights + l->bias;
    multiply(pass, (product){pass->n_images,
                             l->out,
                             l->in,
                             {lm->x, l->in, false},
                             {pass->weights + l->weight, l->out, false},
                             0,
                             lm->y,
                             l->out});
    for (uint32_t row = 0; l->biased && row < pass->n_images; row++)
        for (size_t j = 0; j < l->out; j++) lm->y[row * l->out + j] += bias[j];
}

void nas_head_forward(const nas_engine_plan *plan, const nas_engine_memory *memory,
                      const nas_engine_pass *pass, nas_real *logits) {
    for (int i = 0; i < plan->n_linears; i++) {
        const nas_linear *l = &plan->linears[i];
        const nas_linear_memory *lm = &memory->linears[i];
        bool last = i == plan->n_linears - 1;
        if (last && pass->how.dropout > 0) drop(pass, l->in, memory->dropout_mask, lm->x);
        forward_linear(pass, l, lm);
        nas_affine from = nas_plain(memory, lm->y, l->act);
        pass->kernels->affine(last ? logits : lm[1].x, &from, NULL, pass->n_images, l->out);
    }
}

/* From dy [images][out] (before activation) to the parameters' gradients and dx. */
static void backward_linear(const nas_engine_pass *pass, const nas_linear *l,
                            const nas_linear_memory *lm, const nas_real *dy) {
    for (const nas_cohort *c = pass->cohorts; c < pass->cohorts + pass->n_cohorts; c++)
        multiply(pass, (product){l->in,
                                 l->out,
                                 c->images,
                                 {lm->x + c->first * l->in, l->in, true},
                                 {dy + c->first * l->out, l->out, false},
                                 1,
                                 pass->gradient + l->weight,
                                 l->out});
    nas_real *bias = pass->gradient + l->bias;
    for (uint32_t row = 0; l->biased && row < pass->n_images; row++)
        for (size_t j = 0; j < l->out; j++) bias[j] += dy[row * l->out + j];
    multiply(pass, (product){pass->n_images,
                             l->in,
                             l->out,
                             {dy, l->out, false},
                             {pass->weights + l->weight, l->out, true},
                             0,
                             lm->dx,
                             l->in});
}

typedef struct unpooling {
    const nas_engine_plan *plan;
    const nas_engine_memory *memory;
    const nas_engine_pass *pass;
} unpooling;

static void unpool_chunk(void *context, int chunk, int thread) {
    const unpooling *job = context;
    const nas_engine_memory *memory = job->memory;
    int last = job->plan->n_units - 1;
    const nas_unit *u = &job->plan->units[last];
    size_t rows = (size_t)u->oh * u->ow;
    nas_microbatch micro = nas_microbatch_of_chunk(job->pass, chunk, false, thread);
    double *sums = nas_chunk_sums(memory, chunk);
    memset(sums, 0, 2 * u->oc * sizeof *sums);
    for (uint32_t i = micro.first; i < micro.end; i++) {
        nas_affine from = nas_unit_affine(job->plan, memory, last, &micro, i);
        nas_real *shift = memory->linears[0].dx + i * u->oc, share = (nas_real)1 / (nas_real)rows;
        for (size_t c = 0; c < u->oc; c++) shift[c] *= share;
        /* Every pixel's gradient is the same: 0 times anything finite, plus shift. */
        job->pass->kernels->act_grad(memory->units[last].g + i * u->values, from.y, &from,
                                     memory->zeros, shift, NULL, sums, rows, u->oc);
    }
}

void nas_head_backward(const nas_engine_plan *plan, const nas_engine_memory *memory,
                       const nas_engine_pass *pass, const nas_real *logits_grad) {
    const nas_real *dy = logits_grad;
    for (int i = plan->n_linears - 1; i >= 0; i--) {
        const nas_linear *l = &plan->linears[i];
        const nas_linear_memory *lm = &memory->linears[i];
        backward_linear(pass, l, lm, dy);
        if (i == plan->n_linears - 1 && pass->how.dropout > 0)
            for (size_t j = 0; j < pass->n_images * l->in; j++)
                lm->dx[j] *= memory->dropout_mask[j];
        if (i == 0) break;
        /* Through the activation below, in place. */
        nas_affine from = nas_plain(memory, lm[-1].y, l[-1].act);
        double *unused = memory->sums;
        pass->kernels->act_grad(lm->dx, lm->dx, &from, NULL, NULL, NULL, unused, pass->n_images,
                                l->in);
        dy = lm->dx;
    }
    unpooling job = {plan, memory, pass};
    nas_share_sweep(pass, false, unpool_chunk, &job);
    nas_share_chunks(memory, pass, 2 * (size_t)plan->units[plan->n_units - 1].oc, 0);
}
