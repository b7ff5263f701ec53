/* formats: the formats that product.cu was compiled for, and what is told of all of them. */
#include "cuda.h"

#include <math.h>
#include <string.h>

/* By the kind of their scales (kernels/quant.h): those of NVFP4 have no tiles. meson.build leaves
 * the same out. */
#define TILES_D(...)    __VA_ARGS__
#define TILES_D_M(...)  __VA_ARGS__
#define TILES_E8M0(...) __VA_ARGS__
#define TILES_UE4M3(...)
#define TILES_SM4(...)   __VA_ARGS__
#define TILES_SM6(...)   __VA_ARGS__
#define TILES_S6_16(...) __VA_ARGS__
#define TILES_S6_32(...) __VA_ARGS__
#define TILES_S8(...)    __VA_ARGS__

#define DECLARED(NAME)                                  extern "C" const struct moed_cuda_format moed_cuda_##NAME;
#define MOED_FLOAT(id, NAME, ...)                       DECLARED(NAME)
#define MOED_QUANT(id, NAME, block, bytes, scales, ...) TILES_##scales(DECLARED(NAME))
#include "kernels/formats.def"

static const struct moed_cuda_format *const formats[] = {
#define MOED_FLOAT(id, NAME, ...)                       &moed_cuda_##NAME,
#define MOED_QUANT(id, NAME, block, bytes, scales, ...) TILES_##scales(&moed_cuda_##NAME, )
#include "kernels/formats.def"
};

const struct moed_cuda_format *moed_cuda_format_at(size_t i)
{
    return i < sizeof formats / sizeof formats[0] ? formats[i] : NULL;
}

const struct moed_cuda_format *moed_cuda_format_by_name(const char *name)
{
    for (size_t i = 0; moed_cuda_format_at(i); i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

bool moed_cuda_matrix_shape(struct moed_cuda_matrix *m)
{
    const uint64_t chunks = ((uint64_t)m->cols + m->format->chunk - 1) / m->format->chunk;
    const uint64_t features = m->interleaved ? m->rows / 2 : m->rows;
    const uint64_t per_block = m->interleaved ? 8 : 16;

    m->blocks = (uint32_t)((features + per_block - 1) / per_block);
    m->block_bytes = chunks * m->format->tile_bytes;
    /* A part of a product counts its bytes in 32 bits. */
    return m->block_bytes <= UINT32_MAX / 2 &&
           !__builtin_mul_overflow(m->block_bytes, m->blocks, &m->expert_bytes);
}

float moed_cuda_unit(const struct moed_cuda_format *format, const struct moed_cuda_range *range)
{
    const bool floats = format == &moed_cuda_BF16 || format == &moed_cuda_F32;
    float weight, scale, unit = 1.0F;

    if (format == &moed_cuda_F16) /* they are multiplied as they are */
        return 1.0F;
    memcpy(&weight, &range->weight, sizeof weight);
    memcpy(&scale, &range->scale, sizeof scale);
    if (floats && weight > 0.0F && weight <= 3.0e38F) /* the largest weight becomes 2^8 to 2^9 */
        unit = fminf(fmaxf(scalbnf(1.0F, 8 - ilogbf(weight)), 0x1p-14F), 0x1p15F);
    if (!floats && scale > 0.0F && scale <= 3.0e38F) /* the largest scale, 2^-10 to 2^-9 */
        unit = fminf(fmaxf(scalbnf(1.0F, -10 - ilogbf(scale)), 0x1p-40F), 0x1p6F);
    return weight * unit <= 32768.0F && scale * unit <= (floats ? 32768.0F : 0x1p-9F) ? unit : 0.0F;
}
