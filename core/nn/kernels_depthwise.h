/* Depthwise convolutions for a group of channels, included by kernels_lanes.h for each width. Rows
 * of an image pass through a ring of k padded rows [blocks][w + k - 1][LANES], so that what the k x
 * k taps read again and again stays in the first caches. No include guard: that is the point. */

/* Row of x = act(a y + b) + residual with `pad` zeros before it and k - 1 - pad behind; x also goes
 * to z. */
INLINE void N(pad_with)(nas_real *padded, const nas_depthwise *s, const nas_affine *from,
                        nas_activation act, const nas_real *residual, nas_real *z, size_t blocks) {
    size_t p = s->pad, plane = (s->w + s->k - 1) * LANES, at = 0;
    for (size_t x = 0; x + 1 < s->k; x++)
        EACH_BLOCK STORE(padded + j * plane + (x < p ? x : s->w + x) * LANES, N(splat)(0));
    padded += p * LANES;
    const nas_real *y = from->y;
    for (size_t x = 0; x < s->w; x++, y += s->c, at += s->c, padded += LANES) EACH_BLOCK {
            PREFETCH(y + s->w * s->c + j * LANES);
            V t = LOAD(y + j * LANES) * LOAD(from->a + j * LANES) + LOAD(from->b + j * LANES);
            t = N(activate)(t, act);
            if (residual) t += LOAD(residual + i);
            if (z) STORE(z + i, t);
            STORE(padded + j * plane, t);
        }
}

static void N(pad_row)(nas_real *padded, const nas_depthwise *s, size_t row, const nas_affine *from,
                       const nas_real *residual, nas_real *z, size_t at, size_t blocks) {
    size_t skip = row * s->w * s->c + at;
    nas_affine there = {from->y + skip, from->a + at, from->b + at, from->act};
    if (residual) residual += skip;
    if (z) z += skip;
    WITH_ACT(from->act, N(pad_with)(padded, s, &there, ACT, residual, z, blocks));
}

/* Row of dy = bn_grad(g, y, k), its pixels `stride` apart and zeros between and around, as many
 * before as x has behind. */
static void N(spread_row)(nas_real *padded, const nas_depthwise *s, size_t row, const nas_real *g,
                          const nas_real *y, const nas_real *k, size_t at, size_t blocks) {
    size_t p = s->k - 1 - s->pad, width = s->w + s->k - 1, plane = width * LANES;
    for (size_t x = 0; x < width; x++)
        if (s->stride > 1 || x < p || x >= s->w + p)
            EACH_BLOCK STORE(padded + j * plane + x * LANES, N(splat)(0));
    padded += p * LANES;
    k += at;
    g += row * s->ow * s->c + at;
    y += row * s->ow * s->c + at;
    at = 0;
    for (size_t x = 0; x < s->ow; x++, g += s->c, y += s->c, padded += s->stride * LANES)
        EACH_BLOCK {
            PREFETCH(g + s->ow * s->c + i);
            PREFETCH(y + s->ow * s->c + i);
            STORE(padded + j * plane,
                  LOAD(k + i) * LOAD(g + i) +
                      (LOAD(k + s->c + i) * LOAD(y + i) + LOAD(k + 2 * s->c + i)));
        }
}

/* Outputs side by side while there are enough: sums over taps of weight times padded input. One
 * variable each, since compilers leave an array in memory. */
