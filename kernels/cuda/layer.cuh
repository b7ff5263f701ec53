/* layer: a whole pass over up to 8 rows in one launch: logits, top-k, plan, both products and the
 * sums. What it saves is the time between launches, and the weights' stream never stops: a warp
 * asks for the down matrices' tiles while the others still multiply the gate's and up's.
 *
 * Grid: a block a multiprocessor, cooperative, since blocks wait for each other twice: for all
 * logits, and for all activations. Block: 16 warps. Shared memory (layer_setup): a ring of weights
 * a warp, the rows as f16, and what warps leave for each other of sums that they share. Nothing
 * overlaps with it.
 *
 * Each block casts the rows, chooses and plans for itself, all alike; block 0 tells the host. Its
 * share of gate and up is a run of units (16 weight rows × a tile of pairs); of down it has whole
 * rows of the output, so that it sums the slots too. A warp takes an even run of stages of its
 * block's units, in their order. Where a unit is several warps', the one that has its first part
 * adds the others' parts to it, so that the order of sums is that of order.cuh. */
#ifndef MOED_CUDA_LAYER_CUH
#define MOED_CUDA_LAYER_CUH

#include "grid.cuh"
#include "layer_rows.cuh"
#include "layer_stream.cuh"
#include "residual.cuh"

constexpr uint32_t ROLLED = 2; /* rows up to which loops over a stage are not unrolled */

/* Offsets into shared memory, and what the launch decided. */
struct layer_setup {
    uint32_t slots; /* of a warp's ring */
    uint32_t rows_at, row_bytes;
    uint32_t kept_at;
    uint32_t partial_at; /* [pairs][16] */
    uint32_t bytes;
    uint32_t quads;     /* lanes of four whose pairs may exist: 1, 2 or 4 */
    uint32_t most_kept; /* parts of a warp */
    uint32_t grain[2];  /* stages that are never parted, of up and down */
    uint32_t dry_runs;  /* 1, unknown to the compiler: the loop's body is to be there once */
};

struct layer_arguments {
    struct moed_cuda_layer l;
    struct layer_setup s;
};

/* ---- products ---- */

/* Where a warp's next weights come from. Phase 0 is gate and up; phase 1 + i the i-th of the
 * block's rows of tiles of down. */
template <class U, class D> struct layer_source {
    const struct moed_cuda_layer &l;
    const layer_plan &plan;
    uint32_t up_begin, up_end, down_begin, down_end; /* the warp's stages */
    uint32_t up_first;                               /* the block's first unit */
    uint32_t down_block;                             /* 16 rows of the output */
    const uint8_t *at;
    uint32_t left, stage, tile, block; /* of this phase */
    bool in_up;

    DEVICE const uint8_t *unit_rows() const
    {
        return in_up ? tiles_of(l.up, plan.tile[tile], block)
                     : tiles_of(l.down, plan.tile[tile], block);
    }

    DEVICE void begin_up()
    {
        const uint32_t each = layer_share<U>::each(l.up.matrix);
        const uint32_t unit = up_first + up_begin / each;

        in_up = true;
        left = up_end - up_begin;
        stage = up_begin % each;
        tile = unit / l.up.matrix.blocks;
        block = unit % l.up.matrix.blocks;
        if (left > 0)
            at = unit_rows() + (size_t)stage * layer_share<U>::stage_bytes;
        down_block = blockIdx.x;
    }

    DEVICE void begin_down()
    {
        const uint32_t each = layer_share<D>::each(l.down.matrix);

        in_up = false;
        left = down_end - down_begin;
        stage = down_begin % each;
        tile = down_begin / each;
        block = down_block;
        down_block += gridDim.x;
        if (left > 0)
            at = unit_rows() + (size_t)stage * layer_share<D>::stage_bytes;
    }

    DEVICE void feed(warp_ring &ring)
    {
        while (left == 0) {
            if (down_block >= l.down.matrix.blocks || down_begin == down_end)
                return;
            begin_down();
        }

        const uint32_t bytes = in_up ? layer_share<U>::stage_bytes : layer_share<D>::stage_bytes;
        const uint32_t each =
            in_up ? layer_share<U>::each(l.up.matrix) : layer_share<D>::each(l.down.matrix);

        ring.fill(at, bytes);
        at += bytes;
        left--;
        if (++stage < each || left == 0)
            return;
        stage = 0;
        if (!in_up || ++block == l.up.matrix.blocks) {
            tile++;
            block = in_up ? 0 : block;
        }
        at = unit_rows();
    }
};

