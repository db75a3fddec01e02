#include "supernet/input.h"

#include "supernet/resize.h"
#include "supernet/squeeze.h"

#include <string.h>

/* ---- The stem's: patches of the images ---- */

static const nas_real *image_pixels(const nas_engine_pass *pass, uint32_t image) {
    const nas_input *input = pass->inputs;
    while (image >= input->n) image -= (input++)->n;
    return input->images + (size_t)image * pass->height * pass->width * pass->channels;
}

/* The k pixels from column `left` on of one row of an image, zero outside; row NULL: all zero. */
static void take_edge(const nas_unit *u, const nas_real *row, int left, nas_real *to) {
    int n = (int)(u->k * u->c), c = (int)u->c;
    for (int i = 0; i < n; i++) {
        int column = left + i / c;
        to[i] = row && column >= 0 && column < (int)u->w ? row[left * c + i] : 0;
    }
}

/* The same where all of them are inside. */
static void take_inside(const nas_real *from, size_t n, nas_real *to) {
    if (n == 3)
        memcpy(to, from, 3 * sizeof *to); /* a constant size, so no call */
    else
        memcpy(to, from, n * sizeof *to);
}

/* Of a row of patches, which are `size` values apart, the pixels in one row of the image. */
static void take_row(const nas_unit *u, const nas_real *row, size_t size, nas_real *to) {
    int pad = (int)u->pad;
    for (uint32_t x = 0; x < u->ow; x++, to += size) {
        int left = (int)(x * u->stride) - pad;
        if (row && left >= 0 && left + (int)u->k <= (int)u->w)
            take_inside(row + (uint32_t)left * u->c, u->k * u->c, to);
        else
            take_edge(u, row, left, to);
    }
}

/* Patches [oh * ow][k * k * c] of one image, zero outside. */
static void take_patches(const nas_unit *u, const nas_real *image, nas_real *patches) {
    int pad = (int)u->pad;
    size_t segment = u->k * u->c, size = u->k * segment;
    for (uint32_t y = 0; y < u->oh; y++, patches += u->ow * size)
        for (uint32_t ky = 0; ky < u->k; ky++) {
            int iy = (int)(y * u->stride + ky) - pad;
            bool inside = iy >= 0 && iy < (int)u->h;
            take_row(u, inside ? image + (uint32_t)iy * u->w * u->c : NULL, size,
                     patches + ky * segment);
        }
}

static const nas_real *stem_input(const nas_engine_pass *pass, const nas_unit *u, uint32_t image,
                                  uint32_t count, const nas_tile *t) {
    size_t patch = (size_t)u->oh * u->ow * nas_unit_rows(u);
    for (uint32_t i = 0; i < count; i++) {
        const nas_real *pixels = image_pixels(pass, image + i);
        if (u->h != pass->height || u->w != pass->width) {
            nas_engine_resize(t->dx, u->h, pixels, pass->height, pass->width, u->c);
            pixels = t->dx;
        }
        take_patches(u, pixels, t->x + i * patch);
    }
    return t->x;
}

/* ---- Other units' ---- */

/* The depthwise unit's activations `from` times squeeze-excite's gates. */
static void gated_input(const nas_engine_memory *memory, const nas_engine_pass *pass,
                        const nas_unit *u, const nas_squeeze_memory *sm, const nas_affine *from,
                        uint32_t image, uint32_t count, bool store, const nas_tile *t) {
    size_t rows = (size_t)u->h * u->w, c = u->c;
    pass->kernels->affine(t->x, from, NULL, count * rows, c);
    if (store) {
        nas_real *pool = sm->pool + image * c, share = (nas_real)1 / (nas_real)rows;
        for (uint32_t i = 0; i < count; i++)
            pass->kernels->column_sums(pool + i * c, t->x + i * rows * c, rows, c);
        for (size_t i = 0; i < count * c; i++) pool[i] *= share;
        nas_squeeze_forward(memory, pass, &u->squeeze, sm, image, count, t->gate);
    } else {
        nas_squeeze_gates(memory, pass, &u->squeeze, sm, image, count, t->gate);
    }
    for (uint32_t i = 0; i < count; i++)
        pass->kernels->scale(t->x + i * rows * c, t->gate + i * c, rows, c);
}

const nas_real *nas_unit_input(const nas_engine_plan *plan, const nas_engine_memory *memory,
                               const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                               uint32_t image, uint32_t count, bool store, const nas_tile *t) {
    const nas_unit *u = &plan->units[index];
    if (u->kind == NAS_UNIT_STEM) return stem_input(pass, u, image, count, t);
    size_t rows = count * (size_t)u->h * u->w;
    nas_affine from = nas_unit_affine(plan, memory, u->source, micro, image);
    if (u->node >= 0) {
        nas_real *z = nas_image_at(&memory->nodes[u->node], micro, image);
        const nas_real *residual =
            u->residual >= 0 ? nas_image_at(&memory->nodes[u->residual], micro, image) : NULL;
        if (store) pass->kernels->affine(z, &from, residual, rows, u->c);
        return z;
    }
    if (u->squeeze.c)
        gated_input(memory, pass, u, &memory->units[index].squeeze, &from, image, count, store, t);
    else
        pass->kernels->affine(t->x, &from, NULL, rows, u->c);
    return t->x;
}
