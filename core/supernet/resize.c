#include "supernet/resize.h"

#include <math.h>

void nas_engine_resize(nas_real *to, uint32_t side, const nas_real *from, uint32_t h, uint32_t w,
                       uint32_t c) {
    for (uint32_t y = 0; y < side; y++) {
        double fy = fmin(fmax((y + 0.5) * h / side - 0.5, 0), h - 1);
        uint32_t y0 = (uint32_t)fy, y1 = y0 + 1 < h ? y0 + 1 : y0;
        for (uint32_t x = 0; x < side; x++) {
            double fx = fmin(fmax((x + 0.5) * w / side - 0.5, 0), w - 1);
            uint32_t x0 = (uint32_t)fx, x1 = x0 + 1 < w ? x0 + 1 : x0;
            nas_real ty = (nas_real)(fy - y0), tx = (nas_real)(fx - x0);
            for (uint32_t i = 0; i < c; i++) {
                nas_real top =
                    from[(y0 * w + x0) * c + i] * (1 - tx) + from[(y0 * w + x1) * c + i] * tx;
                nas_real low =
                    from[(y1 * w + x0) * c + i] * (1 - tx) + from[(y1 * w + x1) * c + i] * tx;
                to[(y * side + x) * c + i] = top * (1 - ty) + low * ty;
            }
        }
    }
}