/* Rows g and g + 8 of this block's 16 of the output, of one pair each. */
static __device__ __noinline__ void layer_put_partial(const struct moed_cuda_layer &l,
                                                      const layer_plan &plan,
                                                      const struct moed_cuda_tile &t,
                                                      uint32_t block, float4 sums, float *partial)
{
    const uint32_t lane = threadIdx.x % 32;
    const float total[4] = {sums.x, sums.y, sums.z, sums.w};

#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t at = lane % 4 * 2 + i % 2, row = lane / 4 + i / 2 * 8;

        if (at < t.n && block * 16 + row < l.down.matrix.rows) {
            const column c = down_column(l, plan, t.expert, t.first + at);

            partial[(t.first + at) * 16 + row] =
                finished(l.down, c, 0, block * 16 + row, total[i]) * c.units;
        }
    }
}

/* ---- sums ---- */

/* An element of the output from the sum over its slots. */
DEVICE float layer_finish(const struct moed_cuda_sum &s, uint8_t flags, size_t at, float sum,
                          bool finite)
{
    if (!finite)
        return 0.0F;
    if (s.ffn_scale != 1.0F)
        sum *= s.ffn_scale;
    return flags & MOED_CUDA_RESIDUAL ? with_residual(s, flags, at, sum) : sum;
}

/* Output rows [16 block, + 16) of every row of the batch, slots in their order. */
DEVICE void layer_sum(const struct moed_cuda_sum &s, const layer_plan &plan, uint32_t rows,
                      uint32_t block, const float *partial)
{
    const uint32_t t = threadIdx.x / 16, k = block * 16 + threadIdx.x % 16;
    const uint32_t slots = plan.slots;
    float sum = 0.0F;

    if (t >= rows || k >= s.cols)
        return;
    for (uint32_t i = 0; i < slots; i++) {
        const int32_t pair = plan.pair_of[t * slots + i];

        if (pair >= 0)
            sum += partial[(uint32_t)pair * 16 + threadIdx.x % 16];
    }
    s.output[(size_t)t * s.cols + k] = layer_finish(s, s.batch->has_flags ? s.flags[t] : (uint8_t)0,
                                                    (size_t)t * s.cols + k, sum, plan.finite[t]);
}

/* ---- all of it ---- */

