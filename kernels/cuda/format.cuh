/* format: the number formats that the GPU multiplies, one struct a row of kernels/formats.def,
 * which says where a block of the file keeps its codes and its scales. kernels/reference_*.c draw
 * the blocks. */
#ifndef MOED_CUDA_FORMAT_CUH
#define MOED_CUDA_FORMAT_CUH

#include <stdint.h>

#include "kernels/quant.h"

#define HD __host__ __device__ __forceinline__

/* What stands beside the codes, as a tile keeps it (tile.cuh). */
enum scale_kind {
    SCALE_NONE, /* nothing: the codes are floats */
    SCALE_D,    /* f16 d of 32 */
    SCALE_D_M,  /* f16 d and f16 m of 32 */
    SCALE_E8M0, /* a power of two of 32 */
    SCALE_SM8,  /* f16 d and dmin of 256; a byte of scale and one of minimum of 32 */
    SCALE_SM4,  /* f16 d and dmin of 256; a nibble of each of 16 */
    SCALE_S8    /* f16 d of 256; a signed byte of scale of 16 or 32 */
};

HD constexpr scale_kind tile_scales(moed_scales of_file)
{
    return of_file == MOED_SCALES_D      ? SCALE_D
           : of_file == MOED_SCALES_D_M  ? SCALE_D_M
           : of_file == MOED_SCALES_E8M0 ? SCALE_E8M0
           : of_file == MOED_SCALES_SM6  ? SCALE_SM8
           : of_file == MOED_SCALES_SM4  ? SCALE_SM4
                                         : SCALE_S8;
}

enum code_table { TABLE_NONE, TABLE_NONLINEAR, TABLE_FP4 };

/* The lowest bit of a code: its byte, and its place there. */
struct bit_at {
    int byte, shift;
};

HD constexpr bit_at bit_of_plane(const moed_plane &p, int k)
{
    const int places = p.bits == 0 ? 1 : 8 / p.bits;

    return {p.at + k / (p.run * places) * p.run + k % p.run,
            (int)(p.shifts >> (4 * (k / p.run % places)) & 15U)};
}

#define IS_BRAIN_IEEE  false
#define IS_BRAIN_BRAIN true

#define MOED_FLOAT(id, NAME, bytes_, kind)                                              \
    struct NAME {                                                                       \
        static constexpr int block = 1, bytes = (bytes_), low = 8 * (bytes_), high = 0; \
        static constexpr int group = 32, offset = 0, d_at = 0, small_at = 0;            \
        static constexpr moed_scales file_scales = MOED_SCALES_D; /* of none */         \
        static constexpr scale_kind scales = SCALE_NONE;                                \
        static constexpr code_table table = TABLE_NONE;                                 \
        static constexpr bool bfloat = IS_BRAIN_##kind;                                 \
    };

/* `low` bits of a code lie in one place and `high` more, above them, in another; `offset` is taken
 * off a code that is not looked up. `group` codes share a scale. */
#define MOED_QUANT(id, NAME, block_, bytes_, scales_, d_at_, small_at_, low_, high_, offset_, \
                   table_, ...)                                                               \
    struct NAME {                                                                             \
        static constexpr moed_plane low_plane = low_, high_plane = high_;                     \
        static constexpr int block = (block_), bytes = (bytes_);                              \
        static constexpr int low = low_plane.bits, high = high_plane.bits;                    \
        static constexpr int group = MOED_GROUP_##scales_, d_at = (d_at_);                    \
        static constexpr moed_scales file_scales = MOED_SCALES_##scales_;                     \
        static constexpr int small_at = (small_at_);                                          \
        static constexpr scale_kind scales = tile_scales(file_scales);                        \
        static constexpr code_table table = TABLE_##table_;                                   \
        static constexpr int offset = table == TABLE_NONE ? (offset_) : 0;                    \
        static constexpr bool bfloat = false;                                                 \
                                                                                              \
        static HD bit_at low_at(int k)                                                        \
        {                                                                                     \
            constexpr moed_plane plane = low_;                                                \
            return bit_of_plane(plane, k);                                                    \
        }                                                                                     \
        static HD bit_at high_at(int k)                                                       \
        {                                                                                     \
            constexpr moed_plane plane = high_;                                               \
            return bit_of_plane(plane, k);                                                    \
        }                                                                                     \
    };
#include "kernels/formats.def"

#endif
