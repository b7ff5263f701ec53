/* tile: weights as the kernels read them. A tile is 16 rows × `chunk` inputs of one format:
 *
 *   low plane    codes' low bits, in the order of the matrix units' fragments (below)
 *   high plane   the bits above them, likewise
 *   small        [16 rows][chunk / group] scales that are bytes or nibbles (with their minimums)
 *   wide         [16 rows][chunk / block or chunk / 32] f16 d, or d and m; or e8m0 bytes
 *
 * Tiles of a row of tiles follow one another; so a matrix of R rows and C inputs is
 * [R / 16][C / chunk] tiles, and may be cut at 16 rows, and at 32 inputs, since the planes are
 * ordered by 16 inputs and scales by their groups. Nothing is rounded: unpack.cuh gives the file's
 * bytes back.
 *
 * For mma.m16n8k16 and wgmma.m64nNk16, lane 4g + t of a warp holds of each 16 × 16 weights:
 *
 *            k = 2t, 2t + 1   k = 2t + 8, 2t + 9
 *   row g        pair 0            pair 2
 *   row g + 8    pair 1            pair 3
 *
 * A block of 64 inputs is 4 such steps, so a lane's 32 codes of a block lie together, and one load
 * brings them all. */
#ifndef MOED_CUDA_TILE_CUH
#define MOED_CUDA_TILE_CUH

#include "cuda.h"
#include "format.cuh"

constexpr int TILE_ROWS = MOED_CUDA_TILE_ROWS;
constexpr int BLOCK_K = MOED_CUDA_BLOCK_K; /* inputs of four steps */

/* One code of a tile, by the lane that holds it. */
struct place {
    int block, lane, step, pair, half; /* block of 64 inputs */
};

HD constexpr place place_of(int row, int k)
{
    const int kk = k % 16;

    return {k / BLOCK_K, row % 8 * 4 + kk % 8 / 2, k % BLOCK_K / 16, row / 8 + kk / 8 * 2, kk % 2};
}

HD constexpr int row_of(const place &p)
{
    return p.lane / 4 + p.pair % 2 * 8;
}

HD constexpr int k_of(const place &p)
{
    return p.block * BLOCK_K + p.step * 16 + p.pair / 2 * 8 + p.lane % 4 * 2 + p.half;
}

/* Where in a plane a code's bits are. A word of 32 bits holds 2 · n codes as n pairs whose halves
 * are 16 bits apart, since half2 arithmetic takes both at once; where codes are looked up in a
 * table, they are in the order in which prmt takes its selectors. */
template <int BITS, bool LOOKED_UP> HD bit_at plane_at(const place &p)
{
    const int at = p.step * 4 + p.pair; /* of 16 pairs */

    if (BITS == 1)
        return {p.block * 128 + p.lane * 4 + p.half * 2 + at / 8, at % 8};
    if (BITS == 2)
        return {p.block * 256 + p.lane * 8 + at / 8 * 4 + p.half * 2 + at % 8 / 4, at % 4 * 2};
    if (BITS == 4) {
        const int nibble = LOOKED_UP ? p.pair * 2 + p.half : p.half * 4 + p.pair;

        return {p.block * 512 + p.lane * 16 + p.step * 4 + nibble / 2, nibble % 2 * 4};
    }
    if (BITS == 8)
        return {p.block * 1024 + p.step / 2 * 512 + p.lane * 16 + at % 8 * 2 + p.half, 0};
    if (BITS == 16)
        return {p.block * 2048 + p.step * 512 + p.lane * 16 + p.pair * 4 + p.half * 2, 0};
    return {p.block * 4096 + (at * 2 + p.half) * 128 + p.lane * 4, 0};
}

template <class F> struct tile {
    static constexpr int chunk = F::block > 64 ? F::block : 64;
    static constexpr int groups = chunk / F::group; /* of a row */
    static constexpr int blocks = chunk / BLOCK_K;

    static constexpr int low = 0;
    static constexpr int high = TILE_ROWS * chunk * F::low / 8;
    static constexpr int small = high + TILE_ROWS * chunk * F::high / 8;
    static constexpr int small_row = F::scales == SCALE_SM8                            ? groups * 2
                                     : F::scales == SCALE_SM4 || F::scales == SCALE_S8 ? groups
                                                                                       : 0;
    static constexpr int wide = small + TILE_ROWS * small_row;
    static constexpr int wide_row = F::scales == SCALE_NONE   ? 0
                                    : F::scales == SCALE_E8M0 ? groups
                                    : F::scales == SCALE_D    ? groups * 2
                                    : F::scales == SCALE_D_M  ? groups * 4
                                    : F::scales == SCALE_S8   ? 2
                                                              : 4;
    static constexpr int bytes = wide + TILE_ROWS * wide_row;

    static HD bit_at low_at(const place &p)
    {
        return plane_at<F::low, F::table != TABLE_NONE>(p);
    }
    static HD bit_at high_at(const place &p)
    {
        bit_at at = plane_at < F::high == 0 ? 1 : F::high, false > (p);

        at.byte += high;
        return at;
    }

    static_assert(bytes % 16 == 0, "tiles are copied 16 bytes at a time");
};

#endif
