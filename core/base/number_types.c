#include "base/number_types.h"

#include <stddef.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files hold the lowest byte first");

/* A function that reads one number of a C type. */
#define READER(name, c_type)                                                                       \
    static float name(const void *from) {                                                          \
        c_type x;                                                                                  \
        memcpy(&x, from, sizeof x);                                                                \
        return (float)x;                                                                           \
    }

READER(of_f32, float)
READER(of_f64, double)
READER(of_i64, int64_t)
READER(of_i32, int32_t)
READER(of_i16, int16_t)
READER(of_i8, int8_t)
READER(of_u64, uint64_t)
READER(of_u32, uint32_t)
READER(of_u16, uint16_t)
READER(of_u8, uint8_t)

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* IEEE 754's binary16. */
static float of_f16(const void *from) {
    uint16_t bits;
    memcpy(&bits, from, sizeof bits);
    uint32_t sign = (uint32_t)bits >> 15 << 31, exponent = bits >> 10 & 31u,
             fraction = bits & 1023u;
    if (exponent == 31) return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float x = (float)fraction * 0x1p-24f;
    return sign ? -x : x;
}

/* The upper half of a float32. */
static float of_bf16(const void *from) {
    uint16_t bits;
    memcpy(&bits, from, sizeof bits);
    return from_bits((uint32_t)bits << 16);
}

static const nas_number_type types[] = {
    {"F32", 4, true, of_f32},    {"F64", 8, false, of_f64}, {"F16", 2, false, of_f16},
    {"BF16", 2, false, of_bf16}, {"I64", 8, false, of_i64}, {"I32", 4, false, of_i32},
    {"I16", 2, false, of_i16},   {"I8", 1, false, of_i8},   {"U64", 8, false, of_u64},
    {"U32", 4, false, of_u32},   {"U16", 2, false, of_u16}, {"U8", 1, false, of_u8},
    {"BOOL", 1, false, of_u8}};

const nas_number_type *nas_number_type_find(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0) return &types[i];
    return NULL;
}
