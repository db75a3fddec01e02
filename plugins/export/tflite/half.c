#include "half.h"

#include <math.h>

/* binary16: a sign, 5 bits of exponent with 15 added, 10 of mantissa; below 2^-14 steps of 2^-24.
 */
uint16_t nas_tflite_half(float value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double size = fabs((double)value);
    int exponent;
    if (!(size < 65504)) return sign | 0x7bff;
    frexp(size, &exponent); /* size is below 2^exponent */
    if (size < 0x1p-14) exponent = -13;
    /* Whole steps of 2^(exponent - 11), of which a normal number has 1024 or more; 2048 carry into
     * the exponent by themselves. */
    double steps = rint(ldexp(size, 11 - exponent));
    return (uint16_t)(sign | (uint16_t)(((exponent + 13) << 10) + (int)steps));
}
