/* Where a subnet's values lie. One block, the arena, is cut up anew for every plan; the trunk's
 * units come first, and so does their memory, which another plan leaves as it is. What the pointers
 * point to is written by a pass; where they point, by create() and lay_out() alone (and by backward
 * for g of the trunk's last unit). */
#ifndef NAS_SUPERNET_ENGINE_MEMORY_H
#define NAS_SUPERNET_ENGINE_MEMORY_H

#include "supernet/batch.h"
#include "supernet/engine_plan.h"

/* Values of each image of a batch. Image i of a micro-batch is at (base * room + (i - origin) *
 * size), see nas_microbatch. */
typedef struct nas_image_values {
    nas_real *values;
    size_t size, room; /* of one image; between images at different bases */
} nas_image_values;

/* Of squeeze-excite. */
typedef struct nas_squeeze_memory {
    nas_real *pool, *hidden, *gate;    /* [images][c], [images][r], [images][c] before activation */
    nas_real *before;                  /* hidden before activation; FORWARD: hidden itself */
    nas_real *hidden_grad, *gate_grad; /* TRAIN: of the two layers' outputs, before activation */
} nas_squeeze_memory;

typedef struct nas_unit_memory {
    nas_image_values y;    /* [values] of each image; not of what expands */
    nas_real *g;           /* backward [images][values]: gradient of batch norm's output */
    nas_real *chain;       /* [chain_room] */
    nas_real *packed;      /* weights: depthwise [k * k][c], others as nas_product_pack() does */
    nas_real *in_mean;     /* of an expansion, for each cohort: its inputs' mean [cohorts][c], */
    nas_real *cov_weights; /* their covariance times the weights [cohorts][c][oc]; FORWARD: shared
                            */
    nas_squeeze_memory squeeze;
} nas_unit_memory;

typedef struct nas_linear_memory {
    nas_real *x, *y; /* [images][in] input, [images][out] output before activation */
    nas_real *dx;    /* TRAIN */
} nas_linear_memory;

typedef struct nas_cohort_memory {
    nas_real *mean, *var, *a, *b; /* [channels] */
    nas_real *grad_terms;         /* [4][widest]: k of bn_grad(), then the mean of g */
    nas_real *transposed; /* weights, transposed and packed: of an expansion its own, of other units
                             cohort 0's for all */
    nas_real *square;     /* of an expanding unit: [c][c] twice, then [c] */
} nas_cohort_memory;

/* The most that any subnet needs, in values. */
typedef struct nas_memory_sizes {
    size_t channels, widest; /* of all batch norms; of one layer */
    size_t partial, transposed, square, scratch;
    size_t y, node, cov_weights; /* the largest one's, of an image */
    size_t at_once;              /* of an image: of units so done, input and output */
} nas_memory_sizes;

/* For whom memory is. */
typedef struct nas_memory_limits {
    bool train; /* all that backward needs is kept */
    uint32_t max_images, max_cohorts;
    int threads;
} nas_memory_limits;

typedef struct nas_engine_memory {
    nas_memory_limits limits;
    nas_memory_sizes sizes;
    int max_chunks;
    nas_real *arena;
    size_t arena_size; /* 0: lent by another engine */
    size_t arena_used;
    nas_unit_memory units[NAS_MAX_UNITS];
    nas_image_values nodes[NAS_MAX_NODES];
    nas_linear_memory linears[NAS_MAX_LINEARS];
    nas_cohort_memory cohorts[NAS_MAX_COHORTS];
    nas_real *cohort_block; /* what they point to */
    nas_real *ones, *zeros; /* [widest] */
    double *sums;           /* [max_chunks][2 * widest] */
    nas_real *partial;      /* [max_chunks][sizes.partial] weight gradients */
    nas_real *scratch;      /* [threads][sizes.scratch] */
    nas_real *dropout_mask; /* [images][last linear's in] */
    nas_real *at_once;    /* TRAIN: [images][oh * ow][oc] of dy, then x alike where it is no node */
    nas_real *trunk_grad; /* TRAIN: g of the trunk's last unit, summed over the subnets, */
    double *trunk_sums;   /* and its sums, as in `sums` */
} nas_engine_memory;

/* Allocates for every subnet, given the largest one's plan, and lays that out. The arena is the
 * lender's (NULL: none) if that is large enough. On failure all is freed; needed: MiB of the arena.
 * [main] */
int nas_engine_memory_create(const nas_memory_limits *limits, const nas_engine_plan *largest,
                             const nas_engine_memory *lender, nas_engine_memory *memory,
                             nas_error *err);
void nas_engine_memory_free(nas_engine_memory *memory);

/* Cuts the arena up for a subnet. [main] */
void nas_engine_memory_lay_out(nas_engine_memory *memory, const nas_engine_plan *plan);

/* Bytes that it holds, without the structure itself. */
size_t nas_engine_memory_bytes(const nas_engine_memory *memory);

/* A chunk's sums, and its partial weight gradients. */
static inline double *nas_chunk_sums(const nas_engine_memory *memory, int chunk) {
    return memory->sums + (size_t)chunk * 2 * memory->sizes.widest;
}

static inline nas_real *nas_chunk_partial(const nas_engine_memory *memory, int chunk) {
    return memory->partial + (size_t)chunk * memory->sizes.partial;
}

#endif
