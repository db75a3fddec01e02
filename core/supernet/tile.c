#include "supernet/tile.h"

#define TILE_BYTES (256 * 1024) /* well inside a core's L2 cache */

/* What a tile holds of one image. */
static size_t image_memory(const nas_unit *u) {
    size_t in = nas_unit_inputs(u);
    if (u->kind == NAS_UNIT_DEPTHWISE || u->expands) return in;
    if (u->kind == NAS_UNIT_STEM) return (size_t)u->oh * u->ow * (nas_unit_rows(u) + u->oc) + in;
    return 2 * in + u->values + 2 * u->squeeze.c;
}

uint32_t nas_tile_images(const nas_unit *u) {
    size_t fit = TILE_BYTES / sizeof(nas_real) / image_memory(u);
    return fit ? (uint32_t)fit : 1;
}

size_t nas_tile_memory(const nas_unit *u) {
    size_t needed = nas_tile_images(u) * image_memory(u), bound = TILE_BYTES / sizeof(nas_real);
    if (needed < bound) needed = bound; /* a narrower unit may take more images */
    needed += 3 * NAS_LINE;             /* its parts begin with a line */
    nas_depthwise shape = nas_unit_shape(u);
    return nas_whole_lines(needed +
                           (u->kind == NAS_UNIT_DEPTHWISE ? nas_depthwise_scratch(&shape) : 0));
}

nas_tile nas_tile_cut(const nas_unit *u, nas_real *memory) {
    size_t n = nas_tile_images(u), in = n * nas_unit_inputs(u);
    if (u->kind == NAS_UNIT_STEM) in = n * u->oh * u->ow * nas_unit_rows(u);
    in = nas_whole_lines(in);
    nas_tile t = {.x = memory};
    t.ring = t.x + in;
    t.dy = t.x + in;
    t.dx = t.dy + nas_whole_lines(n * u->values);
    t.gate = t.dx + in;
    t.pool_grad = t.gate + n * u->squeeze.c;
    return t;
}
