/* scan: whether packed weights are finite, and whether they are anything at all, by their scales: a
 * packed value is a scale times a small code, so it is finite where its scale is. Where the scales
 * of a type are is in its row of formats.def. */
#include "reference.h"

#include <math.h>
#include <string.h>

/* Bits of the exponent of unpacked types. */
enum { EXPONENT_F32 = 0x7F800000, EXPONENT_F16 = 0x7C00, EXPONENT_BF16 = 0x7F80 };

#define LARGEST_CODE  12.0F /* of FP4, doubled as in its table */
#define MOST_ELEMENTS 256   /* of a block */

struct recipe {
    uint32_t exponent; /* of unpacked numbers, 0: packed */
    uint32_t halves;   /* f16 scales: */
    uint32_t half_at[2];
    uint32_t spread_at; /* an f16 in the top nibbles of four words; 0: none */
    uint32_t count, at; /* scales of one byte */
    float (*value)(uint8_t);
    moed_decode_fn *decode; /* one block, for scales that only some codes overflow */
};

static unsigned scan_half(uint16_t bits)
{
    const unsigned bad = (bits & 0x7C00) == 0x7C00 ? MOED_SCAN_NOT_FINITE : 0;

    return bad | ((bits & 0x7FFF) != 0 ? MOED_SCAN_NOT_ZERO : 0);
}

static unsigned scan_number(const uint8_t *block, size_t bytes, uint32_t exponent)
{
    uint32_t bits = 0;

    memcpy(&bits, block, bytes);
    return ((bits & exponent) == exponent ? MOED_SCAN_NOT_FINITE : 0) |
           (bits << (bytes == 4 ? 1 : 17) != 0 ? MOED_SCAN_NOT_ZERO : 0); /* without the sign */
}

static uint16_t spread_half(const uint8_t *at)
{
    unsigned bits = 0;

    for (unsigned word = 0; word < 4; word++) {
        bits |= (unsigned)(at[2 * word + 1] >> 4) << (4 * word);
    }
    return (uint16_t)bits;
}

/* A scale whose largest code overflows is rare enough for all values to be looked at. */
static unsigned scan_bytes(const struct recipe *recipe, const uint8_t *block, size_t bytes)
{
    float values[MOST_ELEMENTS];
    unsigned found = 0;
    bool suspect = false;

    for (size_t i = 0; i < bytes; i++) {
        found |= block[i] != 0 ? MOED_SCAN_NOT_ZERO : 0;
    }
    for (uint32_t i = 0; i < recipe->count; i++) {
        suspect |= !isfinite(LARGEST_CODE * recipe->value(block[recipe->at + i]));
    }
    if (suspect) {
        const size_t n = bytes == MOED_BYTES_MXFP4 ? MOED_BLOCK_MXFP4 : MOED_BLOCK_NVFP4;

        recipe->decode(block, values, n);
        found |= moed_dtype_is_finite(MOED_F32, values, n) ? 0 : MOED_SCAN_NOT_FINITE;
    }
    return found;
}

static inline unsigned scan_block(const struct recipe *recipe, const uint8_t *block, size_t bytes)
{
    unsigned found = 0;

    if (recipe->exponent != 0) {
        return scan_number(block, bytes, recipe->exponent);
    }
    if (recipe->count != 0) {
        return scan_bytes(recipe, block, bytes);
    }
    if (recipe->spread_at != 0) {
        return scan_half(spread_half(block + recipe->spread_at));
    }
    for (uint32_t i = 0; i < recipe->halves; i++) {
        uint16_t bits;

        memcpy(&bits, block + recipe->half_at[i], sizeof bits);
        found |= scan_half(bits);
    }
    return found;
}

#define WRITE(NAME)                     .exponent = EXPONENT_##NAME
#define HALF_SCALE(offset, deviation)   .halves = 1, .half_at = {(offset)}
#define SPREAD_SCALE(offset, deviation) .spread_at = (offset)
/* By the kind of scales (kernels/quant.h). */
#define SCALES_D(offset, deviation, ratio)     HALF_SCALE(offset, deviation)
#define SCALES_D_M(offset, deviation, ratio)   .halves = 2, .half_at = {(offset), (offset) + 2}
#define SCALES_E8M0(offset, deviation, ratio)  .at = (offset), .count = 1, .value = moed_e8m0_half
#define SCALES_UE4M3(offset, deviation, ratio) .at = (offset), .count = 4, .value = moed_ue4m3_half
#define SCALES_SM4                             SCALES_D_M
#define SCALES_SM6                             SCALES_D_M
#define SCALES_S6_16                           SCALES_D
#define SCALES_S6_32                           SCALES_D
#define SCALES_S8                              SCALES_D

#define MOED_FORMAT(id, NAME, elements, bytes, ...)                                      \
    unsigned moed_scan_##NAME(const uint8_t *src, size_t n)                              \
    {                                                                                    \
        static const struct recipe recipe = {.decode = moed_decode_##NAME, __VA_ARGS__}; \
        unsigned found = 0;                                                              \
                                                                                         \
        for (size_t i = 0; i < n / (elements); i++) {                                    \
            found |= scan_block(&recipe, src + i * (bytes), (bytes));                    \
        }                                                                                \
        return found;                                                                    \
    }
#include "formats.def"
