/* What a unit's product reads: rows of pixels, from the images, a node or the unit below. */
#ifndef NAS_SUPERNET_INPUT_H
#define NAS_SUPERNET_INPUT_H

#include "supernet/engine_pass.h"
#include "supernet/tile.h"

/* The input rows of unit `index` for `count` images from `image` on: a node's memory where there is
 * one, else computed into t->x, with t->gate. `store` (in forward) also fills nodes and
 * squeeze-excite's values, which backward reads again. [worker] */
const nas_real *nas_unit_input(const nas_engine_plan *plan, const nas_engine_memory *memory,
                               const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                               uint32_t image, uint32_t count, bool store, const nas_tile *t);

#endif
