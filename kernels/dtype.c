/* dtype: the element types of rows, and bit-exact conversions between them. */
#include "dtype.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[MOED_DTYPE_COUNT] = {
    [MOED_F32] = {"f32", 4},
    [MOED_F16] = {"f16", 2},
    [MOED_BF16] = {"bf16", 2},
};

static float as_float(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t as_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

size_t moed_dtype_size(enum moed_dtype dtype)
{
    return dtypes[dtype].size;
}

const char *moed_dtype_name(enum moed_dtype dtype)
{
    return dtypes[dtype].name;
}

int moed_dtype_parse(const char *name)
{
    for (int i = 0; i < MOED_DTYPE_COUNT; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

/*  f16   s eeeee mmmmmmmmmm                  bias 15
 *  f32   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm  bias 127
 * Moved 13 bits up, exponent and mantissa read as an f32 that is 2^112 too small; the product
 * is exact and makes subnormal halves normal. */
float moed_f16_to_f32(uint16_t bits)
{
    const uint32_t sign = (bits & 0x8000U) << 16;
    const uint32_t rest = (bits & 0x7FFFU) << 13;

    if (rest >= 0x0F800000U) { /* infinity, NaN */
        return as_float(sign | 0x7F800000U | rest);
    }
    return as_float(sign | as_bits(as_float(rest) * 0x1p112F));
}

uint16_t moed_f32_to_f16(float value)
{
    const uint32_t bits = as_bits(value);
    const uint32_t rest = bits & 0x7FFFFFFFU;
    uint32_t half;

    if (rest > 0x7F800000U) { /* NaN: quiet, with what fits of its payload */
        half = 0x7E00U | ((rest >> 13) & 0x3FFU);
    } else if (rest >= 0x47800000U) { /* 65536 and more, infinity */
        half = 0x7C00U;
    } else if (rest < 0x38800000U) {
        /* Under 2^-14 a half is a multiple of 2^-24, the last bit of an f32 of [0.5, 1):
         * the addition rounds. */
        half = as_bits(as_float(rest) + 0.5F) - as_bits(0.5F);
    } else {
        /* Rebiased, plus just under half of the last bit kept, plus that bit: ties go to even.
         * A carry out of the mantissa raises the exponent, at the top to infinity. */
        half = (rest - (112U << 23) + 0xFFFU + ((rest >> 13) & 1U)) >> 13;
    }
    return (uint16_t)((bits >> 16 & 0x8000U) | half);
}

float moed_bf16_to_f32(uint16_t bits)
{
    return as_float((uint32_t)bits << 16);
}

uint16_t moed_f32_to_bf16(float value)
{
    const uint32_t bits = as_bits(value);

    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
        return (uint16_t)((bits >> 16) | 0x40U); /* quiet: its payload may be in the lost bits */
    }
    return (uint16_t)((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/* Rows may lie at any address, so elements are moved with memcpy. */
void moed_dtype_to_f32(enum moed_dtype dtype, const void *src, float *dst, size_t n)
{
    const uint8_t *from = src;
    uint8_t *to = (void *)dst;

    if (dtype == MOED_F32) {
        if (n > 0) {
            memcpy(dst, src, n * sizeof *dst);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        float value;

        memcpy(&bits, from + i * sizeof bits, sizeof bits);
        value = dtype == MOED_F16 ? moed_f16_to_f32(bits) : moed_bf16_to_f32(bits);
        memcpy(to + i * sizeof value, &value, sizeof value);
    }
}

void moed_dtype_from_f32(enum moed_dtype dtype, const float *src, void *dst, size_t n)
{
    const uint8_t *from = (const void *)src;
    uint8_t *to = dst;

    if (dtype == MOED_F32) {
        if (n > 0) {
            memcpy(dst, src, n * sizeof *src);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        float value;

        memcpy(&value, from + i * sizeof value, sizeof value);
        bits = dtype == MOED_F16 ? moed_f32_to_f16(value) : moed_f32_to_bf16(value);
        memcpy(to + i * sizeof bits, &bits, sizeof bits);
    }
}

/* Without a branch a number, so the compiler can use vectors; NaN and infinity have all bits of the
 * exponent set. */
static bool is_finite_32(const uint8_t *data, size_t n)
{
    uint32_t bad = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, data + 4 * i, sizeof bits);
        bad |= (bits & 0x7F800000U) == 0x7F800000U;
    }
    return bad == 0;
}

static bool is_finite_16(const uint8_t *data, size_t n, uint16_t exponent)
{
    unsigned bad = 0;

    for (size_t i = 0; i < n; i++) {
        uint16_t bits;

        memcpy(&bits, data + 2 * i, sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return bad == 0;
}

bool moed_dtype_is_finite(enum moed_dtype dtype, const void *data, size_t n)
{
    if (dtype == MOED_F32) {
        return is_finite_32(data, n);
    }
    return is_finite_16(data, n, dtype == MOED_F16 ? 0x7C00 : 0x7F80);
}
