/* choose: a row's experts from its logits, by the layer's rule: src/moe/route.c, a warp a row. Ties
 * go to the lower index. And what the row's slots want of the plan. */
#include "cuda.h"
#include "launch.cuh"
#include "reduce.cuh"

#include <math.h>

constexpr unsigned ALL = 0xffffffffU;
constexpr float NEVER = -INFINITY;

__device__ __forceinline__ uint32_t lane_id()
{
    return threadIdx.x % 32;
}

__device__ float sigmoid(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

/* Over the warp; `out` may be `x`. */
__device__ void softmax(const float *x, uint32_t n, float *out)
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

__device__ void score_all(const struct moed_cuda_router &r, const float *logits, float *score)
{
    if (r.rule.score == MOED_SCORE_SOFTMAX) {
        softmax(logits, r.experts, score);
        return;
    }
    for (uint32_t i = lane_id(); i < r.experts; i += 32) {
        const float x = logits[i];

        if (r.rule.score == MOED_SCORE_SIGMOID)
            score[i] = sigmoid(x);
        else if (r.rule.score == MOED_SCORE_SQRT_SOFTPLUS)
            score[i] = sqrtf(x > 20.0F ? x : log1pf(expf(x)));
        else
            score[i] = x;
    }
}

__device__ void select_all(const struct moed_cuda_router &r, const float *logits,
                           const float *score, float *select)
{
    for (uint32_t i = lane_id(); i < r.experts; i += 32) {
        float s = score[i];

        if (r.rule.select == MOED_SELECT_LOGITS)
            s = logits[i];
        else if (r.rule.select == MOED_SELECT_SIGMOID)
            s = sigmoid(logits[i]);
        s = r.select_bias ? s + r.select_bias[i] : s;
        select[i] = isnan(s) ? NEVER : s; /* NaN says "taken" from here on */
    }
}

__device__ float group_score(enum moed_group_score kind, const float *select, uint32_t n)
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
__device__ void limit_groups(const struct moed_cuda_router &r, float *select)
{
    __shared__ float scores[MOED_MAX_GROUPS];
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

/* A float's bits in the order of floats. */
__device__ __forceinline__ uint32_t ordered(float value)
{
    const uint32_t bits = __float_as_uint(value + 0.0F); /* -0 is 0 */

    return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

/* The best that was not taken; a taken one has no value. The warp agrees. */
__device__ uint32_t take_best(float *select, uint32_t n)
{
    uint32_t best = 0, at = UINT32_MAX, found;

    for (uint32_t i = lane_id(); i < n; i += 32) {
        const uint32_t value = isnan(select[i]) ? 0 : ordered(select[i]);

        if (value > best) {
            best = value;
            at = i;
        }
    }
    found = __reduce_max_sync(ALL, best);
    at = __reduce_min_sync(ALL, best == found ? at : UINT32_MAX);
    if (at % 32 == lane_id())
        select[at] = NAN;
    return at;
}

__device__ void weigh(const struct moed_cuda_router &r, float *weights)
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

/* False, choosing nothing, if a logit is not finite. `scratch` holds 2 E floats. */
__device__ bool route(const struct moed_cuda_router &r, const float *logits, float *scratch,
                      int32_t *ids, float *weights)
{
    float *score = scratch, *select = scratch + r.experts;
    bool finite = true;

    for (uint32_t i = lane_id(); i < r.experts; i += 32)
        finite = finite && isfinite(logits[i]);
    if (!__all_sync(ALL, finite))
        return false;
    score_all(r, logits, score);
    __syncwarp();
    select_all(r, logits, score, select);
    __syncwarp();
    if (r.rule.groups > 1)
        limit_groups(r, select);
    __syncwarp();
    for (uint32_t j = 0; j < r.used; j++) {
        const uint32_t at = take_best(select, r.experts);

        if (lane_id() == 0) {
            ids[j] = (int32_t)at;
            weights[j] = score[at];
        }
    }
    __syncwarp();
    weigh(r, weights);
    return true;
}

/* The row's logits from their parts, in order. */
__device__ const float *gather_logits(const struct moed_cuda_router &r, uint32_t t)
{
    float *logits = r.logits + (size_t)t * r.experts;

    for (uint32_t e = lane_id(); e < r.experts; e += 32) {
        float sum = r.bias ? r.bias[e] : 0.0F;

#pragma unroll
        for (uint32_t p = 0; p < LOGIT_PARTS; p++)
            sum += r.parts[((size_t)p * r.most_rows + t) * r.experts + e];
        logits[e] = sum;
    }
    __syncwarp();
    return logits;
}

__device__ float shared_weight(const struct moed_cuda_router &r, uint32_t t)
{
    const float *x = r.x + (size_t)t * r.hidden;
    double sum = 0.0;

    if (!r.shared_gate)
        return 1.0F;
    for (uint32_t i = lane_id(); i < r.hidden; i += 32)
        sum += (double)r.shared_gate[i] * x[i];
    return sigmoid((float)warp_reduce(sum, take_sum()));
}

/* Whether slot `s` is the first of its row whose expert is held here and has this chunk. */
__device__ bool first_of_chunk(const struct moed_cuda_router &r, const int32_t *ids, uint32_t s)
{
    const uint32_t chunk = (uint32_t)ids[s] / r.chunk_size;

    for (uint32_t o = 0; o < s; o++)
        if (ids[o] >= 0 && (!r.place || r.place[ids[o]] >= 0) &&
            (uint32_t)ids[o] / r.chunk_size == chunk)
            return false;
    return true;
}

/* Planned experts of a row's slots, -1 for none: routed ones, their chunks, the shared one. */
__device__ void want(const struct moed_cuda_router &r, uint32_t t, bool routed, bool shared)
{
    const uint32_t slots = r.batch->slots;
    const int32_t *ids = r.ids + (size_t)t * slots;
    int32_t *wanted = r.wanted + (size_t)t * r.per_row;
    int32_t *entry_of = r.entry_of + (size_t)t * r.per_row;

    __syncwarp();
    for (uint32_t s = lane_id(); s < slots; s += 32) {
        const int32_t id = ids[s];
        const bool held = routed && id >= 0 && (!r.place || r.place[id] >= 0);

        wanted[s] = held ? id : -1;
        if (r.chunk_size > 0)
            wanted[slots + s] = held && first_of_chunk(r, ids, s)
                                    ? (int32_t)(r.experts + 1 + (uint32_t)id / r.chunk_size)
                                    : -1;
    }
    if (r.has_shared && lane_id() == 0)
        wanted[r.per_row - 1] = shared ? (int32_t)r.experts : -1;
    for (uint32_t s = lane_id(); s < r.per_row; s += 32)
        entry_of[s] = -1;
}

__global__ void __launch_bounds__(32) choose(const struct moed_cuda_router r)
{
    extern __shared__ float scratch[];
    const uint32_t t = blockIdx.x;

    follow();
    if (t >= r.batch->rows)
        return;

    const uint32_t slots = r.batch->slots;
    const uint8_t flags = r.batch->has_flags ? r.flags[t] : 0;
    int32_t *ids = r.ids + (size_t)t * slots;
    float *weights = r.weights + (size_t)t * slots;
    bool finite = true;

    if (!(flags & MOED_CUDA_SUPPLIED)) {
        finite = route(r, gather_logits(r, t), scratch, ids, weights);
        for (uint32_t s = (finite ? r.used : 0) + lane_id(); s < slots; s += 32) {
            ids[s] = -1;
            weights[s] = 0.0F;
        }
    }

    const bool computed = finite && !(flags & MOED_CUDA_ROUTE_ONLY);
    const bool shared = r.has_shared && computed && !(flags & MOED_CUDA_NO_SHARED);
    const float weight = shared ? shared_weight(r, t) : 0.0F;

    want(r, t, computed && !(flags & MOED_CUDA_ONLY_SHARED), shared);
    if (lane_id() == 0) {
        r.not_finite[t] = !finite;
        r.shared_weight[t] = weight;
    }
}

cudaError_t moed_cuda_choose(const struct moed_cuda_router *r, cudaStream_t stream)
{
    return launch(choose, {dim3(r->grid_rows), 32, 2 * r->experts * sizeof(float)}, stream, *r);
}
