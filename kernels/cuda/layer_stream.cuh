/* layer_stream: how a warp multiplies the stages of its block's units that are its own, while its
 * ring is fed. */
#ifndef MOED_CUDA_LAYER_STREAM_CUH
#define MOED_CUDA_LAYER_STREAM_CUH

#include "layer_plan.cuh"
#include "ring.cuh"

/* The stages of a matrix that are this block's: of `units` units, `each` a unit. */
template <class F> struct layer_share {
    static constexpr uint32_t stage_bytes = small_m_shape<F>::stage;
    static constexpr uint32_t of_part = PART_BLOCKS / small_m_shape<F>::blocks;

    static HD uint32_t each(const struct moed_cuda_matrix &m)
    {
        return (uint32_t)((m.block_bytes + stage_bytes - 1) / stage_bytes);
    }

    /* Where warp `w` begins. */
    static DEVICE uint32_t bound(uint32_t units, uint32_t each, uint32_t grain, uint32_t w)
    {
        const uint32_t at = units * each * w / LAYER_WARPS;

        return at / each * each + at % each / grain * grain;
    }
};

/* Bytes of a ring's slot, which holds a stage of either. */
template <class U, class D> HD constexpr uint32_t layer_slot()
{
    return layer_share<U>::stage_bytes > layer_share<D>::stage_bytes ? layer_share<U>::stage_bytes
                                                                     : layer_share<D>::stage_bytes;
}

/* Parts that a warp leaves to another: [warp][k][lanes that have pairs]. */
struct layer_kept {
    float4 *at;
    uint32_t most, quads;

    DEVICE float4 *of(uint32_t warp, uint32_t k) const
    {
        const uint32_t lane = threadIdx.x % 32;

        return at + ((warp * most + k) * 8 + lane / 4) * quads + lane % 4;
    }

    DEVICE bool mine() const
    {
        return threadIdx.x % 4 < quads;
    }

    DEVICE void put(uint32_t k, const float part[4]) const
    {
        if (mine())
            *of(threadIdx.x / 32, k) = make_float4(part[0], part[1], part[2], part[3]);
    }

    DEVICE void add(uint32_t warp, uint32_t k, float total[4]) const
    {
        const float4 part = mine() ? *of(warp, k) : make_float4(0.0F, 0.0F, 0.0F, 0.0F);
        const float values[4] = {part.x, part.y, part.z, part.w};

        add_part(values, total);
    }
};

/* A warp's stages of one phase. `inputs(unit)` says where behind `base` this lane's inputs of a
 * unit are, and `done(unit, total)` takes its sums. A dry run multiplies what lies in its ring,
 * waits for nothing and leaves nothing: it brings the instructions near. */
template <class F, class Inputs, class Done, class Source>
DEVICE void layer_multiply(const struct moed_cuda_product &p, const uint32_t *bound,
                           warp_ring &ring, Source &source, const layer_kept &kept,
                           const uint8_t *base, bool unroll, bool dry, Inputs inputs, Done done)
{
    constexpr uint32_t of_part = layer_share<F>::of_part;
    const uint32_t each = layer_share<F>::each(p.matrix), warp = threadIdx.x / 32;
    const uint32_t begin = dry ? 0 : bound[warp], end = dry ? 1 : bound[warp + 1];
    uint32_t unit = begin / each, stage = begin % each, n = 0;
    bool whole = stage == 0; /* this warp has the unit's first part */
    uint32_t row = begin < end && !dry ? inputs(unit) : 0;
    float total[4], part[4];

    begin_sums(total);
    for (uint32_t i = begin; i < end; i++) {
        if (stage % of_part == 0)
            begin_sums(part);
        small_m_stage<F>(p, dry ? ring.slots : ring.take(), (const uint4 *)(base + row), stage,
                         part, unroll);
        __syncwarp(); /* before the slot is filled again */
        if (!dry)
            source.feed(ring);
        if ((stage + 1) % of_part == 0 || stage + 1 == each) {
            if (whole)
                add_part(part, total);
            else
                kept.put(n++, part);
        }
        if (++stage < each || dry)
            continue;
        if (whole)
            done(unit, total);
        begin_sums(total);
        whole = true;
        stage = 0;
        unit++;
        if (i + 1 < end)
            row = inputs(unit);
    }
    if (dry)
        return;
    __syncthreads();
    if (begin == end || !whole || stage == 0)
        return;
    for (uint32_t i = end, w = warp; stage < each; i += of_part, stage += of_part) {
        while (i >= bound[w + 1])
            w++;
        kept.add(w, (i - bound[w]) / of_part, total);
    }
    done(unit, total);
}

/* Sums of gate and up become activations. Called, not inlined: instructions are fetched too. */
template <bool PLAIN>
__device__ __noinline__ void layer_activate(const struct moed_cuda_layer &l, const layer_plan &plan,
                                            const struct moed_cuda_tile &t, uint32_t block,
                                            float4 total)
{
    const uint32_t lane = threadIdx.x % 32;

#pragma unroll 1
    for (uint32_t i = 0; i < 2; i++)
        if (lane % 4 * 2 + i < t.n)
            epilogue_either<PLAIN>(l.up, up_column(l, plan, t.expert, t.first + lane % 4 * 2 + i),
                                   block, lane / 4, i == 0 ? total.x : total.y,
                                   i == 0 ? total.z : total.w);
}

/* A lane's sums, to be handed on. */
DEVICE float4 four(const float total[4])
{
    return make_float4(total[0], total[1], total[2], total[3]);
}

#endif
