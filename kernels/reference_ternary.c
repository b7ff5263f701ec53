/* reference: types of one and two bits, and base three. */
#include "reference.h"

/* Five base-3 digits a byte, as a binary fraction: multiplying by 3 moves the next digit above
 * the point, the product's low byte is what remains. Writes digit n of `count` bytes. */
static float *decode_digit(const uint8_t *bytes, int count, int n, float d, float *y)
{
    static const uint8_t power[5] = {1, 3, 9, 27, 81};

    for (int i = 0; i < count; i++) {
        const unsigned fraction = (uint8_t)(bytes[i] * power[n]);
        const int digit = (int)((fraction * 3) >> 8);

        *y++ = (float)(digit - 1) * d;
    }
    return y;
}

/*  byte   0                32              48             52      54
 *         5 digits × 32  │ 5 digits × 16 │ 4 digits × 4 │ d f16
 *  elements: digit 0 of the 32 bytes, then digit 1 of them, …; the next bytes likewise
 *  value  (digit − 1) · d */
struct block_TQ1_0 {
    uint8_t first[32];
    uint8_t second[16];
    uint8_t last[4];
    uint16_t d;
} MOED_PACKED;

static void decode_TQ1_0(const struct block_TQ1_0 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int n = 0; n < 5; n++) {
        y = decode_digit(b->first, 32, n, d, y);
    }
    for (int n = 0; n < 5; n++) {
        y = decode_digit(b->second, 16, n, d, y);
    }
    for (int n = 0; n < 4; n++) {
        y = decode_digit(b->last, 4, n, d, y);
    }
}
MOED_DECODER(TQ1_0)

/*  byte   0                                 64      66
 *         33221100 × 64                   │ d f16
 *  element 128 h + 32 j + l: bits 2j of byte 32 h + l
 *  value  (code − 1) · d */
struct block_TQ2_0 {
    uint8_t codes[2][32];
    uint16_t d;
} MOED_PACKED;

static void decode_TQ2_0(const struct block_TQ2_0 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int plane = 0; plane < 8; plane++) {
        const uint8_t *codes = b->codes[plane / 4];

        for (int i = 0; i < 32; i++) {
            *y++ = (float)(((codes[i] >> (2 * (plane % 4))) & 3) - 1) * d;
        }
    }
}
MOED_DECODER(TQ2_0)

/*  byte   0       2                                18
 *         d f16 │ 76543210 × 16                          one bit an element
 *  value  d where the bit is set, −d where it is not */
struct block_Q1_0 {
    uint16_t d;
    uint8_t signs[16];
} MOED_PACKED;

static void decode_Q1_0(const struct block_Q1_0 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int i = 0; i < MOED_BLOCK_Q1_0; i++) {
        y[i] = (b->signs[i / 8] >> (i % 8)) & 1 ? d : -d;
    }
}
MOED_DECODER(Q1_0)

/*  byte   0       2                                18
 *         d f16 │ 33221100 × 16                          four neighbours a byte
 *  value  (code − 1) · d */
struct block_Q2_0 {
    uint16_t d;
    uint8_t codes[16];
} MOED_PACKED;

static void decode_Q2_0(const struct block_Q2_0 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int i = 0; i < MOED_BLOCK_Q2_0; i++) {
        y[i] = (float)(((b->codes[i / 4] >> (2 * (i % 4))) & 3) - 1) * d;
    }
}
MOED_DECODER(Q2_0)
