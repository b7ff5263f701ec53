/* reference: the K types, 256 codes under one or two f16 scales, with small integer scales for
 * each 16 or 32 codes. Codes lie in planes: one byte holds codes that are 32 elements apart. */
#include "reference.h"

/*  byte   0                  16                    80      82         84
 *         mmmmssss × 16    │ 33221100 × 64       │ d f16 │ dmin f16       s, m: of 16 elements
 *  element 128 h + 32 j + l: bits 2j of codes[32 h + l]
 *  value  d · s · code − dmin · m */
struct block_Q2_K {
    uint8_t scales[16];
    uint8_t codes[2][2][16];
    uint16_t d, dmin;
} MOED_PACKED;

static void decode_Q2_K(const struct block_Q2_K *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);
    const float dmin = moed_f16_to_f32(b->dmin);

    for (int group = 0; group < 16; group++) {
        const float scale = d * (float)(b->scales[group] & 15);
        const float min = dmin * (float)(b->scales[group] >> 4);
        const uint8_t *codes = b->codes[group / 8][group % 2];
        const int shift = 2 * (group / 2 % 4);

        for (int i = 0; i < 16; i++) {
            *y++ = scale * (float)((codes[i] >> shift) & 3) - min;
        }
    }
}
MOED_DECODER(Q2_K)

/* Six bits for each of 16 groups: the low four as nibbles of bytes 0 to 7, the high two in
 * bytes 8 to 11, group g in bits 2 (g / 4) of byte 8 + g % 4. */
static int q3_scale(const uint8_t *scales, int group)
{
    const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    const int high = (scales[8 + group % 4] >> (2 * (group / 4))) & 3;

    return (low | (high << 4)) - 32;
}

/*  byte   0                  32                    96               108     110
 *         high × 32        │ 33221100 × 64       │ scales × 12    │ d f16
 *  element 128 h + 32 j + l: bits 2j of codes[32 h + l]; bit 4 h + j of high[l] is its third bit
 *  value  d · scale · (code − 4) */
struct block_Q3_K {
    uint8_t high[2][16];
    uint8_t codes[2][2][16];
    uint8_t scales[12];
    uint16_t d;
} MOED_PACKED;

static void decode_Q3_K(const struct block_Q3_K *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int group = 0; group < 16; group++) {
        const float scale = d * (float)q3_scale(b->scales, group);
        const uint8_t *codes = b->codes[group / 8][group % 2];
        const uint8_t *high = b->high[group % 2];
        const int plane = group / 2;
        const int shift = 2 * (plane % 4);

        for (int i = 0; i < 16; i++) {
            const int code = ((codes[i] >> shift) & 3) | (((high[i] >> plane) & 1) << 2);

            *y++ = scale * (float)(code - 4);
        }
    }
}
MOED_DECODER(Q3_K)

/* Scale and minimum of 32 elements in Q4_K and Q5_K, six bits each in 12 bytes:
 *  byte 0..3   hhSSSSSS  scale of s = 0..3, and bits 4, 5 of the scale of s + 4
 *  byte 4..7   hhMMMMMM  minimum likewise
 *  byte 8..11  mmmmssss  low bits of minimum and scale of s = 4..7 */
static void scale_and_min(const uint8_t *scales, int s, int *scale, int *min)
{
    if (s < 4) {
        *scale = scales[s] & 63;
        *min = scales[s + 4] & 63;
    } else {
        *scale = (scales[s + 4] & 15) | ((scales[s - 4] >> 6) << 4);
        *min = (scales[s + 4] >> 4) | ((scales[s] >> 6) << 4);
    }
}

/*  byte   0       2          4                16                   144
 *         d f16 │ dmin f16 │ scales × 12    │ hhhhllll × 128
 *  element 64 g + l: low half of codes[32 g + l]; element 64 g + 32 + l: its high half
 *  value  d · scale · code − dmin · min */
struct block_Q4_K {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t codes[4][32];
} MOED_PACKED;

static void decode_Q4_K(const struct block_Q4_K *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);
    const float dmin = moed_f16_to_f32(b->dmin);

    for (int s = 0; s < 8; s++) {
        const uint8_t *codes = b->codes[s / 2];
        const int shift = 4 * (s % 2);
        int scale;
        int min;

        scale_and_min(b->scales, s, &scale, &min);
        for (int i = 0; i < 32; i++) {
            *y++ = d * (float)scale * (float)((codes[i] >> shift) & 15) - dmin * (float)min;
        }
    }
}
MOED_DECODER(Q4_K)

/*  byte   0       2          4                16           48                   176
 *         d f16 │ dmin f16 │ scales × 12    │ high × 32  │ hhhhllll × 128
 *  As Q4_K; bit s of high[l] is the fifth bit of element 32 s + l. */
struct block_Q5_K {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t high[32];
    uint8_t codes[4][32];
} MOED_PACKED;

static void decode_Q5_K(const struct block_Q5_K *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);
    const float dmin = moed_f16_to_f32(b->dmin);

    for (int s = 0; s < 8; s++) {
        const uint8_t *codes = b->codes[s / 2];
        const int shift = 4 * (s % 2);
        int scale;
        int min;

        scale_and_min(b->scales, s, &scale, &min);
        for (int i = 0; i < 32; i++) {
            const int code = ((codes[i] >> shift) & 15) | (((b->high[i] >> s) & 1) << 4);

            *y++ = d * (float)scale * (float)code - dmin * (float)min;
        }
    }
}
MOED_DECODER(Q5_K)

/*  byte   0                    128                192               208     210
 *         hhhhllll × 128     │ 33221100 × 64    │ scale i8 × 16   │ d f16
 *  element 128 h + 32 k + l: nibble k / 2 of low[64 h + 32 (k % 2) + l], bits 2k of
 *  high[32 h + l] above it
 *  value  d · scale · (code − 32) */
struct block_Q6_K {
    uint8_t low[2][2][32];
    uint8_t high[2][32];
    int8_t scales[16];
    uint16_t d;
} MOED_PACKED;

static void decode_Q6_K(const struct block_Q6_K *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int plane = 0; plane < 8; plane++) {
        const int k = plane % 4;
        const uint8_t *low = b->low[plane / 4][k % 2];
        const uint8_t *high = b->high[plane / 4];

        for (int i = 0; i < 32; i++) {
            const int code = ((low[i] >> (4 * (k / 2))) & 15) | (((high[i] >> (2 * k)) & 3) << 4);
            const int group = 2 * plane + i / 16;

            *y++ = d * (float)b->scales[group] * (float)(code - 32);
        }
    }
}
MOED_DECODER(Q6_K)
