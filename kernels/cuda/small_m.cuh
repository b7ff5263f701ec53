/* small_m: products for few pairs an expert, which are as fast as weights come from memory. A
 * thread block takes a run of units, 16 weight rows by up to 8 pairs, and goes through it in rounds
 * of up to two tiles of pairs, whose inputs it holds in shared memory. Each warp then goes its own
 * way: it streams its units' weights through a ring of its own, and multiplies by mma.m16n8k16, in
 * the one order of sums that all products have (order.cuh).
 *
 * Grid: a block a multiprocessor, of 8 or 16 warps; shared memory: a ring a warp, and a round's
 * inputs. Blocks wait for no other block. Weights are asked for before wait_for_previous() where
 * the plan is older than the launch before; the next launch may overlap up to EARLY_ROWS rows. */
#ifndef MOED_CUDA_SMALL_M_CUH
#define MOED_CUDA_SMALL_M_CUH

#include "epilogue.cuh"
#include "launch.cuh"
#include "order.cuh"

constexpr int SMALL_M_COLUMNS = 8;
constexpr int SMALL_M_WARPS = 16;
constexpr uint32_t SMALL_M_TILES = 2; /* of a round */

template <class F> struct small_m_shape {
    /* A stage of a ring is a tile or, where those are small, the next few. */
    static constexpr int tiles = tile<F>::chunk == 256 ? 1 : tile<F>::bytes > 1500 ? 2 : 4;
    static constexpr int stage = tiles * tile<F>::bytes;
    static constexpr int blocks = tiles * tile<F>::blocks; /* of 64 inputs */
    static constexpr int stages = stage > 3500 ? 2 : 3;
    static constexpr int ring = stages * stage + 32; /* of one warp, and its barriers */

    static_assert(stages * 8 <= 32 && stage % 16 == 0, "bulk copies are aligned");
    static_assert(PART_BLOCKS % blocks == 0, "a part of a sum is whole stages");
};

/* How a launch shares out its work and its shared memory. */
struct small_m_setup {
    uint32_t columns; /* pairs that a tile has at most */
    uint32_t tiles;   /* of a round, whose inputs are held; 0: none is, they come from the caches */
    uint32_t column_bytes;

    HD uint32_t round() const
    {
        return tiles == 1 ? 1 : SMALL_M_TILES;
    }
    HD uint32_t held_bytes() const
    {
        return tiles * columns * column_bytes;
    }
    template <class F> HD uint32_t bytes(uint32_t warps) const
    {
        return warps * small_m_shape<F>::ring + held_bytes();
    }
};

/* What all of a block knows of its round. */
struct small_m_round {
    struct moed_cuda_tile tile[SMALL_M_TILES];
    column columns[SMALL_M_TILES][SMALL_M_COLUMNS];
    uint32_t first[SMALL_M_TILES]; /* units */
    uint64_t arrived;              /* a barrier: inputs that are held have come */
};

/* A warp's ring of stages. Copies are announced to a barrier a stage; before sm_90 they are counted
 * by the threads that make them. */