/* What a thread of a block knows. */
template <class U, class D> struct layer_block {
    static constexpr uint32_t slot_bytes = layer_slot<U, D>();

    const struct moed_cuda_layer &l;
    const layer_setup &s;
    uint8_t *shared;
    layer_plan &plan;
    layer_source<U, D> source;
    warp_ring ring;
    uint32_t rows, first; /* unit of gate and up */
    bool has_flags;

    DEVICE layer_block(const layer_arguments &a, uint8_t *shared, layer_plan &plan)
        : l(a.l), s(a.s), shared(shared), plan(plan), source{l, plan}, rows(a.l.router.batch->rows),
          has_flags(a.l.router.batch->has_flags)
    {
        const uint32_t warp = threadIdx.x / 32;

        ring.slots = shared + warp * s.slots * slot_bytes;
        ring.barriers =
            shared_address(shared + LAYER_WARPS * s.slots * slot_bytes) + warp * s.slots * 8;
        ring.slot_bytes = slot_bytes;
        ring.n = s.slots;
        ring.init(s.slots);
        if (threadIdx.x < LAYER_EXPERTS / 32)
            plan.active[threadIdx.x] = 0;
        if (threadIdx.x == 0) {
            plan.slots = l.router.batch->slots;
            plan.columns = s.quads * 2;
        }
    }

    DEVICE layer_kept kept() const
    {
        return {(float4 *)(shared + s.kept_at), s.most_kept, s.quads};
    }

    /* From all logits to tiles, and the first weights asked for. */
    DEVICE void make_plan(uint32_t before)
    {
        const uint32_t warp = threadIdx.x / 32;

        if (warp < rows) { /* top-k's scratch is where weights come later */
            grid_wait(l.meeting, before);
            layer_choose(l.router, warp, (float *)shared, plan);
        }
        fence_for_copies();
        __syncthreads();
        if (has_flags) { /* rows that bring their experts may name one twice */
            layer_make_any_plan(l.plan, rows, plan);
            __syncthreads();
        } else {
            layer_make_plan(l.plan, rows, plan);
        }
        share_out(has_flags ? plan.tiles : layer_tiles(plan));
        __syncthreads();
        source.up_begin = plan.up_bound[warp];
        source.up_end = plan.up_bound[warp + 1];
        source.down_begin = plan.down_bound[warp];
        source.down_end = plan.down_bound[warp + 1];
        source.up_first = first;
        source.begin_up();
        for (uint32_t i = 0; i < s.slots; i++)
            source.feed(ring);
    }

    DEVICE void share_out(uint32_t tiles)
    {
        const uint32_t units = tiles * l.up.matrix.blocks, w = threadIdx.x;
        const uint32_t end = units * (blockIdx.x + 1) / gridDim.x;

        first = units * blockIdx.x / gridDim.x;
        if (w > LAYER_WARPS)
            return;
        plan.up_bound[w] =
            layer_share<U>::bound(end - first, layer_share<U>::each(l.up.matrix), s.grain[0], w);
        plan.down_bound[w] =
            layer_share<D>::bound(tiles, layer_share<D>::each(l.down.matrix), s.grain[1], w);
    }

    DEVICE const struct moed_cuda_tile &up_tile(uint32_t unit) const
    {
        return plan.tile[(first + unit) / l.up.matrix.blocks];
    }

    /* A lane's pair of a tile; any, if it has none. */
    static DEVICE uint32_t pair_of_lane(const struct moed_cuda_tile &t)
    {
        return t.first + min(threadIdx.x % 32 / 4, t.n - 1);
    }

    DEVICE void multiply_up(bool dry)
    {
        const bool plain = is_plain(l.up);

        layer_multiply<U>(
            l.up, plan.up_bound, ring, source, kept(), shared + s.rows_at, rows > ROLLED, dry,
            [&](uint32_t unit) {
                return plan.row(pair_of_lane(up_tile(unit))) * s.row_bytes + threadIdx.x % 4 * 32;
            },
            [&](uint32_t unit, const float total[4]) {
                const uint32_t block = (first + unit) % l.up.matrix.blocks;

                if (plain)
                    layer_activate<true>(l, plan, up_tile(unit), block, four(total));
                else
                    layer_activate<false>(l, plan, up_tile(unit), block, four(total));
            });
    }

    DEVICE void multiply_down(uint32_t block, bool dry)
    {
        float *partial = (float *)(shared + s.partial_at);

        layer_multiply<D>(
            l.down, plan.down_bound, ring, source, kept(), (const uint8_t *)l.down.in,
            rows > ROLLED, dry,
            [&](uint32_t unit) {
                return pair_of_lane(plan.tile[unit]) * l.down.in_ld * (uint32_t)sizeof(__half) +
                       threadIdx.x % 4 * 32;
            },
            [&](uint32_t unit, const float total[4]) {
                layer_put_partial(l, plan, plan.tile[unit], block, four(total), partial);
            });
        if (dry)
            return;
        __syncthreads();
        layer_sum(l.sum, plan, rows, block, partial);
        __syncthreads(); /* before the partial sums are others */
    }
};

template <class U, class D>
__global__ void __launch_bounds__(LAYER_THREADS, 1)
    layer_pass(const __grid_constant__ layer_arguments a)
{
#if HAVE_BULK
    extern __shared__ __align__(1024) uint8_t shared[];
    __shared__ layer_plan plan;
    const uint32_t before = grid_before(a.l.meeting);
    layer_block<U, D> b(a, shared, plan);
    uint32_t dry = a.s.dry_runs;
    layer_clear(a.l.plan, b.rows * a.l.router.batch->slots);
    layer_logits(a.l.router, b.rows);
    __syncthreads();
    if (threadIdx.x == 0)
        grid_arrive(a.l.meeting);
    layer_cast(a.l.cast, b.rows, a.s.row_bytes, shared + a.s.rows_at, plan);
    /* Warps that choose nothing go through the products once before there is anything to multiply:
     * else each would wait for its instructions when all wait for it. */
    for (;; dry--) {
        const bool mine = dry == 0 || threadIdx.x / 32 >= LAYER_ROWS;

        if (mine)
            b.multiply_up(dry > 0);
        if (dry == 0) {
            __syncthreads();
            if (threadIdx.x == 0)
                grid_arrive(a.l.meeting);
            if (blockIdx.x == 0)
                layer_tell(a.l, b.rows, plan);
            if (threadIdx.x == 0)
                grid_wait(a.l.meeting, ~before);
            __syncthreads();
        }
        for (uint32_t block = blockIdx.x; mine && block<a.l.down.matrix.blocks; block += dry> 0
                                              ? a.l.down.matrix.blocks
                                              : gridDim.x)
            b.multiply_down(block, dry > 0);
        if (dry == 0)
            break;
        b.make_plan(before);
    }
    if (blockIdx.x == 0)
        layer_note_range(a.l.sum, plan, b.rows);
#endif
}

#endif
