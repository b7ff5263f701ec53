/* topk: a row's experts from its logits, by the layer's rule: src/moe/route.c, a warp a row. Ties
 * go to the lower index. And what the row's slots want of the plan. */
#ifndef MOED_CUDA_TOPK_CUH
#define MOED_CUDA_TOPK_CUH

#include "cuda.h"
#include "reduce.cuh"

#include <math.h>

constexpr unsigned ALL = 0xffffffffU;
constexpr float NEVER = -INFINITY;

/* Shared memory of a warp. Two things have one place where the first is over before the second. */
struct topk_scratch {
    float *logits, *score, *select, *weights; /* [E] each */

    __device__ explicit topk_scratch(float *scratch, uint32_t experts)
        : logits(scratch), score(scratch + experts), select(scratch + 2 * experts),
          weights(scratch + 3 * experts)
    {
    }

    static __host__ __device__ constexpr size_t bytes(uint32_t experts)
    {
        return 4 * sizeof(float) * experts;
    }
    __device__ uint32_t *order() const
    {
        return (uint32_t *)select;
    }
    __device__ int32_t *ids() const
    {
        return (int32_t *)logits;
    }
    __device__ float *group_scores() const
    {
        return weights;
    }
};

__device__ __forceinline__ uint32_t lane_id()
{
    return threadIdx.x % 32;
}

