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

INLINE V N(activate)(V t, nas_activation act) {
    if (act == NAS_ACT_RELU) return N(at_least)(t, 0);
    if (act == NAS_ACT_NONE) return t;
    V gate = N(at_least)(t + 3, 0);
    gate = N(pick)(gate < 6, gate, N(splat)(6)) * (nas_real)(1.0 / 6);
    return act == NAS_ACT_HSWISH ? t * gate : gate;
}

/* Derivative of the activation at t. At the kinks it is 0 (relu), and h-swish's inner formula. */
INLINE V N(slope)(V t, nas_activation act) {
    V zero = N(splat)(0), one = N(splat)(1);
    if (act == NAS_ACT_RELU) return N(pick)(t > 0, one, zero);
    if (act == NAS_ACT_NONE) return one;
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
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK {
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
    for (size_t end = at + rows * c; at < end; at += c)
        EACH_BLOCK STORE(dy + i, k0[j] * LOAD(g + i) + (k1[j] * LOAD(y + i) + k2[j]));
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
    size_t first = at;
    for (size_t end = at + rows * c; at < end; at += c) EACH_BLOCK {
            V y = LOAD(from->y + i), t = LOAD(d + i);
            if (scale) t = t * times[j] + plus[j];
            if (residual) t += LOAD(residual + i);
            t *= N(slope)(y * a[j] + b[j], act);
            STORE(g + i, t);
            s[j] += t;
            q[j] += t * y;
        }
    N(add_all)(sums, c, s, q, first, blocks);
}

/* Padded images [blocks][h + 2p][w + 2p][LANES] of x = act(a y + b) + residual; x also goes to z.
 */
INLINE void N(pad_with)(nas_real *padded, const nas_depthwise *s, size_t p, const nas_affine *from,
                        nas_activation act, const nas_real *residual, nas_real *z, size_t at,
                        size_t blocks) {
    size_t width = (s->w + 2 * p) * LANES, plane = (s->h + 2 * p) * width;
    V a[GROUP], b[GROUP];
    N(load_all)(a, from->a, at, blocks);
    N(load_all)(b, from->b, at, blocks);
    memset(padded, 0, blocks * plane * sizeof *padded);
    for (size_t y = 0; y < s->h; y++) {
        nas_real *pixel = padded + (y + p) * width + p * LANES;
        for (size_t x = 0; x < s->w; x++, at += s->c, pixel += LANES) EACH_BLOCK {
                V t = N(activate)(LOAD(from->y + i) * a[j] + b[j], act);
                if (residual) t += LOAD(residual + i);
                if (z) STORE(z + i, t);
                STORE(pixel + j * plane, t);
            }
    }
}

static void N(pad_affine)(nas_real *padded, const nas_depthwise *s, size_t p,
                          const nas_affine *from, const nas_real *residual, nas_real *z, size_t at,
                          size_t blocks) {
    WITH_ACT(from->act, WITH_BLOCKS(N(pad_with)(padded, s, p, from, ACT, residual, z, at, BLOCKS)));
}

/* N outputs side by side: sum over taps of weight times padded input. */
#define CONVOLVE(COUNT)                                                                            \
    do {                                                                                           \
        V sum[COUNT];                                                                              \
        for (size_t j = 0; j < COUNT; j++) sum[j] = N(splat)(0);                                   \
        for (size_t ky = 0; ky < k; ky++)                                                          \
            for (size_t kx = 0; kx < k; kx++) {                                                    \
                V weight = LOAD(taps + (ky * k + kx) * LANES);                                     \
                const nas_real *from = corner + (ky * width + kx) * LANES;                         \
                for (size_t j = 0; j < COUNT; j++)                                                 \
                    sum[j] += weight * LOAD(from + j * stride * LANES);                            \
            }                                                                                      \
        for (size_t j = 0; j < COUNT; j++) {                                                       \
            STORE(out + j * step, sum[j]);                                                         \
            s += sum[j];                                                                           \
            q += sum[j] * sum[j];                                                                  \
        }                                                                                          \
    } while (0)

/* Convolves a padded image with taps [k * k][LANES] into out, whose pixels are `step` apart. */
INLINE void N(convolve)(const nas_real *padded, size_t width, const nas_real *taps, size_t k,
                        size_t stride, size_t oh, size_t ow, nas_real *out, size_t step,
                        double *sums, size_t c) {
    V s = N(splat)(0), q = N(splat)(0);
    for (size_t y = 0; y < oh; y++) {
        size_t x = 0;
        for (; x + 4 <= ow; x += 4, out += 4 * step) {
            const nas_real *corner = padded + (y * width + x) * stride * LANES;
            CONVOLVE(4);
        }
        for (; x < ow; x++, out += step) {
            const nas_real *corner = padded + (y * width + x) * stride * LANES;
            CONVOLVE(1);
        }
    }
    if (sums) N(add_sums)(sums, c, s, q);
}
#undef CONVOLVE

static void N(convolve_any)(const nas_real *padded, size_t width, const nas_real *taps, size_t k,
                            size_t stride, size_t oh, size_t ow, nas_real *out, size_t step,
                            double *sums, size_t c) {
    if (k == 3 && stride == 1)
        N(convolve)(padded, width, taps, 3, 1, oh, ow, out, step, sums, c);
    else if (k == 5 && stride == 1)
        N(convolve)(padded, width, taps, 5, 1, oh, ow, out, step, sums, c);
    else if (k == 3 && stride == 2)
        N(convolve)(padded, width, taps, 3, 2, oh, ow, out, step, sums, c);
    else if (k == 5 && stride == 2)
        N(convolve)(padded, width, taps, 5, 2, oh, ow, out, step, sums, c);
    else
        N(convolve)(padded, width, taps, k, stride, oh, ow, out, step, sums, c);
}

/* The lanes of weight [k * k][c], in order or turned by 180 degrees. */
INLINE void N(take_taps)(nas_real *taps, const nas_real *weight, size_t kk, size_t c, bool turn) {
    for (size_t i = 0; i < kk; i++)
        STORE(taps + (turn ? kk - 1 - i : i) * LANES, LOAD(weight + i * c));
}

static void N(depthwise)(const nas_depthwise *s, const nas_affine *from, const nas_real *residual,
                         nas_real *z, const nas_real *weight, nas_real *out, double *sums,
                         nas_real *scratch, size_t at, size_t blocks) {
    nas_real taps[NAS_MAX_TAPS * LANES];
    size_t p = s->k / 2, width = s->w + 2 * p, plane = (s->h + 2 * p) * width * LANES;
    N(pad_affine)(scratch, s, p, from, residual, z, at, blocks);
    EACH_BLOCK {
        N(take_taps)(taps, weight + i, s->k * s->k, s->c, false);
        N(convolve_any)
        (scratch + j * plane, width, taps, s->k, s->stride, s->oh, s->ow, out + i, s->c,
         sums ? sums + i : NULL, s->c);
    }
}

/* One row of taps of the weight gradient at once, so that dy is read k times, not k^2. */
#define WEIGHT_GRAD(K)                                                                             \
    for (size_t ky = 0; ky < K; ky++) {                                                            \
        V sum[K];                                                                                  \
        for (size_t kx = 0; kx < K; kx++) sum[kx] = N(splat)(0);                                   \
        for (size_t y = 0; y < s->oh; y++) {                                                       \
            const nas_real *row = padded + (y * s->stride + ky) * width * LANES;                   \
            const nas_real *d = dy + y * dy_width * LANES;                                         \
            for (size_t x = 0; x < s->ow; x++, d += LANES, row += s->stride * LANES)               \
                for (size_t kx = 0; kx < K; kx++) sum[kx] += LOAD(d) * LOAD(row + kx * LANES);     \
        }                                                                                          \
        for (size_t kx = 0; kx < K; kx++) {                                                        \
            nas_real *to = grad + (ky * K + kx) * s->c;                                            \
            STORE(to, LOAD(to) + sum[kx]);                                                         \
        }                                                                                          \
    }

static void N(weight_grad)(const nas_depthwise *s, const nas_real *padded, size_t width,
                           const nas_real *dy, size_t dy_width, nas_real *grad) {
    if (s->k == 3) {
        WEIGHT_GRAD(3)
    } else if (s->k == 5) {
        WEIGHT_GRAD(5)
    } else if (s->k == 7) {
        WEIGHT_GRAD(7)
    } else {
        WEIGHT_GRAD(1)
    }
}
#undef WEIGHT_GRAD

/* dx [h + 2p][w + 2p][LANES] by scattering dy, for strides above 1. */
static void N(scatter)(const nas_depthwise *s, const nas_real *dy, size_t dy_width,
                       const nas_real *taps, nas_real *dx, size_t width) {
    memset(dx, 0, (s->h + 2 * (s->k / 2)) * width * LANES * sizeof *dx);
    for (size_t y = 0; y < s->oh; y++)
        for (size_t x = 0; x < s->ow; x++) {
            V d = LOAD(dy + (y * dy_width + x) * LANES);
            nas_real *corner = dx + (y * width + x) * s->stride * LANES;
            for (size_t ky = 0; ky < s->k; ky++)
                for (size_t kx = 0; kx < s->k; kx++) {
                    nas_real *to = corner + (ky * width + kx) * LANES;
                    STORE(to, LOAD(to) + d * LOAD(taps + (ky * s->k + kx) * LANES));
                }
        }
}

/* dy [blocks][oh + 2p][ow + 2p][LANES] of batch norm's backward, zero around. */
INLINE void N(pad_bn_with)(nas_real *dy, const nas_depthwise *s, size_t p, const nas_real *g,
                           const nas_real *y, const nas_real *k, size_t at, size_t blocks) {
    size_t width = (s->ow + 2 * p) * LANES, plane = (s->oh + 2 * p) * width;
    V k0[GROUP], k1[GROUP], k2[GROUP];
    N(load_all)(k0, k, at, blocks);
    N(load_all)(k1, k + s->c, at, blocks);
    N(load_all)(k2, k + 2 * s->c, at, blocks);
    memset(dy, 0, blocks * plane * sizeof *dy);
    for (size_t row = 0; row < s->oh; row++) {
        nas_real *pixel = dy + (row + p) * width + p * LANES;
        for (size_t col = 0; col < s->ow; col++, at += s->c, pixel += LANES)
            EACH_BLOCK STORE(pixel + j * plane,
                             k0[j] * LOAD(g + i) + (k1[j] * LOAD(y + i) + k2[j]));
    }
}

static void N(pad_bn_grad)(nas_real *dy, const nas_depthwise *s, size_t p, const nas_real *g,
                           const nas_real *y, const nas_real *k, size_t at, size_t blocks) {
    WITH_BLOCKS(N(pad_bn_with)(dy, s, p, g, y, k, at, BLOCKS));
}

/* As act_grad, with d in planes [h][width][LANES]. */
INLINE void N(unpad_with)(nas_real *g, const nas_real *d, size_t width, size_t plane,
                          const nas_depthwise *s, const nas_affine *below, nas_activation act,
                          const nas_real *residual, double *sums, size_t at, size_t blocks) {
    V a[GROUP], b[GROUP], sum[GROUP], dot[GROUP];
    N(load_all)(a, below->a, at, blocks);
    N(load_all)(b, below->b, at, blocks);
    N(clear_all)(sum, blocks);
    N(clear_all)(dot, blocks);
    size_t first = at;
    for (size_t row = 0; row < s->h; row++) {
        const nas_real *pixel = d + row * width * LANES;
        for (size_t col = 0; col < s->w; col++, at += s->c, pixel += LANES) EACH_BLOCK {
                V t = LOAD(pixel + j * plane), y = LOAD(below->y + i);
                if (residual) t += LOAD(residual + i);
                t *= N(slope)(y * a[j] + b[j], act);
                STORE(g + i, t);
                sum[j] += t;
                dot[j] += t * y;
            }
    }
    N(add_all)(sums, s->c, sum, dot, first, blocks);
}

static void N(unpad_act_grad)(nas_real *g, const nas_real *d, size_t width, size_t plane,
                              const nas_depthwise *s, const nas_affine *below,
                              const nas_real *residual, double *sums, size_t at, size_t blocks) {
    WITH_ACT(below->act, WITH_BLOCKS(N(unpad_with)(g, d, width, plane, s, below, ACT, residual,
                                                   sums, at, BLOCKS)));
}

static void N(depthwise_grad)(const nas_depthwise *s, const nas_real *g, const nas_real *y,
                              const nas_real *k, const nas_affine *from, const nas_real *weight,
                              nas_real *weight_grad, const nas_affine *below,
                              const nas_real *residual, nas_real *g_in, double *sums,
                              nas_real *scratch, size_t at, size_t blocks) {
    nas_real taps[NAS_MAX_TAPS * LANES];
    size_t p = s->k / 2, width = s->w + 2 * p, dy_width = s->ow + 2 * p;
    size_t plane = (s->h + 2 * p) * width * LANES, dy_plane = (s->oh + 2 * p) * dy_width * LANES;
    nas_real *x = scratch, *dy = x + blocks * plane, *dx = dy + blocks * dy_plane;
    bool gather = s->stride == 1;

    N(pad_bn_grad)(dy, s, p, g, y, k, at, blocks);
    N(pad_affine)(x, s, p, from, NULL, NULL, at, blocks);
    EACH_BLOCK {
        const nas_real *inside = dy + j * dy_plane + (p * dy_width + p) * LANES;
        nas_real *to = dx + j * plane;
        N(weight_grad)(s, x + j * plane, width, inside, dy_width, weight_grad + i);
        N(take_taps)(taps, weight + i, s->k * s->k, s->c, gather);
        if (gather) N(convolve_any)
        (dy + j * dy_plane, dy_width, taps, s->k, 1, s->h, s->w, to, LANES, NULL, 0);
        else N(scatter)(s, inside, dy_width, taps, to, width);
    }
    const nas_real *d = gather ? dx : dx + (p * width + p) * LANES;
    N(unpad_act_grad)
    (g_in, d, gather ? s->w : width, plane, s, below, residual, sums, at, blocks);
}

#undef EACH_BLOCK
#undef LOAD
#undef STORE
