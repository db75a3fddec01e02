/* Images at another resolution than the data set's. */
#ifndef NAS_SUPERNET_RESIZE_H
#define NAS_SUPERNET_RESIZE_H

#include "nn/real.h"

#include <stdint.h>

/* An image [h][w][c] at a subnet's resolution: to [side][side][c]. Bilinear, half-pixel centres, no
 * anti-aliasing. [any] */
void nas_engine_resize(nas_real *to, uint32_t side, const nas_real *from, uint32_t h, uint32_t w,
                       uint32_t c);

#endif
