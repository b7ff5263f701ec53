/* exact: products in f32, from weights decoded as kernels/reference_*.c do. For F32 weights, for
 * whoever wants rows not rounded, and for rows that f16 cannot hold; not for speed. */
#ifndef MOED_CUDA_EXACT_CUH
#define MOED_CUDA_EXACT_CUH

#include "epilogue.cuh"
#include "launch.cuh"

constexpr int EXACT_COLUMNS = 16;
constexpr int EXACT_THREADS = 128; /* rows g and g + 8 of a column each */

struct exact_block {
    float weights[TILE_ROWS][BLOCK_K + 1], rows[EXACT_COLUMNS][BLOCK_K + 1];
};

/* 16 × 64 weights: warp s decodes step s. */
template <class F> DEVICE void exact_decode(const uint8_t *from, int block, exact_block *to)
{
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        const place p = {block, (int)threadIdx.x % 32, (int)threadIdx.x / 32, i / 2, i % 2};

        to->weights[row_of(p)][k_of(p) % BLOCK_K] = value_of<F>(from, p);
    }
}

DEVICE void exact_rows(const struct moed_cuda_product &p, const struct moed_cuda_tile &t,
                       uint32_t k, exact_block *to)
{
    const uint32_t i = threadIdx.x / 8;
    const float *row = NULL;

    if (i < t.n)
        row = (const float *)p.in +
              (size_t)(p.in_row ? p.in_row[t.first + i] : t.first + i) * p.in_ld;
    for (uint32_t j = threadIdx.x % 8; j < BLOCK_K; j += 8)
        to->rows[i][j] = row && k + j < p.matrix.cols ? row[k + j] : 0.0F;
}

/* Sums of 64 are summed: f32 loses less than in one long sum. */
template <class F>
__global__ void __launch_bounds__(EXACT_THREADS) exact_product(const struct moed_cuda_product p)
{
    __shared__ exact_block s;

    wait_for_previous();

    const work w = work_of(p);
    const uint32_t g = threadIdx.x % 8, i = threadIdx.x / 8;

    for (uint32_t unit = blockIdx.x; unit < w.tiles * p.matrix.blocks; unit += gridDim.x) {
        const struct moed_cuda_tile t = tile_at(p, w, unit / p.matrix.blocks);
        const uint32_t block = unit % p.matrix.blocks;
        const uint8_t *from = tiles_of(p, t, block);
        float lower = 0.0F, upper = 0.0F;

        for (uint32_t k = 0; k < p.matrix.cols; k += BLOCK_K) {
            float sums[2] = {0.0F, 0.0F};

            exact_decode<F>(from + k / tile<F>::chunk * tile<F>::bytes,
                            (int)(k % tile<F>::chunk / BLOCK_K), &s);
            exact_rows(p, t, k, &s);
            __syncthreads();
            for (int j = 0; j < BLOCK_K; j++) {
                sums[0] += s.weights[g][j] * s.rows[i][j];
                sums[1] += s.weights[g + 8][j] * s.rows[i][j];
            }
            lower += sums[0];
            upper += sums[1];
            __syncthreads();
        }
        if (i < t.n)
            epilogue_two(p, column_of(p, t, i, 1.0F), block, g, lower, upper);
    }
}

#endif
