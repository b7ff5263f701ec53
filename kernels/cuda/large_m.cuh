/* large_m: products for many pairs an expert: 128 weight rows × up to 128 pairs a thread block, 16
 * rows a warp. Weights stream through a ring of each warp's own and become f16 in registers;
 * pairs are gathered, 64 inputs at a time, into a ring that the block shares. On sm_90a the
 * product is wgmma's, weights from registers and pairs from shared memory; elsewhere
 * mma.m16n8k16's, whose fragments are the same.
 *
 * Two blocks share a multiprocessor, so that one multiplies while the other waits. */
#ifndef MOED_CUDA_LARGE_M_CUH
#define MOED_CUDA_LARGE_M_CUH

#include "epilogue.cuh"
#include "launch.cuh"

constexpr int LARGE_M_WARPS = 8;
constexpr int LARGE_M_THREADS = LARGE_M_WARPS * 32;
constexpr int LARGE_M_SLOTS = 3;    /* of 64 inputs of all pairs */
constexpr uint32_t SUM_STRIDE = 20; /* floats from a column's 16 sums to the next: other banks */

template <class F> struct large_m_shape {
    static constexpr int tiles = tile<F>::chunk == 256 ? 1 : tile<F>::bytes > 1000 ? 2 : 4;
    static constexpr int stage = tiles * tile<F>::bytes;   /* of a warp's weights; there are 2 */
    static constexpr int blocks = tiles * tile<F>::blocks; /* of 64 inputs */

    static HD constexpr int bytes(int columns)
    {
        const int rings = LARGE_M_SLOTS * columns * 128 + LARGE_M_WARPS * 2 * stage;
        const int sums = LARGE_M_WARPS * columns * SUM_STRIDE * (int)sizeof(float);

        return (rings > sums ? rings : sums) + columns * (int)sizeof(float2);
    }
};

/* d += 16 rows a warp × N pairs over 16 inputs, the step-th of the pairs' slot at `slot`. */
template <int N>
DEVICE void large_m_multiply(float (&d)[N / 8][4], const uint32_t a[4], uint32_t slot, int step)
{
#if HAVE_WGMMA
    wgmma_fence();
    wgmma<N>(d, a, wgmma_rows(slot + step * 32));
    wgmma_commit();
    wgmma_wait<1>();
#else
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t row = lane / 16 * 8 + lane % 8;
    const uint32_t at = slot + row * 128 + ((step * 2 + lane / 8 % 2) ^ (row % 8)) * 16;

#pragma unroll
    for (int j = 0; j < N / 8; j += 2) {
        uint32_t b[4];

        load_matrices(b, at + j * 1024);
        mma_16_8_16(d[j], a, b[0], b[1]);
        mma_16_8_16(d[j + 1], a, b[2], b[3]);
    }
#endif
}

template <class F, int N> struct large_m_tile {
    static constexpr int loads = N < 32 ? 1 : N / 32; /* rows of pairs a thread copies from */

    const struct moed_cuda_product &p;
    uint32_t blocks;            /* of 64 inputs */
    uint32_t slots, slot_bytes; /* the pairs' ring */
    uint8_t *ring;              /* this warp's weights' */
    const uint8_t *weights;
    uint32_t weight_bytes;
    const uint4 *rows[loads];

    DEVICE void find_rows(const struct moed_cuda_tile &t)
    {
#pragma unroll
        for (int i = 0; i < loads; i++) {
            const uint32_t at = threadIdx.x / 8 + 32 * i;
            const uint32_t pair = t.first + (at < t.n ? at : t.n - 1);

            rows[i] = (const uint4 *)((const __half *)p.in +
                                      (size_t)(p.in_row ? p.in_row[pair] : pair) * p.in_ld) +
                      threadIdx.x % 8;
        }
    }

    DEVICE void copy_pairs(uint32_t block)
    {
        const uint32_t to = slots + block % LARGE_M_SLOTS * slot_bytes;

#pragma unroll
        for (int i = 0; i < loads; i++) {
            const uint32_t at = threadIdx.x / 8 + 32 * i;

            if (at < N)
                copy_16_async(to + at * 128 + (threadIdx.x % 8 ^ at % 8) * 16, rows[i] + block * 8);
        }
    }

    DEVICE void copy_weights(uint32_t stage)
    {
        const uint32_t at = stage * large_m_shape<F>::stage;
        const uint32_t to =
            shared_address(ring + stage % 2 * large_m_shape<F>::stage) + threadIdx.x % 32 * 16;

#pragma unroll
        for (int i = 0; i < large_m_shape<F>::stage; i += 512)
            if (at + i < weight_bytes && (i + 512 <= large_m_shape<F>::stage ||
                                          threadIdx.x % 32 * 16 < large_m_shape<F>::stage - i))
                copy_16_async(to + i, weights + at + i + threadIdx.x % 32 * 16);
    }

    DEVICE void begin()
    {
        copy_weights(0);
        copy_pairs(0);
        copies_commit();
        copies_commit();
        if (blocks > 1)
            copy_pairs(1);
        copies_commit();
        copy_weights(1);
        copies_commit();
    }

    /* What block `b` needs has arrived, and nobody reads what is copied over now. Pairs and
     * weights are groups of their own, each time, so that weights, which come from farther away,
     * have a block more to come. */
    DEVICE void advance(uint32_t b)
    {
        if (large_m_shape<F>::blocks > 2)
            copies_wait<3>();
        else
            copies_wait<2>(); /* a stage's weights are needed two blocks later */
        fence_for_wgmma();
        __syncthreads();
        if (b + 2 < blocks)
            copy_pairs(b + 2);
        copies_commit();
        if (b > 0 && b % large_m_shape<F>::blocks == 0)
            copy_weights(b / large_m_shape<F>::blocks + 1);
        copies_commit();
    }

    DEVICE void multiply(float (&d)[N / 8][4])
    {
        lane_weights<F> w;

        begin();
#pragma unroll 1
        for (uint32_t b = 0; b < blocks; b++) {
            const uint32_t in_stage = b % large_m_shape<F>::blocks;
            const uint8_t *stage = ring +
                                   b / large_m_shape<F>::blocks % 2 * large_m_shape<F>::stage +
                                   in_stage / tile<F>::blocks * tile<F>::bytes;
            const uint32_t slot = slots + b % LARGE_M_SLOTS * slot_bytes;
            uint32_t a[2][4];

            advance(b);
            if (in_stage % tile<F>::blocks == 0)
                w.begin(stage, (int)(threadIdx.x % 32), p.matrix.unit);
            w.load(stage, (int)(in_stage % tile<F>::blocks), (int)(threadIdx.x % 32),
                   p.matrix.unit);
#pragma unroll
            for (int step = 0; step < 4; step++) {
                w.fragment(step, p.matrix.unit, a[step % 2]);
                large_m_multiply<N>(d, a[step % 2], slot, step);
            }
            wgmma_wait<0>();
        }
        copies_wait<0>();
    }
};

