/* Compiled once for each instruction set; NAS_ISA is its name. */
#include "nn/kernels.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Vectors wider than the machine's pass between inlined functions only, never across an ABI. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define NAS_MAX_KERNEL 7
#define MAX_BLOCKS 16 /* of a depthwise convolution's group */
/* Values from a row to one some 8 KiB further on, for prefetching. */
#define AHEAD(c) (2048 / (c) * (c))
#define PREFETCH(p) __builtin_prefetch(p)
#define UNROLL _Pragma("GCC unroll 8")

#define EACH_OF_1(DO) DO(0)
#define EACH_OF_3(DO) DO(0) DO(1) DO(2)
#define EACH_OF_4(DO) EACH_OF_3(DO) DO(3)
#define EACH_OF_5(DO) EACH_OF_4(DO) DO(4)
#define EACH_OF_7(DO) EACH_OF_5(DO) DO(5) DO(6)
#define INLINE static inline __attribute__((always_inline))

#ifdef NAS_DOUBLE
typedef int64_t nas_mask;
typedef uint64_t nas_bits;
#define MANTISSA 52 /* bits of a number's fraction */
#define BIAS 1023   /* of its exponent */
#else
typedef int32_t nas_mask;
typedef uint32_t nas_bits;
#define MANTISSA 23
#define BIAS 127
#endif
/* Added to a whole number n, leaves n + BIAS in the sum's lowest bits. */
#define WHOLE ((nas_real)(3ull << (MANTISSA - 1)) + BIAS)

#define VECTOR(lanes)                                                                              \
    typedef nas_real vector_##lanes __attribute__((vector_size(lanes * sizeof(nas_real))));        \
    typedef nas_mask mask_##lanes __attribute__((vector_size(lanes * sizeof(nas_real))));          \
    typedef nas_bits bits_##lanes __attribute__((vector_size(lanes * sizeof(nas_real))));          \
    typedef nas_real loose_##lanes __attribute__((vector_size(lanes * sizeof(nas_real)),           \
                                                  aligned(sizeof(nas_real)), may_alias));          \
    INLINE vector_##lanes splat_##lanes(nas_real x) {                                              \
        return x - (vector_##lanes){0};                                                            \
    }                                                                                              \
    INLINE vector_##lanes pick_##lanes(mask_##lanes which, vector_##lanes yes,                     \
                                       vector_##lanes no) {                                        \
        return (vector_##lanes)((which & (mask_##lanes)yes) | (~which & (mask_##lanes)no));        \
    }                                                                                              \
    INLINE vector_##lanes power_##lanes(vector_##lanes whole) {                                    \
        return (vector_##lanes)((bits_##lanes)whole << MANTISSA);                                  \
    }
/* WIDE lanes fill one register; GROUP blocks of them, a cache line or more. */
#if defined(__AVX512F__)
#define WIDE 16
#define GROUP 4
#elif defined(__AVX2__)
#define WIDE 8
#define GROUP 2
#else
#define WIDE 4
#define GROUP 4
#endif

/* exp: log 2 in two parts, of which whole multiples of the first are exact; Taylor's series, of
 * which the next term is less than a rounding; and the largest argument whose power is finite. */
