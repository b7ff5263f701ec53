/* fill: random blocks of every type that has a decoder, for synthetic models.
 *
 * All bytes of a block are random, and then the scale is set so that its values get the deviation
 * that was asked for; each block's scale has a random sign, so that the mean is 0 though a code's
 * own mean may not be. What differs between types is the recipe in their row of formats.def. */
#include "reference.h"

#include <string.h>

struct recipe {
    /* Sets the scale, or writes the whole value of types that have none. */
    void (*finish)(const struct recipe *recipe, struct moed_random *random, float sigma,
                   uint8_t *block);
    float unit;      /* deviation of the values where the scale is 1 */
    uint32_t at;     /* the scale's first byte in the block */
    uint32_t count;  /* scales, one after the other */
    uint32_t min_at; /* an f16 minimum, `min_ratio` times the scale, if that is not 0 */
    float min_ratio;
    float (*value)(uint8_t); /* of scales of one byte, rising up to the code `top` */
    uint32_t top;
};

static void put_half(uint8_t *at, float value)
{
    const uint16_t bits = moed_f32_to_f16(value);

    memcpy(at, &bits, sizeof bits);
}

static float random_scale(const struct recipe *recipe, struct moed_random *random, float sigma)
{
    const float scale = sigma / recipe->unit;

    return moed_random_u64(random) >> 63 ? -scale : scale;
}

static void write_F32(const struct recipe *recipe, struct moed_random *random, float sigma,
                      uint8_t *block)
{
    const float value = sigma * moed_random_gaussian(random);

    (void)recipe;
    memcpy(block, &value, sizeof value);
}

static void write_F16(const struct recipe *recipe, struct moed_random *random, float sigma,
                      uint8_t *block)
{
    (void)recipe;
    put_half(block, sigma * moed_random_gaussian(random));
}

static void write_BF16(const struct recipe *recipe, struct moed_random *random, float sigma,
                       uint8_t *block)
{
    const uint16_t bits = moed_f32_to_bf16(sigma * moed_random_gaussian(random));

    (void)recipe;
    memcpy(block, &bits, sizeof bits);
}

static void set_half(const struct recipe *recipe, struct moed_random *random, float sigma,
                     uint8_t *block)
{
    const float scale = random_scale(recipe, random, sigma);

    put_half(block + recipe->at, scale);
    if (recipe->min_ratio != 0.0F) {
        put_half(block + recipe->min_at, scale * recipe->min_ratio);
    }
}

/* IQ1_M has the four nibbles of its f16 at the top of four words. */
static void set_spread_half(const struct recipe *recipe, struct moed_random *random, float sigma,
                            uint8_t *block)
{
    const uint16_t bits = moed_f32_to_f16(random_scale(recipe, random, sigma));

    for (uint32_t word = 0; word < 4; word++) {
        uint8_t *top = &block[recipe->at + 2 * word + 1];

        *top = (uint8_t)((*top & 0x0F) | (((bits >> (4 * word)) & 15) << 4));
    }
}

/* Scales of one byte are far apart: the two that enclose the wanted scale are mixed so that the
 * mean square is right. */
static void set_bytes(const struct recipe *recipe, struct moed_random *random, float sigma,
                      uint8_t *block)
{
    const float wanted = sigma / recipe->unit;
    uint8_t code = 0;
    float below;
    float above;
    float share;

    for (uint8_t step = 128; step > 0; step /= 2) {
        if (code + step < recipe->top && recipe->value((uint8_t)(code + step)) <= wanted) {
            code = (uint8_t)(code + step);
        }
    }
    below = recipe->value(code);
    above = recipe->value((uint8_t)(code + 1));
    share = (wanted * wanted - below * below) / (above * above - below * below);
    for (uint32_t i = 0; i < recipe->count; i++) {
        block[recipe->at + i] = (uint8_t)(code + (moed_random_unit(random) < share ? 1 : 0));
    }
}

static void fill_bytes(struct moed_random *random, uint8_t *dst, size_t size)
{
    uint64_t bits;

    for (; size >= sizeof bits; size -= sizeof bits, dst += sizeof bits) {
        bits = moed_random_u64(random);
        memcpy(dst, &bits, sizeof bits);
    }
    bits = moed_random_u64(random);
    memcpy(dst, &bits, size);
}

/* One moed_fill_x for each format x, all with the same body around their recipe. */
#define WRITE(NAME)                   .finish = write_##NAME
#define HALF_SCALE(offset, deviation) .finish = set_half, .at = (offset), .unit = (deviation)
#define SPREAD_SCALE(offset, deviation) \
    .finish = set_spread_half, .at = (offset), .unit = (deviation)
#define BYTE_SCALES(offset, n, last, deviation, decode)                                    \
    .finish = set_bytes, .at = (offset), .count = (n), .top = (last), .unit = (deviation), \
    .value = (decode)
/* And by the kind of scales (kernels/quant.h); a minimum lies behind its scale. */
#define SCALES_D(at, deviation, none) HALF_SCALE(at, deviation)
#define SCALES_D_M(at, deviation, ratio) \
    HALF_SCALE(at, deviation), .min_at = (at) + 2, .min_ratio = (ratio)
#define SCALES_E8M0(at, deviation, none)  BYTE_SCALES(at, 1, 254, deviation, moed_e8m0_half)
#define SCALES_UE4M3(at, deviation, none) BYTE_SCALES(at, 4, 126, deviation, moed_ue4m3_half)
#define SCALES_SM4                        SCALES_D_M
#define SCALES_SM6                        SCALES_D_M
#define SCALES_S6_16                      SCALES_D
#define SCALES_S6_32                      SCALES_D
#define SCALES_S8                         SCALES_D

#define MOED_FORMAT(id, NAME, elements, bytes, ...)                                        \
    void moed_fill_##NAME(struct moed_random *random, float sigma, uint8_t *dst, size_t n) \
    {                                                                                      \
        static const struct recipe recipe = {__VA_ARGS__};                                 \
        const size_t blocks = n / (elements);                                              \
                                                                                           \
        fill_bytes(random, dst, blocks *(bytes));                                          \
        for (size_t i = 0; i < blocks; i++) {                                              \
            recipe.finish(&recipe, random, sigma, dst + i * (bytes));                      \
        }                                                                                  \
    }
#include "formats.def"
