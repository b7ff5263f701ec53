/* few: products for few entries an expert, which are as fast as weights come from memory. Each warp
 * goes its own way: it takes 16 weight rows and up to 8 entries, streams the rows' tiles through a
 * ring of its own in shared memory, and multiplies by mma.m16n8k16. Entries come straight from the
 * caches, in lane order (rows.cuh).
 *
 * Where there is less work than warps, `split` of them share a unit, each every split-th part of
 * its inputs, and the first adds their sums up in order. */
#ifndef MOED_CUDA_FEW_CUH
#define MOED_CUDA_FEW_CUH

#include "finish.cuh"
#include "integer.cuh"
#include "launch.cuh"

constexpr int FEW_COLUMNS = 8;
constexpr int FEW_WARPS = 16;

template <class F> struct few_shape {
    /* A stage of a ring is a tile or, where those are small, the next few. */
    static constexpr int tiles = tile<F>::chunk == 256 ? 1 : tile<F>::bytes > 1500 ? 2 : 4;
    static constexpr int stage = tiles * tile<F>::bytes;
    static constexpr int blocks = tiles * tile<F>::blocks; /* of 64 inputs */
    static constexpr int stages = stage > 3000 ? 3 : 4;
    static constexpr int sums = 2 * 32 * 4 * (int)sizeof(float); /* of one warp, twice */

    static constexpr int bytes(int warps)
    {
        return warps * (stages * stage + sums);
    }
};

template <class F> struct few_walk {
    const struct moed_cuda_product &p;
    work w;
    uint32_t end, units_apart, parts, split, rank; /* of this group of warps, and this warp */
    uint8_t *ring;
    uint32_t lane, filled, taken;
    uint32_t unit, part; /* to be copied next */
    const uint8_t *rows; /* the unit's */

    DEVICE void begin(uint32_t at)
    {
        unit = at;
        part = rank;
        if (unit < end)
            rows = tiles_of(p, tile_at(p, w, unit / p.matrix.blocks), unit % p.matrix.blocks);
    }

    /* Copies the next part of what is to do, if there is one, into the next stage of the ring. */
    DEVICE void fill()
    {
        if (unit < end && part < parts) {
            const uint8_t *from = rows + (size_t)part * few_shape<F>::stage + lane * 16;
            const uint32_t to =
                shared_address(ring + filled % few_shape<F>::stages * few_shape<F>::stage) +
                lane * 16;

            /* The last part may be shorter; what follows it is there too (MOED_CUDA_SLACK). */
#pragma unroll
            for (int i = 0; i < few_shape<F>::stage; i += 512)
                if (i + 512 <= few_shape<F>::stage || lane * 16 < few_shape<F>::stage - i)
                    copy_16_async(to + i, from + i);
            filled++;
            part += split;
            if (part >= parts)
                begin(unit + units_apart);
        }
        copies_commit(); /* also where there is nothing left: groups are counted */
    }

    /* The stage that was filled first and not taken yet. */
    DEVICE const uint8_t *take()
    {
        fill();
        copies_wait<few_shape<F>::stages - 1>();
        __syncwarp();
        return ring + taken++ % few_shape<F>::stages * few_shape<F>::stage;
    }
};

union few_inputs { /* this lane's 16 inputs of a block of 64 */
    uint4 halves[2];
    uint32_t fragments[8];

    DEVICE void load(const uint4 *row, uint32_t block)
    {
        if (row) {
            halves[0] = row[block * 8];
            halves[1] = row[block * 8 + 1];
        }
    }
};

/* How a lane multiplies: quantised weights as integers, whose units are their own. */
template <class F> struct few_lane {
    using weights = lane_integers<F>;

    static DEVICE weights of(float)
    {
        return {};
    }
    static DEVICE float unit(float)
    {
        return 1.0F;
    }
};

template <class F> struct few_float_lane {
    using weights = lane_floats<F>;

    static DEVICE weights of(float unit)
    {
        weights w;

        w.unit = unit;
        return w;
    }
    static DEVICE float unit(float unit)
    {
        return unit;
    }
};

template <> struct few_lane<F16> : few_float_lane<F16> {
};
template <> struct few_lane<BF16> : few_float_lane<BF16> {
};

/* Blocks [0, n) of a part; n known: unrolled, so that each block's work fills the others' waits. */
template <class F, bool WHOLE>
DEVICE void few_blocks(const few_walk<F> &walk, const uint8_t *stage, const uint4 *row, uint32_t n,
                       float sums[4])
{
    typename few_lane<F>::weights weights = few_lane<F>::of(walk.p.matrix.unit);

#pragma unroll(WHOLE ? few_shape <F>::blocks : 1)
    for (uint32_t b = 0; b < (WHOLE ? few_shape<F>::blocks : n); b++) {
        const uint8_t *from = stage + b / tile<F>::blocks * tile<F>::bytes;
        few_inputs inputs = {};

        inputs.load(row, b);
        if (b % tile<F>::blocks == 0)
            weights.begin(from, (int)walk.lane);
        weights.load(from, (int)(b % tile<F>::blocks), (int)walk.lane);
        weights.multiply(inputs.fragments, sums);
    }
}

