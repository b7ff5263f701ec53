/* layer_plan: what a block knows of a small batch: its pairs and their tiles, as plan.cu makes
 * them. Every block of a launch makes the same one for itself, in shared memory. */
#ifndef MOED_CUDA_LAYER_PLAN_CUH
#define MOED_CUDA_LAYER_PLAN_CUH

#include "small_m.cuh"
/* after the tiles' own `place` */
#include "plan.cuh"
#include "topk.cuh"

constexpr uint32_t LAYER_WARPS = 16, LAYER_THREADS = LAYER_WARPS * 32;
constexpr uint32_t LAYER_ROWS = 8, LAYER_PAIRS = 128, LAYER_EXPERTS = 256;

struct layer_plan {
    uint32_t tiles;
    struct moed_cuda_tile tile[LAYER_PAIRS];
    int16_t wanted[LAYER_PAIRS]; /* experts by row and slot; -1: none */
    float weight[LAYER_PAIRS];   /* likewise */
    int16_t pair_of[LAYER_PAIRS];
    uint16_t slot_of[LAYER_PAIRS]; /* by pair: the place in what is by row and slot */
    float pair_factor[LAYER_PAIRS];
    int16_t ids[LAYER_PAIRS]; /* by row and slot: what was chosen, not what is computed */
    uint32_t active[LAYER_EXPERTS / 32]; /* bits of experts with pairs: narrow ones' */
    uint32_t before[LAYER_EXPERTS]; /* pairs, and 2^16 times tiles, of a chunk's experts before */
    uint32_t chunk[LAYER_EXPERTS / 32];
    uint8_t seen[LAYER_PAIRS / 32][LAYER_EXPERTS]; /* pairs of a warp's slots */
    float factor[LAYER_ROWS], size[LAYER_ROWS];    /* of rows as f16 */
    bool finite[LAYER_ROWS];
    uint32_t up_bound[LAYER_WARPS + 1], down_bound[LAYER_WARPS + 1]; /* stages, by warp */
    uint32_t slots, columns; /* of a row; of a tile at most */

    DEVICE uint32_t row(uint32_t pair) const
    {
        return slot_of[pair] / slots;
    }

    DEVICE uint32_t tiles_for(uint32_t pairs) const
    {
        return (pairs + columns - 1) / columns;
    }
};

DEVICE column up_column(const struct moed_cuda_layer &l, const layer_plan &plan, uint32_t expert,
                        uint32_t pair)
{
    const uint32_t at = plan.slot_of[pair];
    column c = {pair, expert, plan.factor[at / plan.slots] / l.up.matrix.unit,
                1.0F / plan.pair_factor[pair]};

    if (l.plan.weight_on_input)
        c.factor *= plan.weight[at];
    return c;
}

DEVICE column down_column(const struct moed_cuda_layer &l, const layer_plan &plan, uint32_t expert,
                          uint32_t pair)
{
    return {pair, expert, plan.pair_factor[pair] / l.down.matrix.unit,
            l.plan.weight_on_input ? 1.0F : plan.weight[plan.slot_of[pair]]};
}

/* How many of an expert's pairs the warps before `warp` have. */
DEVICE uint32_t layer_seen(const layer_plan &plan, uint32_t expert, uint32_t warp)
{
    uint32_t sum = 0;

    for (uint32_t w = 0; w < warp; w++)
        sum += plan.seen[w][expert];
    return sum;
}

/* plan.seen, .before and .chunk; returns which of its warp's pairs of its expert this thread's is.
 */
DEVICE uint32_t layer_count(const struct moed_cuda_plan &p, int32_t expert, layer_plan &plan)
{
    const uint32_t i = threadIdx.x;
    uint32_t rank;

    for (uint32_t k = i; k < sizeof plan.seen / 4; k += LAYER_THREADS)
        ((uint32_t *)plan.seen)[k] = 0;
    __syncthreads();

    const uint32_t alike = __match_any_sync(ALL, expert);

    rank = __popc(alike & ((1U << lane_id()) - 1U));
    if (expert >= 0 && rank == 0)
        plan.seen[i / 32][expert] = (uint8_t)__popc(alike);
    __syncthreads();
    if (i / 32 * 32 < p.experts) {
        const uint32_t count = i < p.experts ? layer_seen(plan, i, LAYER_PAIRS / 32) : 0;
        const uint32_t mine = count | plan.tiles_for(count) << 16;
        uint32_t sum = mine;

        for (uint32_t distance = 1; distance < 32; distance *= 2) {
            const uint32_t other = __shfl_up_sync(ALL, sum, distance);

            sum += lane_id() >= distance ? other : 0;
        }
        if (i < p.experts)
            plan.before[i] = sum - mine;
        if (lane_id() == 31)
            plan.chunk[i / 32] = sum;
    }
    __syncthreads();
    return rank;
}

