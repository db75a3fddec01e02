/* float16, as no compiler that is supported here has it everywhere. */
#ifndef NASHOST_TFLITE_HALF_H
#define NASHOST_TFLITE_HALF_H

#include <stdint.h>

/* The nearest number of IEEE 754's binary16, halves to even; what is too large is 65504. */
uint16_t nas_tflite_half(float value);

#endif
