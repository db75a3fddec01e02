/* The kernels for a group of `blocks` blocks of LANES neighbouring channels each, from channel `at`
 * on, included by kernels.c once for each width. A group spans several cache lines, so that memory
 * is read in stretches even though a kernel passes over the rows once a group. blocks is a
 * constant. V is a vector of LANES numbers (or one number), M the integer vector of its
 * comparisons, N(name) the name with the width as suffix. No include guard: that is the point. */

#define LOAD(p) ((V) * (const N(loose) *)(const void *)(p))
#define STORE(p, v) (*(N(loose) *)(void *)(p) = (v))

INLINE V N(at_least)(V x, nas_real low) {
    return N(pick)(x > low, x, N(splat)(low));
}

/* exp(x) for x within EXP_MOST of 0: 2^n exp(r), n whole and r within half of log 2 of 0. */
INLINE V N(exponential)(V x) {
    V whole = x * (nas_real)1.44269504088896340736 + WHOLE, n = whole - WHOLE;
    V r = x - n * LOG_2_HIGH - n * LOG_2_LOW, sum = N(splat)(EXP_TERMS[EXP_DEGREE]);
    UNROLL for (size_t i = EXP_DEGREE; i-- > 0;) sum = sum * r + EXP_TERMS[i];
    return sum * N(power)(whole);
}

INLINE V N(sigmoid)(V t) {
    V x = N(pick)(t > -EXP_MOST, t, N(splat)(-EXP_MOST));
    x = N(pick)(x < EXP_MOST, x, N(splat)(EXP_MOST));
    return 1 / (1 + N(exponential)(-x));
}

INLINE V N(activate)(V t, nas_activation act) {
    if (act == NAS_ACT_RELU) return N(at_least)(t, 0);
    if (act == NAS_ACT_NONE) return t;
    if (act == NAS_ACT_SIGMOID) return N(sigmoid)(t);
    if (act == NAS_ACT_SWISH) return t * N(sigmoid)(t);
    if (act == NAS_ACT_RELU6) {
        t = N(at_least)(t, 0);
        return N(pick)(t < 6, t, N(splat)(6));
    }
    V gate = N(at_least)(t + 3, 0);
    gate = N(pick)(gate < 6, gate, N(splat)(6)) * (nas_real)(1.0 / 6);
    return act == NAS_ACT_HSWISH ? t * gate : gate;
}

/* Derivative of the activation at t. At the kinks it is as nas_activation_slope's. */
INLINE V N(slope)(V t, nas_activation act) {
    V zero = N(splat)(0), one = N(splat)(1);
    if (act == NAS_ACT_RELU) return N(pick)(t > 0, one, zero);
    if (act == NAS_ACT_NONE) return one;
    if (act == NAS_ACT_RELU6) return N(pick)(t > 0, N(pick)(t < 6, one, zero), zero);
    if (act == NAS_ACT_SWISH || act == NAS_ACT_SIGMOID) {
        V gate = N(sigmoid)(t);
        return act == NAS_ACT_SWISH ? gate * (1 + t * (1 - gate)) : gate * (1 - gate);
    }
    V inner = act == NAS_ACT_HSWISH ? t * (nas_real)(1.0 / 3) + (nas_real)0.5
                                    : N(splat)((nas_real)(1.0 / 6));
    V outer = act == NAS_ACT_HSWISH ? one : zero;
    return N(pick)(t > -3, N(pick)(t < 3, inner, outer), zero);
}

INLINE void N(add_sums)(double *sums, size_t c, V first, V second) {
    nas_real s[LANES], q[LANES];
    STORE(s, first);
    STORE(q, second);
    for (size_t i = 0; i < LANES; i++) {
        sums[i] += (double)s[i];
        sums[c + i] += (double)q[i];
    }
}

#define EACH_BLOCK for (size_t j = 0, i = at; j < blocks; j++, i += LANES)

INLINE void N(load_all)(V *to, const nas_real *from, size_t at, size_t blocks) {
    EACH_BLOCK to[j] = LOAD(from + i);
}

INLINE void N(clear_all)(V *to, size_t blocks) {
    for (size_t j = 0; j < blocks; j++) to[j] = N(splat)(0);
}

INLINE void N(add_all)(double *sums, size_t c, const V *s, const V *q, size_t at, size_t blocks) {
    EACH_BLOCK N(add_sums)(sums + i, c, s[j], q[j]);
}