/* Pairs before this expert's, and 2^16 times tiles. */
DEVICE uint32_t layer_before(const layer_plan &plan, uint32_t expert)
{
    uint32_t sum = plan.before[expert];

    for (uint32_t chunk = 0; chunk < expert / 32; chunk++)
        sum += plan.chunk[chunk];
    return sum;
}

/* Slot `at` becomes a pair. */
DEVICE void layer_pair(const struct moed_cuda_plan &p, uint32_t at, uint32_t pair, layer_plan &plan)
{
    const float size = plan.size[at / plan.slots];

    plan.slot_of[pair] = (uint16_t)at;
    plan.pair_of[at] = (int16_t)pair;
    plan.pair_factor[pair] =
        activation_factor(p.weight_on_input ? size * fabsf(plan.weight[at]) : size);
}

/* From wanted, weight and size, which all threads see, to tiles and pairs, which all see after they
 * have met again. Block 0 tells the host of the counts. */
DEVICE void layer_make_any_plan(const struct moed_cuda_plan &p, uint32_t rows, layer_plan &plan)
{
    const uint32_t n = rows * plan.slots, i = threadIdx.x;
    const int32_t expert = i < n ? plan.wanted[i] : -1;
    const uint32_t rank = layer_count(p, expert, plan);

    if (i < n && expert < 0)
        plan.pair_of[i] = -1;
    if (expert >= 0)
        layer_pair(p, i,
                   (layer_before(plan, (uint32_t)expert) & 0xffffU) +
                       layer_seen(plan, (uint32_t)expert, i / 32) + rank,
                   plan);
    if (i < p.experts) {
        const uint32_t before = layer_before(plan, i),
                       count = layer_seen(plan, i, LAYER_PAIRS / 32);

        for (uint32_t k = 0; k < plan.tiles_for(count); k++)
            plan.tile[(before >> 16) + k] = {place_in_bank(p, i),
                                             (before & 0xffffU) + k * plan.columns,
                                             min(count - k * plan.columns, plan.columns)};
        if (i + 1 == p.experts)
            plan.tiles = (before >> 16) + plan.tiles_for(count);
        if (blockIdx.x == 0)
            p.count[i] = count;
    }
    if (blockIdx.x == 0 && i == p.experts) /* there is no shared expert */
        p.count[i] = 0;
}

/* Whether rows' activations were in f16's range, by one block, a warp a row. */
DEVICE void layer_note_range(const struct moed_cuda_sum &s, const layer_plan &plan, uint32_t rows)
{
    for (uint32_t t = threadIdx.x / 32; t < rows; t += LAYER_WARPS) {
        bool held = true;

        for (uint32_t i = lane_id(); i < plan.slots; i += 32) {
            const int32_t pair = plan.pair_of[t * plan.slots + i];

            if (pair >= 0) {
                const uint32_t four = __ldcg((const uint32_t *)s.guard + pair);
                const uint8_t seen[4] = {(uint8_t)four, (uint8_t)(four >> 8), (uint8_t)(four >> 16),
                                         (uint8_t)(four >> 24)};

                held = held && guard_held(seen);
            }
        }
        held = __all_sync(ALL, held);
        if (lane_id() == 0) {
            s.retry[t] = !held;
            if (!held)
                *s.any_retry = 1;
        }
    }
}

/* What a pass finds cleared, by block 0, before blocks meet for the first time. */
DEVICE void layer_clear(const struct moed_cuda_plan &p, uint32_t pairs)
{
    if (blockIdx.x > 0)
        return;
    for (uint32_t i = threadIdx.x; i < pairs; i += LAYER_THREADS)
        ((uint32_t *)p.guard)[i] = 0;
    if (threadIdx.x == 0)
        *p.any_retry = 0;
}

#endif
