/* front: all that comes before the products, in one launch, for few rows: the router, rows as f16,
 * the rule and the plan. The block that is done last goes on with the rule, and so no launch lies
 * between. The sums are those of logits.cu, in their order.
 *
 * Grid: a block two experts, and one a row that becomes f16; of 256 threads; shared memory: top-k's
 * scratch a warp. No block waits, the last to arrive goes on. The products' launch may overlap. */
#include "cast.cuh"
#include "launch.cuh"
#include "plan.cuh"
#include "topk.cuh"

constexpr uint32_t THREADS = CAST_THREADS, WARPS = THREADS / 32;
constexpr uint32_t RUN = 16;      /* as in logits.cu */
constexpr uint32_t MOST_ROWS = 8; /* and a block's two experts: a warp each part of the inputs */
constexpr uint32_t MOST_SLOTS = 256, MOST_EXPERTS = 256, MOST_PLANNED = 1024;

static_assert(WARPS == LOGIT_PARTS, "a warp each part");

struct front {
    struct moed_cuda_router r;
    struct moed_cuda_cast h;
    struct moed_cuda_plan p;
    uint32_t *arrived; /* blocks, of those that there are; 0 between launches */
};

/* ---- logits ---- */

/* Σ x · w of 16 inputs. */
__device__ __forceinline__ float run_of(const float4 w[4], const float *x)
{
    float run = 0.0F;

#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float4 four = ((const float4 *)x)[i];

        run = fmaf(four.x, w[i].x, run);
        run = fmaf(four.y, w[i].y, run);
        run = fmaf(four.z, w[i].z, run);
        run = fmaf(four.w, w[i].w, run);
    }
    return run;
}

/* parts[row][expert of two][warp]: a half of a warp has an expert, a lane every 16th run. */
__device__ void logit_parts(const struct moed_cuda_router &r, uint32_t expert,
                            float parts[MOST_ROWS][2][LOGIT_PARTS])
{
    const uint32_t lane = lane_id(), warp = threadIdx.x / 32, rows = r.batch->rows;
    const uint32_t part = (r.hidden + LOGIT_PARTS * RUN - 1) / (LOGIT_PARTS * RUN) * RUN;
    const uint32_t first = warp * part, end = min(first + part, r.hidden);
    const bool there = expert + lane / 16 < r.experts;
    float sums[MOST_ROWS] = {};

    for (uint32_t from = first; from < end; from += 16 * RUN) {
        const uint32_t k = from + lane % 16 * RUN;
        const bool mine = there && k < end;
        float4 w[4] = {};

#pragma unroll
        for (int i = 0; i < 4 && mine; i++)
            w[i] = ((const float4 *)(r.weight + (size_t)(expert + lane / 16) * r.hidden + k))[i];
#pragma unroll
        for (uint32_t t = 0; t < MOST_ROWS; t++) {
            if (t >= rows)
                break;

            const float run = mine ? run_of(w, r.x + (size_t)t * r.hidden + k) : 0.0F;

#pragma unroll
            for (uint32_t i = 0; i < 16; i++)
                sums[t] += __shfl_sync(ALL, run, (int)(lane / 16 * 16 + i));
        }
    }
#pragma unroll
    for (uint32_t t = 0; t < MOST_ROWS; t++)
        if (lane % 16 == 0 && t < rows)
            parts[t][lane / 16][warp] = sums[t];
}

__device__ void find_logits(const struct moed_cuda_router &r)
{
    __shared__ float parts[MOST_ROWS][2][LOGIT_PARTS];
    const uint32_t expert = blockIdx.x * 2 + threadIdx.x % 2, t = threadIdx.x / 2;

    logit_parts(r, blockIdx.x * 2, parts);
    __syncthreads();
    if (t >= r.batch->rows || expert >= r.experts)
        return;

    float sum = r.bias ? r.bias[expert] : 0.0F;

#pragma unroll
    for (uint32_t p = 0; p < LOGIT_PARTS; p++)
        sum += parts[t][threadIdx.x % 2][p];
    r.logits[(size_t)t * r.experts + expert] = sum;
}

/* ---- the block that is last ---- */

/* Whether all other blocks' writes are seen by this one's threads from here on. */
__device__ bool is_last(uint32_t *arrived)
{
    __shared__ bool last;

    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(arrived, 1U) == gridDim.x - 1;
        if (last)
            *arrived = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}

