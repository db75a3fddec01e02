/* Types of numbers in files of tensors, and what they are as float32. */
#ifndef NAS_BASE_NUMBER_TYPES_H
#define NAS_BASE_NUMBER_TYPES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct nas_number_type {
    const char *name; /* as safetensors has it, such as "BF16" */
    uint32_t bytes;
    bool plain;                          /* it is float32 already */
    float (*to_float)(const void *from); /* of such bytes, the lowest first; it rounds */
} nas_number_type;

/* F32, F64, F16, BF16, I8 to I64, U8 to U64 and BOOL; NULL: none of these. [any] */
const nas_number_type *nas_number_type_find(const char *name);

#endif