template <class F> struct small_m_ring {
    uint8_t *stages;
    uint32_t filled, taken;

    DEVICE uint32_t barrier(uint32_t stage) const
    {
        return shared_address(stages + small_m_shape<F>::stages * small_m_shape<F>::stage) +
               stage * 8;
    }

    DEVICE void init(uint32_t lane)
    {
        filled = taken = 0;
        if (lane == 0)
            for (uint32_t i = 0; i < small_m_shape<F>::stages; i++)
                barrier_init(barrier(i), 1);
        barriers_visible();
        __syncwarp();
    }

    /* `from` NULL: nothing is left to copy. */
    DEVICE void fill(const uint8_t *from, uint32_t lane)
    {
        const uint32_t stage = filled % small_m_shape<F>::stages;
        const uint32_t to = shared_address(stages + stage * small_m_shape<F>::stage);

        /* The last part may be shorter; what follows it is there too (MOED_CUDA_SLACK). */
#if HAVE_BULK
        if (from && lane == 0) {
            barrier_expect(barrier(stage), small_m_shape<F>::stage);
            copy_bulk(to, from, small_m_shape<F>::stage, barrier(stage));
        }
        __syncwarp();
#else
#pragma unroll
        for (int i = 0; i < small_m_shape<F>::stage; i += 512)
            if (from &&
                (i + 512 <= small_m_shape<F>::stage || lane * 16 < small_m_shape<F>::stage - i))
                copy_16_async(to + lane * 16 + i, from + lane * 16 + i);
        copies_commit(); /* also where there is nothing left: groups are counted */
#endif
        filled += from != NULL;
    }

    /* The stage that was filled first and not taken yet. */
    DEVICE const uint8_t *take()
    {
        const uint32_t stage = taken % small_m_shape<F>::stages;

#if HAVE_BULK
        barrier_wait(barrier(stage), taken / small_m_shape<F>::stages % 2);
#else
        copies_wait<small_m_shape<F>::stages - 1>();
#endif
        __syncwarp();
        taken++;
        return stages + stage * small_m_shape<F>::stage;
    }
};

/* The stages of a warp's units of a round, in their order. */
struct small_m_walk {
    uint32_t unit, end, unit_stride;
    uint32_t stage, stages;
    const uint8_t *rows; /* the unit's */

    DEVICE void begin(const struct moed_cuda_product &p, const small_m_round &round, uint32_t at)
    {
        const uint32_t i = at >= round.first[1];

        unit = at;
        stage = 0;
        if (unit < end)
            rows = tiles_of(p, round.tile[i], unit - round.first[i]);
    }

    /* The next stage, of `bytes`; NULL: there is none. */
    DEVICE const uint8_t *next(const struct moed_cuda_product &p, const small_m_round &round,
                               uint32_t bytes)
    {
        const uint8_t *found = NULL;

        if (unit < end) {
            found = rows + (size_t)stage * bytes;
            if (++stage == stages)
                begin(p, round, unit + unit_stride);
        }
        return found;
    }
};

union small_m_inputs { /* this lane's 16 inputs of a block of 64 */
    uint4 halves[2];
    uint32_t fragments[8];

    DEVICE void load(const uint4 *row, uint32_t block)
    {
        halves[0] = row[block * 8];
        halves[1] = row[block * 8 + 1];
    }
};

/* Blocks [0, n) of a stage; n known: unrolled, so that each block's work fills the others' waits.
 */
template <class F, bool WHOLE>
DEVICE void small_m_blocks(float unit, const uint8_t *stage, const uint4 *row, uint32_t n,
                           float sums[4])
{
    const int lane = (int)(threadIdx.x % 32);
    lane_weights<F> weights;

#pragma unroll(WHOLE ? small_m_shape <F>::blocks : 1)
    for (uint32_t b = 0; b < (WHOLE ? small_m_shape<F>::blocks : n); b++) {
        const uint8_t *from = stage + b / tile<F>::blocks * tile<F>::bytes;
        small_m_inputs inputs;

        inputs.load(row, b);
        if (b % tile<F>::blocks == 0)
            weights.begin(from, lane, unit);
        weights.load(from, (int)(b % tile<F>::blocks), lane, unit);
#pragma unroll
        for (int s = 0; s < 4; s++) {
            uint32_t a[4];

            weights.fragment(s, unit, a);
            mma_16_8_16(sums, a, inputs.fragments[2 * s], inputs.fragments[2 * s + 1]);
        }
    }
}

/* sums += one stage of 16 rows × 8 pairs. Where only a few are to come, fetching a loop's
 * instructions once is faster than unrolled ones. */