/* sums += one part of 16 rows × 8 entries. */
template <class F>
DEVICE void few_part(const few_walk<F> &walk, const uint8_t *stage, const uint4 *row, uint32_t part,
                     float sums[4])
{
    const uint32_t first = part * few_shape<F>::blocks;
    const uint32_t all = (walk.p.matrix.cols + BLOCK_K - 1) / BLOCK_K;
    const uint4 *at = row ? row + first * 8 : NULL;

    if (all - first >= few_shape<F>::blocks)
        few_blocks<F, true>(walk, stage, at, few_shape<F>::blocks, sums);
    else
        few_blocks<F, false>(walk, stage, at, all - first, sums);
}

/* The first warp of a group adds the others' sums to its own, in their order. */
DEVICE void few_gather(float *shared_sums, uint32_t split, uint32_t rank, uint32_t lane,
                       uint32_t turn, float sums[4])
{
    const int group = (int)(threadIdx.x / 32 / split);
    float4 *mine = (float4 *)shared_sums + turn % 2 * 32 + lane;

    if (rank > 0)
        mine[rank * 64] = make_float4(sums[0], sums[1], sums[2], sums[3]);
    barrier_of(group + 1, (int)split * 32);
    for (uint32_t i = 1; i < split && rank == 0; i++) {
        const float4 other = mine[i * 64];

        sums[0] += other.x;
        sums[1] += other.y;
        sums[2] += other.z;
        sums[3] += other.w;
    }
}

/* Lane 4g + t has rows g and g + 8 of entries 2t and 2t + 1. Their columns are looked up before the
 * weights come, not after. */
struct few_columns {
    column at[2];

    DEVICE void find(const struct moed_cuda_product &p, const struct moed_cuda_tile &t,
                     uint32_t lane, float unit)
    {
#pragma unroll
        for (uint32_t i = 0; i < 2; i++)
            if (lane % 4 * 2 + i < t.n)
                at[i] = column_of(p, t, lane % 4 * 2 + i, unit);
    }

    DEVICE void finish(const struct moed_cuda_product &p, const struct moed_cuda_tile &t,
                       uint32_t block, uint32_t lane, const float sums[4]) const
    {
#pragma unroll 1
        for (uint32_t i = 0; i < 2; i++)
            if (lane % 4 * 2 + i < t.n)
                finish_two(p, i == 0 ? at[0] : at[1], block, lane / 4, i == 0 ? sums[0] : sums[1],
                           i == 0 ? sums[2] : sums[3]);
    }
};

template <class F>
__global__ void __launch_bounds__(FEW_WARPS * 32, 1)
    few_product(const struct moed_cuda_product p, uint32_t split)
{
    extern __shared__ __align__(1024) uint8_t shared[];

    follow();

    const uint32_t warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t group = warp / split, rank = warp % split, groups = warps / split;
    const work w = work_of(p);
    const uint64_t units = (uint64_t)w.tiles * p.matrix.blocks;
    const uint32_t begin = (uint32_t)(units * blockIdx.x / gridDim.x) + group;
    const uint32_t end = (uint32_t)(units * (blockIdx.x + 1) / gridDim.x);
    const uint32_t parts =
        (uint32_t)((p.matrix.block_bytes + few_shape<F>::stage - 1) / few_shape<F>::stage);
    float *shared_sums = (float *)(shared + warps * few_shape<F>::stages * few_shape<F>::stage) +
                         (warp - rank) * 256;
    few_walk<F> walk = {
        p,     w,     end,  groups,
        parts, split, rank, shared + warp * few_shape<F>::stages * few_shape<F>::stage,
        lane};
    uint32_t turn = 0;

    walk.begin(begin);
    for (int i = 0; i < few_shape<F>::stages - 1; i++)
        walk.fill();
    for (uint32_t unit = begin; unit < end; unit += groups, turn++) {
        const struct moed_cuda_tile t = tile_at(p, w, unit / p.matrix.blocks);
        const uint32_t i = lane / 4;
        const uint4 *row = NULL;
        float sums[4] = {0.0F, 0.0F, 0.0F, 0.0F};
        few_columns columns;

        if (i < t.n)
            row = (const uint4 *)((const __half *)p.in +
                                  (size_t)(p.in_row ? p.in_row[t.first + i] : t.first + i) *
                                      p.in_ld) +
                  lane % 4 * 2;
        columns.find(p, t, lane, few_lane<F>::unit(p.matrix.unit));
        for (uint32_t part = rank; part < parts; part += split) {
            few_part<F>(walk, walk.take(), row, part, sums);
            __syncwarp(); /* before the stage is filled again */
        }
        if (split > 1)
            few_gather(shared_sums, split, rank, lane, turn, sums);
        if (rank == 0)
            columns.finish(p, t, unit % p.matrix.blocks, lane, sums);
    }
    copies_wait<0>();
}

#endif