__device__ inline float logistic(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

/* Over the warp; `out` may be `x`. */
__device__ inline void softmax(const float *x, uint32_t n, float *out)
{
    float largest = NEVER, sum = 0.0F;

    for (uint32_t i = lane_id(); i < n; i += 32)
        largest = fmaxf(largest, x[i]);
    largest = warp_reduce(largest, take_max());
    for (uint32_t i = lane_id(); i < n; i += 32) {
        out[i] = expf(x[i] - largest);
        sum += out[i];
    }
    sum = warp_reduce(sum, take_sum());
    for (uint32_t i = lane_id(); i < n; i += 32)
        out[i] /= sum;
}

__device__ inline void score_all(const struct moed_cuda_router &r, const float *logits,
                                 float *score)
{
    if (r.rule.score == MOED_SCORE_SOFTMAX) {
        softmax(logits, r.experts, score);
        return;
    }
    for (uint32_t i = lane_id(); i < r.experts; i += 32) {
        const float x = logits[i];

        if (r.rule.score == MOED_SCORE_SIGMOID)
            score[i] = logistic(x);
        else if (r.rule.score == MOED_SCORE_SQRT_SOFTPLUS)
            score[i] = sqrtf(x > 20.0F ? x : log1pf(expf(x)));
        else
            score[i] = x;
    }
}

__device__ inline void select_all(const struct moed_cuda_router &r, const float *logits,
                                  const float *score, float *select)
{
    for (uint32_t i = lane_id(); i < r.experts; i += 32) {
        float s = score[i];

        if (r.rule.select == MOED_SELECT_LOGITS)
            s = logits[i];
        else if (r.rule.select == MOED_SELECT_SIGMOID)
            s = logistic(logits[i]);
        s = r.select_bias ? s + r.select_bias[i] : s;
        select[i] = isnan(s) ? NEVER : s;
    }
}

__device__ inline float group_score(enum moed_group_score kind, const float *select, uint32_t n)
{
    float best = NEVER, second = NEVER;

    for (uint32_t i = 0; i < n; i++) {
        if (select[i] > best) {
            second = best;
            best = select[i];
        } else if (select[i] > second) {
            second = select[i];
        }
    }
    return kind == MOED_GROUP_TOP2_SUM && n > 1 ? best + second : best;
}

/* A lane takes every 32nd group. */
__device__ inline void limit_groups(const struct moed_cuda_router &r, float *select, float *scores)
{
    const uint32_t size = r.experts / r.rule.groups;

    for (uint32_t g = lane_id(); g < r.rule.groups; g += 32)
        scores[g] = group_score(r.rule.group_score, select + g * size, size);
    __syncwarp();
    for (uint32_t g = lane_id(); g < r.rule.groups; g += 32) {
        uint32_t better = 0;

        for (uint32_t o = 0; o < r.rule.groups; o++)
            better += scores[o] > scores[g] || (scores[o] == scores[g] && o < g);
        for (uint32_t i = 0; better >= r.rule.groups_used && i < size; i++)
            select[g * size + i] = NEVER;
    }
}

/* A float's bits in the order of floats; none is 0, which says "taken". */
__device__ __forceinline__ uint32_t ordered(float value)
{
    const uint32_t bits = __float_as_uint(value + 0.0F); /* -0 is 0 */

    return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

struct candidate {
    uint32_t value, at;
};

/* The best of every 32nd. */
__device__ inline candidate best_of_lane(const uint32_t *order, uint32_t n)
{
    candidate best = {0, UINT32_MAX};

    for (uint32_t i = lane_id(); i < n; i += 32)
        if (order[i] > best.value)
            best = {order[i], i};
    return best;
}

/* ids and weights of the `used` best, by their scores. */
__device__ inline void take_best(const struct moed_cuda_router &r, const topk_scratch &c)
{
    candidate mine;

    for (uint32_t i = lane_id(); i < r.experts; i += 32)
        c.order()[i] = ordered(c.select[i]);
    mine = best_of_lane(c.order(), r.experts);
    for (uint32_t j = 0; j < r.used; j++) {
        const uint32_t best = __reduce_max_sync(ALL, mine.value);
        const uint32_t at = __reduce_min_sync(ALL, mine.value == best ? mine.at : UINT32_MAX);

        if (at % 32 == lane_id()) { /* whose lane looks for its next */
            c.ids()[j] = (int32_t)at;
            c.weights[j] = c.score[at];
            c.order()[at] = 0;
            mine = best_of_lane(c.order(), r.experts);
        }
        __syncwarp();
    }
}

__device__ inline void weigh(const struct moed_cuda_router &r, float *weights)
{
    if (r.rule.weight_from == MOED_WEIGHT_SOFTMAX_CHOSEN)
        softmax(weights, r.used, weights);
    __syncwarp();
    if (r.rule.renorm) {
        float sum = 0.0F;

        for (uint32_t j = lane_id(); j < r.used; j += 32)
            sum += weights[j];
        sum = fmaxf(warp_reduce(sum, take_sum()), r.rule.renorm_floor);
        for (uint32_t j = lane_id(); j < r.used; j += 32)
            weights[j] /= sum;
    }
    for (uint32_t j = lane_id(); j < r.used; j += 32)
        weights[j] *= r.rule.scale;
}

/* Whether route_common() does what the rule asks. */
__device__ inline bool is_common(const struct moed_cuda_router &r)
{
    return r.rule.score == MOED_SCORE_SOFTMAX && r.rule.select == MOED_SELECT_SCORE &&
           r.rule.groups <= 1 && !r.select_bias && r.experts <= 256 && r.used <= 32;
}

/* route_any() of most layers' rule, in registers, with the same operations in the same order: it is
 * on the way of every pass over few rows. A lane has every 32nd expert, N of them at most. */
template <uint32_t N>
__device__ inline bool route_common(const struct moed_cuda_router &r, const topk_scratch &c)
{
    float score[N];
    uint32_t order[N];
    float largest = NEVER, sum = 0.0F, weight = 0.0F;
    uint32_t id = 0;
    bool finite = true;

#pragma unroll
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t e = lane_id() + 32 * i;

        score[i] = e < r.experts ? c.logits[e] : NEVER;
        finite = finite && (e >= r.experts || isfinite(score[i]));
        largest = fmaxf(largest, score[i]);
    }
    if (!__all_sync(ALL, finite))
        return false;
    largest = warp_reduce(largest, take_max());
#pragma unroll
    for (uint32_t i = 0; i < N; i++) {
        score[i] = lane_id() + 32 * i < r.experts ? expf(score[i] - largest) : 0.0F;
        sum += score[i];
    }
    sum = warp_reduce(sum, take_sum());
#pragma unroll
    for (uint32_t i = 0; i < N; i++) {
        score[i] /= sum;
        order[i] = lane_id() + 32 * i < r.experts ? ordered(score[i]) : 0;
    }
#pragma unroll 1
    for (uint32_t j = 0; j < r.used; j++) {
        uint32_t mine = 0, at = UINT32_MAX;

#pragma unroll
        for (uint32_t i = 0; i < N; i++)
            if (order[i] > mine) {
                mine = order[i];
                at = lane_id() + 32 * i;
            }

        const uint32_t best = __reduce_max_sync(ALL, mine);
        const uint32_t taken = __reduce_min_sync(ALL, mine == best ? at : UINT32_MAX);

        if (lane_id() == j) {
            id = taken;
            weight = __uint_as_float(best & 0x7fffffffU); /* scores have no sign */
        }
#pragma unroll
        for (uint32_t i = 0; i < N; i++)
            order[i] = lane_id() + 32 * i == taken ? 0 : order[i];
    }
    __syncwarp(); /* the logits, where ids are, have been read */
    if (lane_id() < r.used) {
        c.ids()[lane_id()] = (int32_t)id;
        c.weights[lane_id()] = weight;
    }
    __syncwarp();
    weigh(r, c.weights);
    __syncwarp();
    return true;
}

/* From c.logits; false, choosing nothing, if one is not finite. */
__device__ inline bool route_any(const struct moed_cuda_router &r, const topk_scratch &c)
{
    bool finite = true;

    for (uint32_t i = lane_id(); i < r.experts; i += 32)
        finite = finite && isfinite(c.logits[i]);
    if (!__all_sync(ALL, finite))
        return false;
    score_all(r, c.logits, c.score);
    __syncwarp();
    select_all(r, c.logits, c.score, c.select);
    __syncwarp();
    if (r.rule.groups > 1)
        limit_groups(r, c.select, c.group_scores());
    __syncwarp();
    take_best(r, c);
    weigh(r, c.weights);
    __syncwarp();
    return true;
}

__device__ inline float shared_weight(const struct moed_cuda_router &r, uint32_t t)
{
    const float *x = r.x + (size_t)t * r.hidden;
    double sum = 0.0;

    if (!r.shared_gate)
        return 1.0F;
    for (uint32_t i = lane_id(); i < r.hidden; i += 32)
        sum += (double)r.shared_gate[i] * x[i];
    return logistic((float)warp_reduce(sum, take_sum()));
}

/* Whether slot `s` is the first of its row whose expert is held here and has this chunk. */
__device__ inline bool first_of_chunk(const struct moed_cuda_router &r, const int32_t *ids,
                                      uint32_t s)
{
    const uint32_t chunk = (uint32_t)ids[s] / r.chunk_size;

    for (uint32_t o = 0; o < s; o++)
        if (ids[o] >= 0 && (!r.place || r.place[ids[o]] >= 0) &&
            (uint32_t)ids[o] / r.chunk_size == chunk)
            return false;
    return true;
}

/* Planned experts of a row's slots, -1 for none: routed ones, their chunks, the shared one. The
 * first `n` slots have ids. */
__device__ inline void want(const struct moed_cuda_router &r, uint32_t t, const int32_t *ids,
                            uint32_t n, bool shared)
{
    const uint32_t slots = r.batch->slots;
    int32_t *wanted = r.wanted + (size_t)t * r.per_row;
    int32_t *pair_of = r.pair_of + (size_t)t * r.per_row;

    for (uint32_t s = lane_id(); s < slots; s += 32) {
        const int32_t id = s < n ? ids[s] : -1;
        const bool held = id >= 0 && (!r.place || r.place[id] >= 0);

        wanted[s] = held ? id : -1;
        if (r.chunk_size > 0)
            wanted[slots + s] = held && first_of_chunk(r, ids, s)
                                    ? (int32_t)(r.experts + 1 + (uint32_t)id / r.chunk_size)
                                    : -1;
    }
    if (r.has_shared && lane_id() == 0)
        wanted[r.per_row - 1] = shared ? (int32_t)r.experts : -1;
    for (uint32_t s = lane_id(); s < r.per_row; s += 32)
        pair_of[s] = -1;
}

/* What became of a row's choice, beside what topk_scratch holds of it. */
struct topk_choice {
    uint8_t flags;
    bool supplied, finite; /* its experts were brought; its logits are numbers */
    bool shared;           /* it takes the shared expert */
    uint32_t routed;       /* slots that were chosen */
    uint32_t computed;     /* slots whose experts are computed */
};

/* Chooses for a row, whose logits are in c.logits unless it is supplied with its experts. */
__device__ inline topk_choice choose_for(const struct moed_cuda_router &r, uint32_t t,
                                         const topk_scratch &c)
{
    const uint8_t flags = r.batch->has_flags ? r.flags[t] : 0;
    const bool supplied = flags & MOED_CUDA_SUPPLIED;
    const bool finite = supplied || (!is_common(r)      ? route_any(r, c)
                                     : r.experts <= 128 ? route_common<4>(r, c)
                                                        : route_common<8>(r, c));
    const bool computed = finite && !(flags & MOED_CUDA_ROUTE_ONLY);
    const uint32_t routed = finite ? r.used : 0;

    return {flags,
            supplied,
            finite,
            r.has_shared && computed && !(flags & MOED_CUDA_NO_SHARED),
            routed,
            !computed || (flags & MOED_CUDA_ONLY_SHARED) ? 0 : supplied ? r.batch->slots : routed};
}

/* Writes down what was chosen. */
__device__ inline void tell_choice(const struct moed_cuda_router &r, uint32_t t,
                                   const topk_scratch &c, const topk_choice &choice)
{
    const uint32_t slots = r.batch->slots;
    int32_t *ids = r.ids + (size_t)t * slots;
    const float weight = choice.shared ? shared_weight(r, t) : 0.0F;

    for (uint32_t s = lane_id(); s < slots && !choice.supplied; s += 32) {
        ids[s] = s < choice.routed ? c.ids()[s] : -1;
        r.weights[(size_t)t * slots + s] = s < choice.routed ? c.weights[s] : 0.0F;
    }
    want(r, t, choice.supplied ? ids : c.ids(), choice.computed, choice.shared);
    if (lane_id() == 0) {
        r.not_finite[t] = !choice.finite;
        r.shared_weight[t] = weight;
    }
    __syncwarp(); /* before another row is in the same place */
}

/* All of a row. */
__device__ inline void topk_row(const struct moed_cuda_router &r, uint32_t t, const topk_scratch &c)
{
    tell_choice(r, t, c, choose_for(r, t, c));
}

#endif