#define CLEAR(j) V sum##j = N(splat)(0);
#define TAP(j) sum##j += weight * LOAD(from + (j * stride + kx) * LANES);
#define FINISH(j)                                                                                  \
    STORE(out + (x + j) * step, sum##j);                                                           \
    total += sum##j;                                                                               \
    squares += sum##j * sum##j;
#define CONVOLVE(COUNT, EACH)                                                                      \
    for (; x + COUNT <= width; x += COUNT) {                                                       \
        EACH(CLEAR)                                                                                \
        for (size_t row = 0; row < in->n; row++) {                                                 \
            const nas_real *from = in->row[row] + shift + x * stride * LANES;                      \
            const nas_real *tap = taps + in->tap[row] * k * LANES;                                 \
            UNROLL for (size_t kx = 0; kx < k; kx++) {                                             \
                V weight = LOAD(tap + kx * LANES);                                                 \
                EACH(TAP)                                                                          \
            }                                                                                      \
        }                                                                                          \
        EACH(FINISH)                                                                               \
    }

/* A row of `width` outputs, `step` apart, from a window of padded rows; its sums as in moments().
 */
INLINE void N(convolve)(const window *in, size_t shift, const nas_real *taps, size_t k,
                        size_t stride, nas_real *out, size_t step, size_t width, V *s, V *q) {
    V total = *s, squares = *q;
    size_t x = 0;
    CONVOLVE(7, EACH_OF_7)
    CONVOLVE(4, EACH_OF_4)
    CONVOLVE(1, EACH_OF_1)
    *s = total;
    *q = squares;
}
#undef CLEAR
#undef TAP
#undef FINISH
#undef CONVOLVE

static void N(convolve_row)(const window *in, size_t shift, const nas_real *taps, size_t k,
                            size_t stride, nas_real *out, size_t step, size_t width, V *s, V *q) {
    if (k == 3 && stride == 1)
        N(convolve)(in, shift, taps, 3, 1, out, step, width, s, q);
    else if (k == 5 && stride == 1)
        N(convolve)(in, shift, taps, 5, 1, out, step, width, s, q);
    else if (k == 3 && stride == 2)
        N(convolve)(in, shift, taps, 3, 2, out, step, width, s, q);
    else if (k == 5 && stride == 2)
        N(convolve)(in, shift, taps, 5, 2, out, step, width, s, q);
    else
        N(convolve)(in, shift, taps, k, stride, out, step, width, s, q);
}

/* The lanes of weight [k * k][c], in order or turned by 180 degrees. */
INLINE void N(take_taps)(nas_real *taps, const nas_real *weight, size_t kk, size_t c, bool turn) {
    for (size_t i = 0; i < kk; i++)
        STORE(taps + (turn ? kk - 1 - i : i) * LANES, LOAD(weight + i * c));
}

static void N(depthwise)(const nas_depthwise *s, const nas_affine *from, const nas_real *residual,
                         nas_real *z, const nas_real *weight, nas_real *out, double *sums,
                         nas_real *scratch, size_t at, size_t blocks) {
    size_t k = s->k, p = s->pad, plane = (s->w + k - 1) * LANES, next = p;
    ring x = {scratch, k, blocks * plane};
    nas_real *taps = scratch + k * x.size;
    V total[MAX_BLOCKS], squares[MAX_BLOCKS];
    N(clear_all)(total, blocks);
    N(clear_all)(squares, blocks);
    EACH_BLOCK N(take_taps)(taps + j * k * k * LANES, weight + i, k * k, s->c, false);
    for (size_t y = 0; y < s->oh; y++, out += s->ow * s->c) {
        for (; next < y * s->stride + k && next < s->h + p; next++)
            N(pad_row)(ring_row(&x, next), s, next - p, from, residual, z, at, blocks);
        window in = look(&x, y * s->stride, s, p, 1);
        EACH_BLOCK N(convolve_row)(&in, j * plane, taps + j * k * k * LANES, k, s->stride, out + i,
                                   s->c, s->ow, total + j, squares + j);
    }
    for (; next < s->h + p; next++) /* rows that no output sees are wanted in z all the same */
        N(pad_row)(ring_row(&x, next), s, next - p, from, residual, z, at, blocks);
    if (sums) N(add_all)(sums, s->c, total, squares, at, blocks);
}

/* What one row of dy adds to the gradients of K neighbouring taps. */
#define TAKE(kx) V sum##kx = LOAD(to + kx * LANES);
#define DOT(kx) sum##kx += value * LOAD(from + kx * LANES);
#define GIVE(kx) STORE(to + kx * LANES, sum##kx);
#define WEIGH(K, EACH)                                                                             \
    do {                                                                                           \
        EACH(TAKE)                                                                                 \
        UNROLL for (size_t x = 0; x < s->ow; x++) {                                                \
            V value = LOAD(dy + x * stride * LANES);                                               \
            const nas_real *from = row + x * stride * LANES;                                       \
            EACH(DOT)                                                                              \
        }                                                                                          \
        EACH(GIVE)                                                                                 \
    } while (0)

INLINE void N(weigh)(const window *in, size_t shift, const nas_real *dy, const nas_depthwise *s,
                     size_t stride, nas_real *grad) {
    for (size_t i = 0; i < in->n; i++) {
        nas_real *to = grad + in->tap[i] * s->k * LANES;
        const nas_real *row = in->row[i] + shift;
        if (s->k == 3)
            WEIGH(3, EACH_OF_3);
        else if (s->k == 5)
            WEIGH(5, EACH_OF_5);
        else if (s->k == 7)
            WEIGH(7, EACH_OF_7);
        else
            WEIGH(1, EACH_OF_1);
    }
}
#undef TAKE
#undef DOT
#undef GIVE
#undef WEIGH

static void N(weight_row)(const window *in, size_t shift, const nas_real *dy,
                          const nas_depthwise *s, nas_real *grad) {
    if (s->stride == 1)
        N(weigh)(in, shift, dy, s, 1, grad);
    else
        N(weigh)(in, shift, dy, s, s->stride, grad);
}

/* As act_grad, with a row of d in planes [w][LANES]. */
INLINE void N(emit_with)(nas_real *g, const nas_real *d, const nas_depthwise *s,
                         const nas_affine *below, nas_activation act, const nas_real *residual,
                         V *sum, V *dot, size_t blocks) {
    size_t at = 0;
    EACH_BLOCK {
        V a = LOAD(below->a + i), b = LOAD(below->b + i), first = sum[j], second = dot[j];
        for (size_t x = 0, n = i; x < s->w; x++, n += s->c, d += LANES) {
            V t = LOAD(d), y = LOAD(below->y + n);
            if (residual) t += LOAD(residual + n);
            t *= N(slope)(y * a + b, act);
            STORE(g + n, t);
            first += t;
            second += t * y;
        }
        sum[j] = first;
        dot[j] = second;
    }
}

static void N(emit_row)(nas_real *g, const nas_real *d, const nas_depthwise *s, size_t row,
                        const nas_affine *below, const nas_real *residual, V *sum, V *dot,
                        size_t at, size_t blocks) {
    size_t skip = row * s->w * s->c + at;
    nas_affine there = {below->y + skip, below->a + at, below->b + at, below->act};
    if (residual) residual += skip;
    WITH_ACT(below->act, N(emit_with)(g + skip, d, s, &there, ACT, residual, sum, dot, blocks));
}

/* dx is a convolution of dy, spread by the stride, with the kernel turned round; rows of dy that
 * are all zero are left out. */
static void N(depthwise_grad)(const nas_depthwise *s, const nas_real *g, const nas_real *y,
                              const nas_real *k, const nas_affine *from, const nas_real *weight,
                              nas_real *weight_grad, const nas_affine *below,
                              const nas_real *residual, nas_real *g_in, double *sums,
                              nas_real *scratch, size_t at, size_t blocks) {
    size_t p = s->pad, q = s->k - 1 - p, plane = (s->w + s->k - 1) * LANES;
    size_t kk = s->k * s->k * LANES, next = p, spread = q;
    ring x = {scratch, s->k, blocks * plane}, dy = {x.data + s->k * x.size, s->k, x.size};
    nas_real *dx = dy.data + s->k * x.size, *taps = dx + x.size, *grad = taps + blocks * kk;
    V sum[MAX_BLOCKS], dot[MAX_BLOCKS], unused[2] = {N(splat)(0), N(splat)(0)};
    N(clear_all)(sum, blocks);
    N(clear_all)(dot, blocks);
    EACH_BLOCK N(take_taps)(taps + j * kk, weight + i, s->k * s->k, s->c, true);
    memset(grad, 0, blocks * kk * sizeof *grad);
    for (size_t row = 0; row < s->h; row++) {
        for (; next < row + s->k && next < s->h + p; next++)
            N(pad_row)(ring_row(&x, next), s, next - p, from, NULL, NULL, at, blocks);
        for (; spread < row + s->k && spread < s->h + q; spread++)
            if ((spread - q) % s->stride == 0) N(spread_row)
        (ring_row(&dy, spread), s, (spread - q) / s->stride, g, y, k, at, blocks);
        window above = look(&dy, row, s, q, s->stride), in = look(&x, row, s, p, 1);
        const nas_real *d = ring_row(&dy, row + q) + q * LANES;
        for (size_t j = 0; j < blocks; j++) {
            if (row % s->stride == 0)
                N(weight_row)(&in, j * plane, d + j * plane, s, grad + j * kk);
            N(convolve_row)
            (&above, j * plane, taps + j * kk, s->k, 1, dx + j * s->w * LANES, LANES, s->w, unused,
             unused + 1);
        }
        N(emit_row)(g_in, dx, s, row, below, residual, sum, dot, at, blocks);
    }
    EACH_BLOCK for (size_t tap = 0; tap < s->k * s->k; tap++) {
        nas_real *to = weight_grad + tap * s->c + i;
        STORE(to, LOAD(to) + LOAD(grad + j * kk + tap * LANES));
    }
    N(add_all)(sums, s->c, sum, dot, at, blocks);
}
