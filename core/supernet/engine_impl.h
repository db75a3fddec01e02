/* The engine's inside, shared by its own files only.
 *
 * A subnet is a list of units (convolution + batch norm + activation). A unit stores y, its
 * convolution's output before batch norm; who reads it applies batch norm and activation on the
 * fly. Outputs of the stem and of blocks, which residuals need too, are stored as nodes by their
 * first reader. One parallel sweep over the images runs one unit; between sweeps batch norm's sums
 * are added up. Backward does the same in reverse: a sweep turns g, the gradient with respect to
 * batch norm's output, into the unit's weight gradient and into g of the unit below.
 *
 * The trunk's units come first, and so does their memory, which selecting another subnet leaves as
 * it is.
 *
 * Of an expanding 1x1 convolution, the widest of all, g is never stored, and y only where it is
 * dear to compute again: expand.c. */
#ifndef NAS_SUPERNET_ENGINE_IMPL_H
#define NAS_SUPERNET_ENGINE_IMPL_H

#include "base/threads.h"
#include "nn/product.h"
#include "supernet/profile.h"

#define MAX_UNITS (2 + NAS_MAX_STAGES * NAS_MAX_DEPTH * 3)
#define MAX_NODES (1 + NAS_MAX_STAGES * NAS_MAX_DEPTH)
#define MAX_LINEAR (NAS_MAX_HIDDEN + 1)
#define HEAD_BLOCKS 4 /* fixed cuts of the linear layers, as chunks are of images */
/* Each chunk of a batch has sums and weight gradients of its own, which cost as much for one image
 * as for many. */
#define CHUNK_IMAGES 4

typedef enum unit_kind { UNIT_STEM, UNIT_POINTWISE, UNIT_DEPTHWISE } unit_kind;

/* A slice of a parameter matrix [rows][columns] within the flat array. */
typedef struct slice {
    size_t offset, ld, rows, columns;
} slice;

/* Squeeze-excite between a depthwise unit and its projection. */
typedef struct squeeze {
    size_t c, r;                       /* inner and reduced width; 0: none */
    slice reduce, excite;              /* [c][r], [r][c] */
    size_t reduce_bias, excite_bias;   /* offsets */
    nas_real *pool, *hidden, *gate;    /* [images][c], [images][r] after relu, [images][c] before
                                          h-sigmoid */
    nas_real *hidden_grad, *gate_grad; /* TRAIN: of the two layers' outputs, before activation */
} squeeze;

typedef struct unit {
    unit_kind kind;
    nas_activation act;
    uint32_t h, w, c, oh, ow, oc, k, stride;
    int source;         /* the unit whose y it reads; -1: the images */
    int node;           /* the node that holds its input, stored by this unit; -1: none */
    int residual;       /* node added to this unit's input when it is stored as a node; -1: none */
    squeeze se;         /* on the input; c = 0: none */
    slice weight;       /* stem [k * k * c][oc], pointwise [c][oc], depthwise [k * k][c] */
    uint32_t full_k;    /* depthwise: kernel size in the flat array */
    size_t gamma, beta; /* offsets */
    size_t bn;          /* of its channels in the engine's per-channel arrays */
    size_t values;      /* oh * ow * oc */
    nas_real *y;        /* [images][values] */
    nas_real *g;        /* backward: gradient of batch norm's output, same shape */
    nas_real *packed;   /* its weights: depthwise [k * k][c], others as nas_product_pack() does */
    bool expands;       /* expand.c's: no g, and no y either where that is cheap to compute */
    nas_real *in_mean;  /* then, of each cohort: its inputs' mean [cohorts][c], */
    nas_real *spread;   /* their covariance times the weights [cohorts][c][oc]; FORWARD: shared */
} unit;

typedef struct linear {
    size_t in, out, weight, bias;
    nas_real *x, *y; /* [images][in] input, [images][out] output before activation */
    nas_real *dx;
} linear;

/* Images that batch norm normalises together, and what is theirs. */
typedef struct cohort {
    uint32_t first, images;
    int chunk, chunks;            /* the first of its chunks, and how many */
    nas_real *mean, *var, *a, *b; /* [channels] */
    nas_real *bn_k;               /* [4][widest]: of bn_grad(), then the mean of g */
    nas_real *turned; /* [turned_size] weights, transposed and packed: of an expansion its own, of
                         other units cohort 0's for all */
    nas_real *square; /* [square_size] of an expanding unit: [c][c] twice, then [c] */
} cohort;

/* Where a chunk begins. */
typedef struct chunk_start {
    uint32_t first; /* image */
    int cohort;
} chunk_start;

/* Images first .. end - 1, handled by one chunk. Their place in a buffer is base * room + (image -
 * origin) * values: with base = origin = 0 all images of a batch stand in order; inference lets
 * each chunk use the place of its first image again and again, so that data stays in cache. */
typedef struct group {
    uint32_t first, end, base, origin;
    int chunk, cohort, thread;
    uint32_t after, after_end; /* images that the thread probably turns to next; none: 0, 0 */
} group;

