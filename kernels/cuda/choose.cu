/* choose: a row's experts from its logits, by the layer's rule: src/moe/route.c, a warp a row. Sums
 * are held in double; ties go to the lower index. */
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
    float largest = NEVER;
    double sum = 0.0;

    for (uint32_t i = lane_id(); i < n; i += 32)
        largest = fmaxf(largest, x[i]);
    largest = warp_reduce(largest, take_max());
    for (uint32_t i = lane_id(); i < n; i += 32) {
        out[i] = expf(x[i] - largest);
        sum += out[i];
    }
    sum = warp_reduce(sum, take_sum());
    for (uint32_t i = lane_id(); i < n; i += 32)
        out[i] = (float)(out[i] / sum);
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
        select[i] = r.select_bias ? s + r.select_bias[i] : s;
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

struct candidate {
    float value;
    uint32_t at;

    /* A greater value first, then the lower index. */
    __device__ bool before(const candidate &other) const
    {
        return value > other.value || (value == other.value && at < other.at);
    }
};

/* The best that comes after `last`. */
__device__ candidate next_best(const float *select, uint32_t n, const candidate &last)
{
    candidate best = {NEVER, UINT32_MAX};

    for (uint32_t i = lane_id(); i < n; i += 32) {
        const candidate c = {select[i], i};

        if (last.before(c) && c.before(best))
            best = c;
    }
    for (int apart = 16; apart > 0; apart /= 2) {
        const candidate other = {__shfl_xor_sync(ALL, best.value, apart),
                                 __shfl_xor_sync(ALL, best.at, apart)};

        if (other.before(best))
            best = other;
    }
    return best;
}

__device__ void weigh(const struct moed_cuda_router &r, float *weights)
{
    if (r.rule.weight_from == MOED_WEIGHT_SOFTMAX_CHOSEN)
        softmax(weights, r.used, weights);
    __syncwarp();
    if (r.rule.renorm) {
        double sum = 0.0;

        for (uint32_t j = lane_id(); j < r.used; j += 32)
            sum += weights[j];
        sum = fmax(warp_reduce(sum, take_sum()), (double)r.rule.renorm_floor);
        for (uint32_t j = lane_id(); j < r.used; j += 32)
            weights[j] = (float)(weights[j] / sum);
    }
    for (uint32_t j = lane_id(); j < r.used; j += 32)
        weights[j] *= r.rule.scale;
}

/* False, choosing nothing, if a logit is not finite. `scratch` holds 2 E floats. */
__device__ bool route(const struct moed_cuda_router &r, const float *logits, float *scratch,
                      int32_t *ids, float *weights)
{
    float *score = scratch, *select = scratch + r.experts;
    candidate last = {INFINITY, 0};
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
        last = next_best(select, r.experts, last);
        if (lane_id() == 0) {
            ids[j] = (int32_t)last.at;
            weights[j] = score[last.at];
        }
    }
    __syncwarp();
    weigh(r, weights);
    return true;
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

__global__ void __launch_bounds__(32) choose(const struct moed_cuda_router r)
{
    extern __shared__ float scratch[];
    const uint32_t t = blockIdx.x;

    follow();

    const uint32_t slots = r.batch->slots;

    if (t >= r.batch->rows)
        return;

    const uint8_t flags = r.batch->has_flags ? r.flags[t] : 0;
    int32_t *ids = r.ids + (size_t)t * slots;
    float *weights = r.weights + (size_t)t * slots;
    bool finite = true, computed;

    if (!(flags & MOED_CUDA_SUPPLIED)) {
        finite = route(r, r.logits + (size_t)t * r.experts, scratch, ids, weights);
        for (uint32_t s = (finite ? r.used : 0) + lane_id(); s < slots; s += 32) {
            ids[s] = -1;
            weights[s] = 0.0F;
        }
    }
    for (uint32_t s = lane_id(); s < 2 * slots + 1; s += 32)
        r.entry_of[(size_t)t * (2 * slots + 1) + s] = -1;
    computed = finite && !(flags & MOED_CUDA_ROUTE_ONLY);

    const bool shared = r.has_shared && computed && !(flags & MOED_CUDA_NO_SHARED);
    const float weight = shared ? shared_weight(r, t) : 0.0F;

    if (lane_id() == 0) {
        r.not_finite[t] = !finite;
        r.takes[t] = (computed && !(flags & MOED_CUDA_ONLY_SHARED) ? MOED_CUDA_TAKES_ROUTED : 0) |
                     (shared ? MOED_CUDA_TAKES_SHARED : 0);
        r.shared_weight[t] = weight;
    }
}

cudaError_t moed_cuda_choose(const struct moed_cuda_router *r, cudaStream_t stream)
{
    return launch(choose, {dim3(r->grid_rows), 32, 2 * r->experts * sizeof(float)}, stream, *r);
}