/* A warp's sums on their way from its registers, [columns][16 rows], where the rings were. */
template <int N>
DEVICE void large_m_put_sums(const float (&d)[N / 8][4], uint32_t lane, float *sums)
{
#pragma unroll
    for (int j = 0; j < N / 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            sums[(j * 8 + lane % 4 * 2 + i % 2) * SUM_STRIDE + lane / 4 + i / 2 * 8] = d[j][i];
}

template <class F, int N>
DEVICE void large_m_unit(const struct moed_cuda_product &p, const struct moed_cuda_tile &t,
                         uint32_t block, uint8_t *shared, float *sums)
{
    const uint32_t slot_bytes = p.columns * 128;
    const bool mine = block < p.matrix.blocks;
    large_m_tile<F, N> tile = {p,
                               (p.matrix.cols + BLOCK_K - 1) / BLOCK_K,
                               shared_address(shared),
                               slot_bytes,
                               shared + LARGE_M_SLOTS * slot_bytes +
                                   threadIdx.x / 32 * 2 * large_m_shape<F>::stage,
                               mine ? tiles_of(p, t, block) : NULL,
                               mine ? (uint32_t)p.matrix.block_bytes : 0};
    float d[N / 8][4] = {};

    tile.find_rows(t);
    tile.multiply(d);
    __syncthreads(); /* nobody reads the rings now */
    large_m_put_sums<N>(d, threadIdx.x % 32, sums);
}

/* A warp's sums on their way out, eight rows of four columns at a time. */
template <bool PLAIN>
DEVICE void large_m_epilogue(const struct moed_cuda_product &p, const struct moed_cuda_tile &t,
                             uint32_t block, const float *sums, const float2 *factors)
{
    const uint32_t row = threadIdx.x % 8;

#pragma unroll(PLAIN ? 2 : 1)
    for (uint32_t i = threadIdx.x % 32 / 8; i < t.n; i += 4) {
        const float *from = sums + i * SUM_STRIDE + row;
        const float2 by = factors[i];

        epilogue_either<PLAIN>(p, {t.first + i, t.expert, by.x, by.y}, block, row, from[0],
                               from[8]);
    }
}

template <class F>
__global__ void __launch_bounds__(LARGE_M_THREADS, 2)
    large_m_product(const struct moed_cuda_product p)
{
    extern __shared__ __align__(1024) uint8_t shared[]; /* as wgmma wants its rows */
    float *sums = (float *)shared + threadIdx.x / 32 * p.columns * SUM_STRIDE;
    float2 *factors = (float2 *)(shared + large_m_shape<F>::bytes((int)p.columns)) - p.columns;

    wait_for_previous();

    const uint32_t groups = (p.matrix.blocks + LARGE_M_WARPS - 1) / LARGE_M_WARPS;
    const work w = work_of(p);
    const bool plain = is_plain(p);

    for (uint32_t unit = blockIdx.x; unit < w.tiles * groups; unit += gridDim.x) {
        const struct moed_cuda_tile t = tile_at(p, w, unit / groups);
        const uint32_t block = unit % groups * LARGE_M_WARPS + threadIdx.x / 32;

        if (threadIdx.x < t.n) { /* looked up while the weights are on their way */
            const column c = column_of(p, t, threadIdx.x, p.matrix.unit);

            factors[threadIdx.x] = make_float2(c.factor, c.units);
        }
        if (t.n <= 16)
            large_m_unit<F, 16>(p, t, block, shared, sums);
        else if (t.n <= 32)
            large_m_unit<F, 32>(p, t, block, shared, sums);
        else if (t.n <= 64)
            large_m_unit<F, 64>(p, t, block, shared, sums);
        else
            large_m_unit<F, 128>(p, t, block, shared, sums);
        __syncwarp();
        if (block < p.matrix.blocks && plain)
            large_m_epilogue<true>(p, t, block, sums, factors);
        else if (block < p.matrix.blocks)
            large_m_epilogue<false>(p, t, block, sums, factors);
        __syncthreads(); /* before the rings are filled again */
    }
}

#endif