typedef struct span {
    uint32_t first, count;
} span;

/* Work memory of a tile of a unit. */
typedef struct tile {
    nas_real *x, *dx, *dy;      /* [count][in], [count][in], [count][out] */
    nas_real *ring;             /* depthwise: its kernels' scratch; of the others only x */
    nas_real *gate, *pool_grad; /* squeeze-excite: [count][c] */
} tile;

struct nas_engine {
    const nas_supernet *supernet;
    const nas_kernels *kernels;
    nas_engine_mode mode;
    uint32_t max_images, height, width;
    nas_pool *pool; /* the lender's if there is one */
    int threads;

    nas_arch arch;
    int n_units, n_nodes, n_linear;
    int trunk; /* units at the start that all subnets share */
    unit units[MAX_UNITS];
    struct {
        nas_real *z; /* [images][values] */
        size_t values;
        int unit; /* that makes it */
    } nodes[MAX_NODES];
    linear linears[MAX_LINEAR];

    /* Memory: one block, cut up by select(). */
    nas_real *arena;
    const nas_engine
        *lender; /* whose threads it uses, and arena if that is large enough; or NULL */
    size_t arena_size, arena_used;
    size_t y_room, z_room, spread_room; /* mode FORWARD: largest of a unit, a node, a spread */
    size_t channels;                    /* of the largest subnet */
    size_t widest, turned_size, square_size;
    cohort *cohorts;         /* [max_cohorts], */
    nas_real *cohort_memory; /* and what they point to */
    uint32_t max_cohorts;
    nas_real *ones, *zeros; /* [widest channel count] */
    double *sums;           /* [max_chunks][2 * widest] */
    nas_real *partial;      /* [max_chunks][partial_size] weight gradients */
    size_t partial_size;
    nas_real *scratch; /* [threads][scratch_size] */
    size_t scratch_size;
    nas_real *dropout_mask; /* [images][last linear's in] */
    nas_real *trunk_grad;   /* TRAIN: g of the trunk's last unit, summed over the subnets, */
    double *trunk_sums;     /* and its sums, as in `sums` */

    /* The call under way. */
    const nas_real *weights;
    const nas_input *inputs;
    uint32_t n_inputs, n_images;
    int n_cohorts, chunks, max_chunks;
    chunk_start *cuts;         /* [chunks + 1] by the number of images alone; no chunk is empty */
    const nas_bn_stats *fixed; /* batch norm's statistics, or NULL */
    bool dropped;              /* dropout was applied */
    bool follows, followed;    /* as in nas_forward */
    nas_real *gradient;
    nas_profile *profile; /* NULL: none */
};

#define NAS_LINE (64 / sizeof(nas_real)) /* values of a cache line */

/* count, rounded up to whole cache lines. */
static inline size_t nas_engine_lines(size_t count) {
    return (count + NAS_LINE - 1) / NAS_LINE * NAS_LINE;
}

/* engine_plan.c: units and buffers of the selected subnet. */
size_t nas_engine_lay_out(nas_engine *e, const nas_arch *arch, uint32_t images);

/* Images of a tile of unit u whose work memory fits in cache; that memory in nas_real; its parts.
 */
uint32_t nas_engine_tile(const unit *u);
size_t nas_engine_tile_memory(const unit *u);
tile nas_engine_cut_tile(const nas_engine *e, const unit *u, int thread);

static inline nas_real *nas_engine_y(const nas_engine *e, int index, const group *at,
                                     uint32_t image) {
    const unit *u = &e->units[index];
    size_t room = e->mode == NAS_ENGINE_TRAIN ? u->values : e->y_room;
    return u->y + at->base * room + (image - at->origin) * u->values;
}

static inline nas_real *nas_engine_z(const nas_engine *e, int node, const group *at,
                                     uint32_t image) {
    size_t values = e->nodes[node].values;
    size_t room = e->mode == NAS_ENGINE_TRAIN ? values : e->z_room;
    return e->nodes[node].z + at->base * room + (image - at->origin) * values;
}

/* Batch norm and activation of unit `source`, seen from images [first...] of a group. */
nas_affine nas_engine_affine(const nas_engine *e, int source, const group *at, uint32_t image);

/* A chunk's sums. */
static inline double *nas_engine_sums(const nas_engine *e, int chunk) {
    return e->sums + (size_t)chunk * 2 * e->widest;
}

/* Adds the first n sums of a cohort's chunks to those of its first chunk, which it returns. */
double *nas_engine_add_sums(nas_engine *e, const cohort *c, size_t n);

/* All images of a chunk, in a sweep over the chunks in either direction. */
static inline group nas_engine_group(const nas_engine *e, int chunk, bool reverse, int thread) {
    int next = reverse ? chunk - 1 : chunk + 1;
    group at = {.first = e->cuts[chunk].first,
                .end = e->cuts[chunk + 1].first,
                .chunk = chunk,
                .cohort = e->cuts[chunk].cohort,
                .thread = thread};
    if (next < 0 || next >= e->chunks) return at;
    at.after = e->cuts[next].first;
    at.after_end = e->cuts[next + 1].first;
    return at;
}