template <class F>
DEVICE void small_m_stage(const struct moed_cuda_product &p, const uint8_t *stage, const uint4 *row,
                          uint32_t at, float sums[4], bool unroll = true)
{
    const uint32_t first = at * small_m_shape<F>::blocks;
    const uint32_t all = (p.matrix.cols + BLOCK_K - 1) / BLOCK_K;

    if (unroll && all - first >= small_m_shape<F>::blocks)
        small_m_blocks<F, true>(p.matrix.unit, stage, row + first * 8, small_m_shape<F>::blocks,
                                sums);
    else
        small_m_blocks<F, false>(p.matrix.unit, stage, row + first * 8,
                                 min(all - first, (uint32_t)small_m_shape<F>::blocks), sums);
}

/* Lane 4g + t has rows g and g + 8 of pairs 2t and 2t + 1. */
template <bool PLAIN>
DEVICE void small_m_epilogue(const struct moed_cuda_product &p,
                             const column columns[SMALL_M_COLUMNS], uint32_t n, uint32_t block,
                             const float sums[4])
{
    const uint32_t lane = threadIdx.x % 32;

#pragma unroll(PLAIN ? 2 : 1)
    for (uint32_t i = 0; i < 2; i++)
        if (lane % 4 * 2 + i < n)
            epilogue_either<PLAIN>(p, columns[lane % 4 * 2 + i], block, lane / 4,
                                   i == 0 ? sums[0] : sums[1], i == 0 ? sums[2] : sums[3]);
}

/* ---- a round ---- */

/* Which tiles these are, of `n` from number `first` on. */
DEVICE void small_m_find(const struct moed_cuda_product &p, const work &w, uint32_t first,
                         uint32_t n, small_m_round &round)
{
    const uint32_t i = threadIdx.x;

    if (i >= SMALL_M_TILES)
        return;
    round.tile[i] = i < n ? tile_at(p, w, first + i) : moed_cuda_tile{0, 0, 0};
    round.first[i] = i < n ? (first + i) * p.matrix.blocks : UINT32_MAX;
}

DEVICE const uint8_t *small_m_row(const struct moed_cuda_product &p, const struct moed_cuda_tile &t,
                                  uint32_t i)
{
    const uint32_t row = p.in_row ? p.in_row[t.first + i] : t.first + i;

    return (const uint8_t *)p.in + (size_t)row * p.in_ld * sizeof(__half);
}

/* Has inputs of the round's tiles copied to `held`: they are there when the round's barrier says so
 * or, before sm_90, when this returns and the block has met. */
DEVICE void small_m_hold(const struct moed_cuda_product &p, const small_m_setup &s,
                         small_m_round &round, uint8_t *held)
{
    const uint32_t bytes = p.in_ld * (uint32_t)sizeof(__half);
#if HAVE_BULK
    const uint32_t tile = threadIdx.x / SMALL_M_COLUMNS, i = threadIdx.x % SMALL_M_COLUMNS;

    if (threadIdx.x >= 32)
        return;
    if (threadIdx.x == 0)
        barrier_expect(shared_address(&round.arrived), (round.tile[0].n + round.tile[1].n) * bytes);
    __syncwarp();
    if (tile < SMALL_M_TILES && i < round.tile[tile].n)
        copy_bulk(shared_address(held + (tile * s.columns + i) * s.column_bytes),
                  small_m_row(p, round.tile[tile], i), bytes, shared_address(&round.arrived));
    __syncwarp();
#else
    for (uint32_t tile = 0; tile < SMALL_M_TILES; tile++)
        for (uint32_t i = threadIdx.x / 32; i < round.tile[tile].n; i += blockDim.x / 32) {
            const uint8_t *from = small_m_row(p, round.tile[tile], i);
            const uint32_t to = shared_address(held + (tile * s.columns + i) * s.column_bytes);

            for (uint32_t k = threadIdx.x % 32 * 16; k < bytes; k += 512)
                copy_16_async(to + k, from + k);
        }
    copies_commit();
    copies_wait<0>();
#endif
}

DEVICE void small_m_find_columns(const struct moed_cuda_product &p, float unit,
                                 small_m_round &round)
{
    const uint32_t tile = threadIdx.x / SMALL_M_COLUMNS, i = threadIdx.x % SMALL_M_COLUMNS;

    if (tile < SMALL_M_TILES && i < round.tile[tile].n)
        round.columns[tile][i] = column_of(p, round.tile[tile], i, unit);
}

