/* reference: the types with one scale for 32 codes. Codes of 4 bits pair element i, in the low
 * half of byte i, with element i + 16. */
#include "reference.h"

enum { HALF = 16 };

/*  byte   0       2                                18
 *         d f16 │ hhhhllll × 16                          l: element i   h: element i + 16
 *  value  (code − 8) · d */
struct block_Q4_0 {
    uint16_t d;
    uint8_t codes[HALF];
} MOED_PACKED;

static void decode_Q4_0(const struct block_Q4_0 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int i = 0; i < HALF; i++) {
        y[i] = (float)((b->codes[i] & 15) - 8) * d;
        y[i + HALF] = (float)((b->codes[i] >> 4) - 8) * d;
    }
}
MOED_DECODER(Q4_0)

/*  byte   0       2       4                        20
 *         d f16 │ m f16 │ hhhhllll × 16
 *  value  code · d + m */
struct block_Q4_1 {
    uint16_t d, m;
    uint8_t codes[HALF];
} MOED_PACKED;

static void decode_Q4_1(const struct block_Q4_1 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);
    const float m = moed_f16_to_f32(b->m);

    for (int i = 0; i < HALF; i++) {
        y[i] = (float)(b->codes[i] & 15) * d + m;
        y[i + HALF] = (float)(b->codes[i] >> 4) * d + m;
    }
}
MOED_DECODER(Q4_1)

/* The fifth bit of element i, at its place in the code. */
static int fifth_bit(uint32_t high, int i)
{
    return (int)(((high >> i) & 1U) << 4);
}

/*  byte   0       2            6                   22
 *         d f16 │ high u32   │ hhhhllll × 16             bit i of high: bit 4 of code i
 *  value  (code − 16) · d */
struct block_Q5_0 {
    uint16_t d;
    uint32_t high;
    uint8_t codes[HALF];
} MOED_PACKED;

static void decode_Q5_0(const struct block_Q5_0 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int i = 0; i < HALF; i++) {
        y[i] = (float)(((b->codes[i] & 15) | fifth_bit(b->high, i)) - 16) * d;
        y[i + HALF] = (float)(((b->codes[i] >> 4) | fifth_bit(b->high, i + HALF)) - 16) * d;
    }
}
MOED_DECODER(Q5_0)

/*  byte   0       2       4            8           24
 *         d f16 │ m f16 │ high u32   │ hhhhllll × 16
 *  value  code · d + m */
struct block_Q5_1 {
    uint16_t d, m;
    uint32_t high;
    uint8_t codes[HALF];
} MOED_PACKED;

static void decode_Q5_1(const struct block_Q5_1 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);
    const float m = moed_f16_to_f32(b->m);

    for (int i = 0; i < HALF; i++) {
        y[i] = (float)((b->codes[i] & 15) | fifth_bit(b->high, i)) * d + m;
        y[i + HALF] = (float)((b->codes[i] >> 4) | fifth_bit(b->high, i + HALF)) * d + m;
    }
}
MOED_DECODER(Q5_1)

/*  byte   0       2                                34
 *         d f16 │ code i8 × 32
 *  value  code · d */
struct block_Q8_0 {
    uint16_t d;
    int8_t codes[32];
} MOED_PACKED;

static void decode_Q8_0(const struct block_Q8_0 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int i = 0; i < 32; i++) {
        y[i] = (float)b->codes[i] * d;
    }
}
MOED_DECODER(Q8_0)

/*  byte   0       2                   10                       26
 *         d f16 │ ddbbccaa × 8      │ hhhhllll × 16            l: element i   h: element i + 16
 *  bits 4 and 5 of elements j (a), j + 16 (c), j + 8 (b), j + 24 (d) stand in byte j of high
 *  value  (code − 32) · d */
struct block_Q6_0 {
    uint16_t d;
    uint8_t high[8];
    uint8_t codes[HALF];
} MOED_PACKED;

static void decode_Q6_0(const struct block_Q6_0 *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int i = 0; i < HALF; i++) {
        const int high = b->high[i % 8] >> (i / 8 * 4);

        y[i] = (float)(((b->codes[i] & 15) | (high & 3) << 4) - 32) * d;
        y[i + HALF] = (float)(((b->codes[i] >> 4) | (high & 12) << 2) - 32) * d;
    }
}
MOED_DECODER(Q6_0)