/* The tile of at most `most` images that comes after those before `done`. */
static inline span nas_engine_next(const group *at, uint32_t done, uint32_t most) {
    span next = {done, at->end - done};
    if (done == at->end) next = (span){at->after, at->after_end - at->after};
    if (next.count > most) next.count = most;
    return next;
}

/* Some images of an array [images][values] are needed soon. */
static inline void nas_engine_soon(nas_ahead *ahead, const nas_real *array, size_t values,
                                   span images) {
    nas_ahead_add(ahead, array + images.first * values, images.count * values);
}

/* x [rows][k] times b [k][n], packed, to y or onto it. [worker] */
static inline void nas_engine_multiply(const nas_engine *e, const nas_real *x, size_t k,
                                       const nas_real *b, size_t rows, size_t n, bool add,
                                       nas_real *y, nas_ahead *ahead) {
    nas_product p = {rows, n, k, x, k, 1, b, 0, y, n, add, ahead};
    nas_multiply(e->kernels, &p);
}

/* x' d to sum [k][n] or onto it, for x [rows][k] and d [rows][n]. [worker] */
static inline void nas_engine_multiply_turned(const nas_engine *e, const nas_real *x, size_t k,
                                              const nas_real *d, size_t rows, size_t n, bool add,
                                              nas_real *sum, nas_ahead *ahead) {
    nas_product p = {k, n, rows, x, 1, k, d, n, sum, n, add, ahead};
    nas_multiply(e->kernels, &p);
}

/* The unit's input rows of `count` images for a product: a node's memory where there is one, else
 * computed into t->x, with t->gate. `store` (in forward) also fills nodes and squeeze-excite's
 * values, which backward reads again. */
const nas_real *nas_engine_input(nas_engine *e, const unit *u, const group *at, uint32_t image,
                                 uint32_t count, bool store, const tile *t);

/* expand.c, forward. A chunk's second moments of the input to partial or onto it, and sums as in
 * moments(); then a cohort's mean and variance of the output, in_mean and spread. */
void nas_expand_moments(nas_engine *e, const unit *u, const nas_real *x, size_t rows, bool add,
                        nas_real *partial, double *sums, nas_ahead *ahead);
void nas_expand_finish(nas_engine *e, const unit *u, int cohort);

/* y of `count` images from `image` on: in the unit's own memory where it has some, and then `again`
 * finds it there, else in the memory given. */
const nas_real *nas_expand_rows(nas_engine *e, const unit *u, const group *at, uint32_t image,
                                uint32_t count, bool again, nas_real *memory, nas_ahead *ahead);

/* Backward, from g of a tile: x' g to partial [c][oc] or, unless it is the group's first tile, onto
 * it, and the part of dx that needs no sum over the batch. turned holds (W diag(a))'. */
void nas_expand_grad(nas_engine *e, const unit *u, const group *at, uint32_t image, uint32_t count,
                     const nas_real *g, nas_real *partial, nas_real *dx, nas_ahead *ahead);

/* With a cohort's bn_k: adds a row of the weights' gradient, for sum = that row of x' g; and
 * computes the rest of dx, x times what is packed in square plus the constant [c] at its end. */
void nas_expand_weight_row(nas_engine *e, const unit *u, int cohort, size_t row,
                           const nas_real *sum);
void nas_expand_finish_grad(nas_engine *e, const unit *u, int cohort);

/* squeeze.c: for `count` images from `image` on. Forward takes s->pool and leaves s->hidden,
 * s->gate (before h-sigmoid) and gate [count][c]. Backward takes the gates' gradient in
 * s->gate_grad and leaves pool_grad [count][c]; it wants the weights transposed and packed, 2 * c *
 * r values, which turn() makes. When all images are done, add() adds a share, one of NAS_CHUNKS, of
 * the four parameter gradients. */
void nas_squeeze_forward(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                         nas_real *gate);
void nas_squeeze_gates(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                       nas_real *gate);
void nas_squeeze_turn(const nas_engine *e, const squeeze *s, nas_real *turned);
void nas_squeeze_backward(nas_engine *e, const squeeze *s, uint32_t image, uint32_t count,
                          const nas_real *turned, nas_real *pool_grad);
void nas_squeeze_add(nas_engine *e, const squeeze *s, int share);

/* head.c */
void nas_head_pool(nas_engine *e, const group *at);
void nas_head_forward(nas_engine *e, const nas_forward *how, nas_real *logits);
void nas_head_backward(nas_engine *e, const nas_real *logits_grad);

/* engine_profile.c: what was done since `start`, if there is a profile. */
double nas_profile_start(const nas_engine *e);
void nas_profile_unit(nas_engine *e, int index, bool backward, double start);
void nas_profile_head(nas_engine *e, bool backward, double start);

#endif
