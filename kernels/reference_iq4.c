/* reference: four-bit codes that are looked up in a table of 16 values. */
#include "quant.h"
#include "reference.h"

#include <math.h>
#include <string.h>

#define ITSELF(value) (value)
static const int8_t nonlinear[16] = {MOED_NONLINEAR(ITSELF)};
static const int8_t fp4[16] = {MOED_FP4(ITSELF)};

/*  byte   0       2                                18
 *         d f16 │ hhhhllll × 16                          l: element i   h: element i + 16
 *  value  d · nonlinear[code] */
struct block_IQ4_NL {
    uint16_t d;
    uint8_t codes[16];
} MOED_PACKED;

static void decode_IQ4_NL(const struct block_IQ4_NL *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)nonlinear[b->codes[i] & 15];
        y[i + 16] = d * (float)nonlinear[b->codes[i] >> 4];
    }
}
MOED_DECODER(IQ4_NL)

/*  byte   0       2            4               8                    136
 *         d f16 │ high u16   │ hhhhllll × 4  │ hhhhllll × 128
 *  scale of 32 elements s: nibble s of low, bits 2s of high above it
 *  value  d · (scale − 32) · nonlinear[code], codes of s as in an IQ4_NL block at byte 16 s */
struct block_IQ4_XS {
    uint16_t d, high;
    uint8_t low[4];
    uint8_t codes[8][16];
} MOED_PACKED;

static void decode_IQ4_XS(const struct block_IQ4_XS *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int s = 0; s < 8; s++, y += 32) {
        const int low = (b->low[s / 2] >> (4 * (s % 2))) & 15;
        const int high = (b->high >> (2 * s)) & 3;
        const float scale = d * (float)((low | (high << 4)) - 32);
        const uint8_t *codes = b->codes[s];

        for (int i = 0; i < 16; i++) {
            y[i] = scale * (float)nonlinear[codes[i] & 15];
            y[i + 16] = scale * (float)nonlinear[codes[i] >> 4];
        }
    }
}
MOED_DECODER(IQ4_XS)

float moed_e8m0_half(uint8_t e)
{
    /* A float's exponent as it is, one lower; 2^-128 and 2^-127 are subnormal. */
    const uint32_t bits = e < 2 ? 0x00200000U << e : (e - 1U) << 23;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/*  byte   0        1                               17
 *         e e8m0 │ hhhhllll × 16
 *  value  2^(e − 127) · fp4[code] / 2 */
struct block_MXFP4 {
    uint8_t e;
    uint8_t codes[16];
} MOED_PACKED;

static void decode_MXFP4(const struct block_MXFP4 *b, float *y)
{
    const float d = moed_e8m0_half(b->e);

    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)fp4[b->codes[i] & 15];
        y[i + 16] = d * (float)fp4[b->codes[i] >> 4];
    }
}
MOED_DECODER(MXFP4)

/*  -eeeemmm, the top bit not used */
float moed_ue4m3_half(uint8_t e)
{
    const int exponent = (e >> 3) & 15;
    const int mantissa = e & 7;

    if (e == 0x7F) {
        return 0.0F;
    }
    if (exponent == 0) {
        return ldexpf((float)mantissa, -10);
    }
    return ldexpf((float)(8 + mantissa), exponent - 11);
}

/*  byte   0                4                       36
 *         scale ue4m3 × 4 │ hhhhllll × 32                each scale: 8 bytes of codes, 16 elements
 *  value  fp4[code] · scale / 2; the tensor's own f32 scale is not part of the block */
struct block_NVFP4 {
    uint8_t scales[4];
    uint8_t codes[4][8];
} MOED_PACKED;

static void decode_NVFP4(const struct block_NVFP4 *b, float *y)
{
    for (int s = 0; s < 4; s++, y += 16) {
        const float scale = moed_ue4m3_half(b->scales[s]);
        const uint8_t *codes = b->codes[s];

        for (int i = 0; i < 8; i++) {
            y[i] = (float)fp4[codes[i] & 15] * scale;
            y[i + 8] = (float)fp4[codes[i] >> 4] * scale;
        }
    }
}
MOED_DECODER(NVFP4)