__device__ void topk_all(const struct moed_cuda_router &r, float *scratch)
{
    const topk_scratch c(scratch + threadIdx.x / 32 * 4 * r.experts, r.experts);

    for (uint32_t t = threadIdx.x / 32; t < r.batch->rows; t += WARPS) {
        for (uint32_t e = lane_id(); e < r.experts; e += 32)
            c.logits[e] = __ldcg(&r.logits[(size_t)t * r.experts + e]);
        __syncwarp();
        topk_row(r, t, c);
    }
}

struct tally {
    uint32_t slots[MOST_SLOTS]; /* what each wants */
    uint32_t counts[MOST_PLANNED];
    uint32_t before[MOST_PLANNED]; /* pairs, and 2^16 times tiles, up to and with this one */
    uint32_t chunks[32];           /* the same of 32 planned experts */
};

__device__ void count_slots(const struct moed_cuda_plan &p, uint32_t n, uint32_t planned, tally &s)
{
    for (uint32_t e = threadIdx.x; e < planned; e += THREADS)
        s.counts[e] = 0;
    __syncthreads();
    for (uint32_t at = threadIdx.x; at < n; at += THREADS) {
        const int32_t expert = p.wanted[at];

        s.slots[at] = (uint32_t)expert;
        if (expert >= 0)
            atomicAdd(&s.counts[expert], 1U);
    }
    __syncthreads();
    for (uint32_t chunk = threadIdx.x / 32; chunk * 32 < planned; chunk += WARPS) {
        const uint32_t e = chunk * 32 + lane_id(), count = e < planned ? s.counts[e] : 0;
        uint32_t sum = count | tiles_for(p, count) << 16;

        for (uint32_t distance = 1; distance < 32; distance *= 2) {
            const uint32_t other = __shfl_up_sync(ALL, sum, distance);

            sum += lane_id() >= distance ? other : 0;
        }
        if (e < planned)
            s.before[e] = sum;
        if (lane_id() == 31)
            s.chunks[chunk] = sum;
    }
    __syncthreads();
}

/* Pairs, and 2^16 times tiles, of planned experts before this one. */
__device__ uint32_t before(const struct moed_cuda_plan &p, const tally &s, uint32_t expert)
{
    const uint32_t count = s.counts[expert];
    uint32_t sum = s.before[expert] - (count | tiles_for(p, count) << 16);

    for (uint32_t chunk = 0; chunk < expert / 32; chunk++)
        sum += s.chunks[chunk];
    return sum;
}

__device__ void plan_all(const struct moed_cuda_plan &p)
{
    __shared__ tally s;
    const uint32_t planned = p.experts + 1 + p.chunks, n = p.batch->rows * p.per_row;

    count_slots(p, n, planned, s);
    for (uint32_t e = threadIdx.x; e < planned; e += THREADS) {
        const uint32_t sum = before(p, s, e);

        make_tiles(p, e, s.counts[e], sum & 0xffffU, sum >> 16, 0, 1);
    }
    for (uint32_t at = threadIdx.x; at < n; at += THREADS) {
        const uint32_t expert = s.slots[at];
        uint32_t earlier = 0;

        if ((int32_t)expert < 0)
            continue;
        for (uint32_t o = 0; o < at; o++)
            earlier += s.slots[o] == expert;
        place(p, expert, at, (before(p, s, expert) & 0xffffU) + earlier);
    }
}

__global__ void __launch_bounds__(THREADS) front(const struct front f)
{
    extern __shared__ float scratch[];
    const uint32_t routers = (f.r.experts + 1) / 2;

    wait_for_previous();
    let_next_start();
    if (blockIdx.x < routers)
        find_logits(f.r);
    else if (blockIdx.x - routers < f.h.batch->rows)
        cast_row(f.h, blockIdx.x - routers);
    if (!is_last(f.arrived))
        return;
    topk_all(f.r, scratch);
    __syncthreads();
    plan_all(f.p);
}

bool moed_cuda_front_suits(const struct moed_cuda_router *r, const struct moed_cuda_plan *p)
{
    return r->grid_rows <= MOST_ROWS && r->hidden % RUN == 0 && r->experts <= MOST_EXPERTS &&
           r->grid_rows * p->per_row <= MOST_SLOTS && p->experts + 1 + p->chunks <= MOST_PLANNED;
}

cudaError_t moed_cuda_front(const struct moed_cuda_router *r, const struct moed_cuda_cast *h,
                            const struct moed_cuda_plan *p, uint32_t *arrived, cudaStream_t stream)
{
    const struct front f = {*r, *h, *p, arrived};
    const size_t bytes = WARPS * topk_scratch::bytes(r->experts);

    return launch(front, {dim3((r->experts + 1) / 2 + r->grid_rows), THREADS, bytes}, stream, f);
}
