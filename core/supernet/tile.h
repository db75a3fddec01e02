/* Tiles: so many images of a unit that their work memory stays in a core's cache. */
#ifndef NAS_SUPERNET_TILE_H
#define NAS_SUPERNET_TILE_H

#include "supernet/engine_plan.h"

#define NAS_LINE (64 / sizeof(nas_real)) /* values of a cache line */

/* count, rounded up to whole cache lines. */
static inline size_t nas_whole_lines(size_t count) {
    return (count + NAS_LINE - 1) / NAS_LINE * NAS_LINE;
}

/* Work memory of a tile. */
typedef struct nas_tile {
    nas_real *x, *dx, *dy;      /* [count][in], [count][in], [count][out] */
    nas_real *ring;             /* depthwise: its kernels' scratch; of the others only x */
    nas_real *gate, *pool_grad; /* squeeze-excite: [count][c] */
} nas_tile;

/* The most images of a tile of unit u, what its work memory takes in nas_real, and its parts in
 * such memory. [any] */
uint32_t nas_tile_images(const nas_unit *u);
size_t nas_tile_memory(const nas_unit *u);
nas_tile nas_tile_cut(const nas_unit *u, nas_real *memory);

#endif