INLINE void N(affine)(nas_real *z, const nas_affine *from, nas_activation act,
                      const nas_real *residual, size_t rows, size_t c, size_t at, size_t blocks) {
    V a[GROUP], b[GROUP];
    N(load_all)(a, from->a, at, blocks);
    N(load_all)(b, from->b, at, blocks);
    size_t ahead = AHEAD(c);
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK {
            PREFETCH(from->y + i + ahead);
            V t = N(activate)(LOAD(from->y + i) * a[j] + b[j], act);
            if (residual) t += LOAD(residual + i);
            STORE(z + i, t);
        }
}

INLINE void N(scale)(nas_real *x, const nas_real *scale, size_t rows, size_t c, size_t at,
                     size_t blocks) {
    V s[GROUP];
    N(load_all)(s, scale, at, blocks);
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK STORE(x + i, LOAD(x + i) * s[j]);
}

INLINE void N(moments)(double *sums, const nas_real *y, size_t rows, size_t c, size_t at,
                       size_t blocks) {
    V s[GROUP], q[GROUP];
    N(clear_all)(s, blocks);
    N(clear_all)(q, blocks);
    size_t first = at;
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK {
            V t = LOAD(y + i);
            s[j] += t;
            q[j] += t * t;
        }
    N(add_all)(sums, c, s, q, first, blocks);
}

INLINE void N(column_sums)(nas_real *out, const nas_real *x, size_t rows, size_t c, size_t at,
                           size_t blocks) {
    V s[GROUP];
    N(clear_all)(s, blocks);
    nas_real *to = out + at;
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK s[j] += LOAD(x + i);
    for (size_t j = 0; j < blocks; j++) STORE(to + j * LANES, s[j]);
}

INLINE void N(column_dots)(nas_real *out, const nas_real *d, const nas_affine *from,
                           nas_activation act, size_t rows, size_t c, size_t at, size_t blocks) {
    V a[GROUP], b[GROUP], s[GROUP];
    N(load_all)(a, from->a, at, blocks);
    N(load_all)(b, from->b, at, blocks);
    N(clear_all)(s, blocks);
    nas_real *to = out + at;
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK {
            V t = N(activate)(LOAD(from->y + i) * a[j] + b[j], act);
            s[j] += d ? LOAD(d + i) * t : t;
        }
    for (size_t j = 0; j < blocks; j++) STORE(to + j * LANES, s[j]);
}

INLINE void N(bn_grad)(nas_real *dy, const nas_real *g, const nas_real *y, const nas_real *k,
                       size_t rows, size_t c, size_t at, size_t blocks) {
    V k0[GROUP], k1[GROUP], k2[GROUP];
    N(load_all)(k0, k, at, blocks);
    N(load_all)(k1, k + c, at, blocks);
    N(load_all)(k2, k + 2 * c, at, blocks);
    size_t ahead = AHEAD(c);
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK {
            PREFETCH(g + i + ahead);
            PREFETCH(y + i + ahead);
            STORE(dy + i, k0[j] * LOAD(g + i) + (k1[j] * LOAD(y + i) + k2[j]));
        }
}

INLINE void N(act_grad)(nas_real *g, const nas_real *d, const nas_affine *from, nas_activation act,
                        const nas_real *scale, const nas_real *shift, const nas_real *residual,
                        double *sums, size_t rows, size_t c, size_t at, size_t blocks) {
    V a[GROUP], b[GROUP], s[GROUP], q[GROUP], times[GROUP], plus[GROUP];
    N(load_all)(a, from->a, at, blocks);
    N(load_all)(b, from->b, at, blocks);
    N(clear_all)(s, blocks);
    N(clear_all)(q, blocks);
    N(clear_all)(plus, blocks);
    if (scale) N(load_all)(times, scale, at, blocks);
    if (shift) N(load_all)(plus, shift, at, blocks);
    size_t first = at, ahead = AHEAD(c);
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK {
            __builtin_prefetch(g + i + ahead, 1);
            V y = LOAD(from->y + i), t = LOAD(d + i);
            if (scale) t = t * times[j] + plus[j];
            if (residual) t += LOAD(residual + i);
            t *= N(slope)(y * a[j] + b[j], act);
            STORE(g + i, t);
            s[j] += t;
            q[j] += t * y;
        }
    if (sums) N(add_all)(sums, c, s, q, first, blocks);
}

#include "nn/kernels_depthwise.h"

#undef EACH_BLOCK
#undef LOAD
#undef STORE
