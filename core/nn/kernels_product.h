/* Matrix products of a few rows by up to 64 columns at a time, included by kernels.c where
 * registers are many: sums stay in them over all of k, and nothing is packed but the weights, once
 * for many products. One variable for each sum, since compilers leave an array in memory. */

#define ROWS 12
#define EACH_ROW(DO) EACH_OF_7(DO) DO(7) DO(8) DO(9) DO(10) DO(11)

#define SUMS(i)                                                                                    \
    vector_16 p##i = {0}, q##i = p##i, r##i = p##i, s##i = p##i;                                   \
    vector_8 h##i = {0};
#define ADD(i)                                                                                     \
    if (rows > i) {                                                                                \
        vector_16 t = splat_16(a[i * p->a_row]);                                                   \
        if (wide > 0) p##i += t * b0;                                                              \
        if (wide > 1) q##i += t * b1;                                                              \
        if (wide > 2) r##i += t * b2;                                                              \
        if (wide > 3) s##i += t * b3;                                                              \
        if (half) h##i += __builtin_shufflevector(t, t, 0, 1, 2, 3, 4, 5, 6, 7) * b4;              \
    }
#define PUT(lanes, to, sum)                                                                        \
    do {                                                                                           \
        loose_##lanes *there = (loose_##lanes *)(void *)(to);                                      \
        *there = add ? (vector_##lanes) * there + sum : sum;                                       \
    } while (0)
#define GIVE(i)                                                                                    \
    if (rows > i) {                                                                                \
        nas_real *to = c + i * p->ldc;                                                             \
        if (wide > 0) PUT(16, to, p##i);                                                           \
        if (wide > 1) PUT(16, to + 16, q##i);                                                      \
        if (wide > 2) PUT(16, to + 32, r##i);                                                      \
        if (wide > 3) PUT(16, to + 48, s##i);                                                      \
        if (half) PUT(8, to + 16 * wide, h##i);                                                    \
    }
#define TAKE(lanes, from) (*(const loose_##lanes *)(const void *)(from))

/* What is fetched meanwhile, a cache line with each step of k. */
typedef struct fetch {
    const char *at, *end;
} fetch;

INLINE fetch fetch_from(const nas_product *p) {
    const nas_ahead *ahead = p->ahead;
    if (!ahead || !ahead->n) return (fetch){(const char *)p->c, (const char *)p->c};
    return (fetch){ahead->part[ahead->n - 1].at, ahead->part[ahead->n - 1].end};
}

INLINE void fetch_to(const nas_product *p, fetch soon) {
    nas_ahead *ahead = p->ahead;
    if (!ahead || !ahead->n) return;
    ahead->part[ahead->n - 1].at = soon.at;
    if (soon.at >= soon.end) ahead->n--;
}

/* `rows` rows of c from a, `wide` vectors and perhaps half of one from b, whose rows are ldb apart.
 */
INLINE void product_block(const nas_product *p, nas_real *c, const nas_real *a, const nas_real *b,
                          size_t ldb, bool add, size_t rows, size_t wide, bool half) {
    EACH_ROW(SUMS)
    fetch soon = fetch_from(p);
    for (size_t k = 0; k < p->k; k++, a += p->a_column, b += ldb) {
        __builtin_prefetch(soon.at, 0, 2);
        soon.at = soon.at < soon.end ? soon.at + 64 : soon.at;
        vector_16 b0 = {0}, b1 = b0, b2 = b0, b3 = b0;
        vector_8 b4 = {0};
        if (wide > 0) b0 = TAKE(16, b);
        if (wide > 1) b1 = TAKE(16, b + 16);
        if (wide > 2) b2 = TAKE(16, b + 32);
        if (wide > 3) b3 = TAKE(16, b + 48);
        if (half) b4 = TAKE(8, b + 16 * wide);
        EACH_ROW(ADD)
    }
    EACH_ROW(GIVE)
    fetch_to(p, soon);
}
#undef ROWS
#undef EACH_ROW
#undef SUMS
#undef ADD
#undef PUT
#undef GIVE
#undef TAKE

/* All rows of a block of columns. The last rows are done again with those before them if that is
 * the same. */
INLINE void product_columns(const nas_product *p, nas_real *c, const nas_real *b, size_t ldb,
                            bool add, size_t rows, size_t wide, bool half) {
    size_t i = 0, most = p->m;
    for (; i < most; i += rows) {
        if (i + rows > most) {
            if (add || most < rows) break;
            i = most - rows;
        }
        product_block(p, c + i * p->ldc, p->a + i * p->a_row, b, ldb, add, rows, wide, half);
    }
    for (; i + 4 <= most; i += 4)
        product_block(p, c + i * p->ldc, p->a + i * p->a_row, b, ldb, add, 4, wide, half);
    for (; i < most; i++)
        product_block(p, c + i * p->ldc, p->a + i * p->a_row, b, ldb, add, 1, wide, half);
}

/* One function for each width in units of 8 columns: as many rows as fill the registers. */
#define COLUMNS(units, rows)                                                                       \
    static void columns_##units(const nas_product *p, nas_real *c, const nas_real *b,              \
                                size_t ldb) {                                                      \
        if (p->add)                                                                                \
            product_columns(p, c, b, ldb, true, rows, units / 2, units % 2);                       \
        else                                                                                       \
            product_columns(p, c, b, ldb, false, rows, units / 2, units % 2);                      \
    }
COLUMNS(1, 12)
COLUMNS(2, 12)
COLUMNS(3, 12)
COLUMNS(4, 12)
COLUMNS(5, 8)
COLUMNS(6, 8)
COLUMNS(7, 6)
COLUMNS(8, 6)
#undef COLUMNS

static void product(const nas_product *p) {
    static void (*const columns[])(const nas_product *, nas_real *, const nas_real *, size_t) = {
        columns_1, columns_2, columns_3, columns_4, columns_5, columns_6, columns_7, columns_8};
    for (size_t at = 0; at < p->n;) {
        size_t width = nas_product_width(p->n, at);
        const nas_real *b = p->b + (p->ldb ? at : at * p->k);
        columns[width / 8 - 1](p, p->c + at, b, p->ldb ? p->ldb : width);
        at += width;
    }
}