#ifdef NAS_DOUBLE
#define LOG_2_HIGH 0x1.62e42feep-1
#define LOG_2_LOW 0x1.a39ef35793c76p-33
#define EXP_DEGREE 13
#define EXP_MOST 700.0
#else
#define LOG_2_HIGH 0x1.62e4p-1f
#define LOG_2_LOW 0x1.7f7d1cp-20f
#define EXP_DEGREE 7
#define EXP_MOST 80.0f
#endif
#define OVER(n) ((nas_real)(1 / n))
static const nas_real EXP_TERMS[] = {1,
                                     1,
                                     OVER(2.0),
                                     OVER(6.0),
                                     OVER(24.0),
                                     OVER(120.0),
                                     OVER(720.0),
                                     OVER(5040.0),
                                     OVER(40320.0),
                                     OVER(362880.0),
                                     OVER(3628800.0),
                                     OVER(39916800.0),
                                     OVER(479001600.0),
                                     OVER(6227020800.0)};

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define N(name) JOIN(name##_, LANES)
#define V JOIN(vector_, LANES)

/* Runs a statement with ACT, BLOCKS as constants, so that the compiler drops what they rule out. */
#define WITH_ACT(act, ...)                                                                         \
    do {                                                                                           \
        if ((act) == NAS_ACT_HSWISH) {                                                             \
            const nas_activation ACT = NAS_ACT_HSWISH;                                             \
            __VA_ARGS__;                                                                           \
        } else if ((act) == NAS_ACT_RELU) {                                                        \
            const nas_activation ACT = NAS_ACT_RELU;                                               \
            __VA_ARGS__;                                                                           \
        } else if ((act) == NAS_ACT_NONE) {                                                        \
            const nas_activation ACT = NAS_ACT_NONE;                                               \
            __VA_ARGS__;                                                                           \
        } else if ((act) == NAS_ACT_RELU6) {                                                       \
            const nas_activation ACT = NAS_ACT_RELU6;                                              \
            __VA_ARGS__;                                                                           \
        } else if ((act) == NAS_ACT_SWISH) {                                                       \
            const nas_activation ACT = NAS_ACT_SWISH;                                              \
            __VA_ARGS__;                                                                           \
        } else if ((act) == NAS_ACT_SIGMOID) {                                                     \
            const nas_activation ACT = NAS_ACT_SIGMOID;                                            \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            const nas_activation ACT = NAS_ACT_HSIGMOID;                                           \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)
#define WITH_BLOCKS(...)                                                                           \
    do {                                                                                           \
        if (blocks == GROUP) {                                                                     \
            const size_t BLOCKS = GROUP;                                                           \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            const size_t BLOCKS = 1;                                                               \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)
#define FOR_LANES_ACT(act, ...) WITH_ACT(act, FOR_LANES(__VA_ARGS__))

/* Rows of a padded image that pass through: the last `rows` of them, each of `size` values. */
typedef struct ring {
    nas_real *data;
    size_t rows, size;
} ring;

INLINE nas_real *ring_row(const ring *r, size_t row) {
    return r->data + row % r->rows * r->size; // NOLINT(*-core.DivideZero): no kernel is 0 wide
}

/* The padded rows that a row of outputs sees, without those that are zero, and the row of taps that
 * each meets. */
typedef struct window {
    const nas_real *row[NAS_MAX_KERNEL];
    size_t tap[NAS_MAX_KERNEL], n;
} window;

/* k rows from `first` on, p rows of zeros being before; every stride-th row behind is filled. */
INLINE window look(const ring *r, size_t first, const nas_depthwise *s, size_t p, size_t stride) {
    window w = {.n = 0};
    for (size_t tap = 0; tap < s->k; tap++) {
        size_t row = first + tap;
        if (row < p || row >= s->h + p || (row - p) % stride != 0) continue;
        w.row[w.n] = ring_row(r, row);
        w.tap[w.n++] = tap;
    }
    return w;
}

#define LANES WIDE
#if WIDE == 16
VECTOR(16)
VECTOR(8)
#elif WIDE == 8
VECTOR(8)
#else
VECTOR(4)
#endif
#include "nn/kernels_lanes.h"
#undef LANES
#if WIDE == 16
#define LANES 8
#include "nn/kernels_lanes.h"
#undef LANES
#endif

typedef nas_real vector_1;
typedef nas_real loose_1 __attribute__((may_alias));
INLINE nas_real splat_1(nas_real x) {
    return x;
}
INLINE nas_real pick_1(bool which, nas_real yes, nas_real no) {
    return which ? yes : no;
}
INLINE nas_real power_1(nas_real whole) {
    nas_bits bits;
    memcpy(&bits, &whole, sizeof bits);
    bits <<= MANTISSA;
    memcpy(&whole, &bits, sizeof whole);
    return whole;
}
#define LANES 1
#include "nn/kernels_lanes.h"
#undef LANES

/* Calls a kernel for every group of channels, widest first. */
#if WIDE == 16
#define FOR_HALVES(kernel, ...)                                                                    \
    for (; at + 8 <= c; at += 8) kernel##_8(__VA_ARGS__, at, 1)
#else
#define FOR_HALVES(kernel, ...)
#endif
#define FOR_LANES(kernel, ...)                                                                     \
    do {                                                                                           \
        size_t at = 0;                                                                             \
        for (; at + GROUP * WIDE <= c; at += GROUP * WIDE)                                         \
            JOIN(kernel##_, WIDE)(__VA_ARGS__, at, GROUP);                                         \
        for (; at + WIDE <= c; at += WIDE) JOIN(kernel##_, WIDE)(__VA_ARGS__, at, 1);              \
        FOR_HALVES(kernel, __VA_ARGS__);                                                           \
        for (; at < c; at++) kernel##_1(__VA_ARGS__, at, 1);                                       \
    } while (0)

/* The same for depthwise convolutions, which profit from wide groups: memory is read in stretches.
 */
#define FOR_PLANES(kernel, ...)                                                                    \
    do {                                                                                           \
        size_t at = 0;                                                                             \
        while (at + WIDE <= c) {                                                                   \
            size_t left = (c - at) / WIDE, blocks = left < MAX_BLOCKS ? left : MAX_BLOCKS;         \
            JOIN(kernel##_, WIDE)(__VA_ARGS__, at, blocks);                                        \
            at += blocks * WIDE;                                                                   \
        }                                                                                          \
        FOR_HALVES(kernel, __VA_ARGS__);                                                           \
        for (; at < c; at++) kernel##_1(__VA_ARGS__, at, 1);                                       \
    } while (0)

#if WIDE == 16 && !defined(NAS_DOUBLE)
#include "nn/kernels_product.h"
#define PRODUCT product
#else
#define PRODUCT NULL
#endif

static void affine(nas_real *z, const nas_affine *from, const nas_real *residual, size_t rows,
                   size_t c) {
    if (residual)
        FOR_LANES_ACT(from->act, affine, z, from, ACT, residual, rows, c);
    else
        FOR_LANES_ACT(from->act, affine, z, from, ACT, NULL, rows, c);
}

static void scale(nas_real *x, const nas_real *factors, size_t rows, size_t c) {
    FOR_LANES(scale, x, factors, rows, c);
}

static void moments(double *sums, const nas_real *y, size_t rows, size_t c) {
    FOR_LANES(moments, sums, y, rows, c);
}

static void column_sums(nas_real *out, const nas_real *x, size_t rows, size_t c) {
    FOR_LANES(column_sums, out, x, rows, c);
}

static void column_dots(nas_real *out, const nas_real *d, const nas_affine *from, size_t rows,
                        size_t c) {
    FOR_LANES_ACT(from->act, column_dots, out, d, from, ACT, rows, c);
}

static void bn_grad(nas_real *dy, const nas_real *g, const nas_real *y, const nas_real *k,
                    size_t rows, size_t c) {
    FOR_LANES(bn_grad, dy, g, y, k, rows, c);
}

static void act_grad(nas_real *g, const nas_real *d, const nas_affine *at_, const nas_real *factors,
                     const nas_real *shift, const nas_real *residual, double *sums, size_t rows,
                     size_t c) {
    if (factors)
        FOR_LANES_ACT(at_->act, act_grad, g, d, at_, ACT, factors, shift, residual, sums, rows, c);
    else if (residual)
        FOR_LANES_ACT(at_->act, act_grad, g, d, at_, ACT, NULL, NULL, residual, sums, rows, c);
    else
        FOR_LANES_ACT(at_->act, act_grad, g, d, at_, ACT, NULL, NULL, NULL, sums, rows, c);
}

static void depthwise(const nas_depthwise *shape, const nas_affine *from, const nas_real *residual,
                      nas_real *z, const nas_real *weight, nas_real *out, double *sums,
                      nas_real *scratch) {
    size_t c = shape->c;
    FOR_PLANES(depthwise, shape, from, residual, z, weight, out, sums, scratch);
}

static void depthwise_grad(const nas_depthwise *shape, const nas_real *g, const nas_real *y,
                           const nas_real *k, const nas_affine *from, const nas_real *weight,
                           nas_real *weight_grad, const nas_affine *below, const nas_real *residual,
                           nas_real *g_in, double *sums, nas_real *scratch) {
    size_t c = shape->c;
    FOR_PLANES(depthwise_grad, shape, g, y, k, from, weight, weight_grad, below, residual, g_in,
               sums, scratch);
}

#define STRING(x) #x
#define TEXT(x) STRING(x)
#define TABLE(isa) JOIN(nas_kernels_, isa)

extern const nas_kernels TABLE(NAS_ISA);
const nas_kernels TABLE(NAS_ISA) = {
    .isa = TEXT(NAS_ISA),
    .affine = affine,
    .scale = scale,
    .moments = moments,
    .column_sums = column_sums,
    .column_dots = column_dots,
    .bn_grad = bn_grad,
    .act_grad = act_grad,
    .depthwise = depthwise,
    .depthwise_grad = depthwise_grad,
    .product = PRODUCT,
};
