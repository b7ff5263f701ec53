/* reference: types that are plain numbers, a block of one element. */
#include "reference.h"

/*  F32   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm */
struct block_F32 {
    float value;
} MOED_PACKED;

static void decode_F32(const struct block_F32 *b, float *y)
{
    *y = b->value;
}
MOED_DECODER(F32)

/*  F16   s eeeee mmmmmmmmmm */
struct block_F16 {
    uint16_t bits;
} MOED_PACKED;

static void decode_F16(const struct block_F16 *b, float *y)
{
    *y = moed_f16_to_f32(b->bits);
}
MOED_DECODER(F16)

/*  BF16  s eeeeeeee mmmmmmm: the upper half of an F32 */
struct block_BF16 {
    uint16_t bits;
} MOED_PACKED;

static void decode_BF16(const struct block_BF16 *b, float *y)
{
    *y = moed_bf16_to_f32(b->bits);
}
MOED_DECODER(BF16)