template <class F, bool HELD>
__global__ void __launch_bounds__(SMALL_M_WARPS * 32, 1)
    small_m_product(const struct moed_cuda_product p, const small_m_setup s)
{
    extern __shared__ __align__(1024) uint8_t shared[];
    __shared__ small_m_round round;

    const uint32_t warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint8_t *held = shared + warps * small_m_shape<F>::ring;
    small_m_ring<F> ring = {shared + warp * small_m_shape<F>::ring};
    const bool plain = is_plain(p);
    bool waited = !p.planned_before;
    uint32_t rounds = 0;

    if (threadIdx.x == 0)
        barrier_init(shared_address(&round.arrived), 1);
    ring.init(lane);
    if (waited)
        wait_for_previous_of(p.batch->rows);

    const work w = work_of(p);
    const uint64_t units = (uint64_t)w.tiles * p.matrix.blocks;
    const uint32_t begin = (uint32_t)(units * blockIdx.x / gridDim.x);
    const uint32_t end = (uint32_t)(units * (blockIdx.x + 1) / gridDim.x);
    small_m_walk walk;

    walk.unit_stride = warps;
    walk.stages =
        (uint32_t)((p.matrix.block_bytes + small_m_shape<F>::stage - 1) / small_m_shape<F>::stage);
    for (uint32_t first = begin / p.matrix.blocks; first * p.matrix.blocks < end;
         first += s.round()) {
        const uint32_t left = w.tiles - first;
        const uint32_t tiles = left < s.round() ? left : s.round();
        const uint32_t from = first * p.matrix.blocks > begin ? first * p.matrix.blocks : begin;
        const uint32_t past = (first + tiles) * p.matrix.blocks;

        __syncthreads(); /* nobody is in the round before */
        small_m_find(p, w, first, tiles, round);
        __syncthreads();
        walk.end = past < end ? past : end;
        walk.begin(p, round, from + warp);
        for (int i = 0; i < small_m_shape<F>::stages - 1; i++)
            ring.fill(walk.next(p, round, small_m_shape<F>::stage), lane);
        if (!waited)
            wait_for_previous_of(p.batch->rows); /* the weights did not depend on it */
        waited = true;
        if (HELD)
            small_m_hold(p, s, round, held);
        small_m_find_columns(p, p.matrix.unit, round);
        __syncthreads();
        if (HELD)
            barrier_wait(shared_address(&round.arrived), rounds++ % 2);
        __syncwarp();
        for (uint32_t unit = from + warp; unit < walk.end; unit += warps) {
            const uint32_t i = unit >= round.first[1];
            const struct moed_cuda_tile t = round.tile[i];
            const uint32_t column = lane / 4 < t.n ? lane / 4 : t.n - 1; /* any, if not there */
            const uint8_t *row =
                HELD ? held + (i * s.columns + column) * s.column_bytes : small_m_row(p, t, column);
            constexpr uint32_t of_part = PART_BLOCKS / small_m_shape<F>::blocks; /* stages */
            float total[4], part[4];

            begin_sums(total);
            for (uint32_t stage = 0; stage < walk.stages; stage++) {
                if (stage % of_part == 0)
                    begin_sums(part);
                ring.fill(walk.next(p, round, small_m_shape<F>::stage), lane);
                small_m_stage<F>(p, ring.take(), (const uint4 *)row + lane % 4 * 2, stage, part);
                __syncwarp(); /* before the stage is filled again */
                if ((stage + 1) % of_part == 0 || stage + 1 == walk.stages)
                    add_part(part, total);
            }
            if (plain)
                small_m_epilogue<true>(p, round.columns[i], t.n, unit - round.first[i], total);
            else
                small_m_epilogue<false>(p, round.columns[i], t.n, unit - round.first[i], total);
        }
    }
    if (!waited)
        wait_for_previous_of(p.batch->rows);
#if !HAVE_BULK
    copies_wait<0>();
#endif
}

#endif
