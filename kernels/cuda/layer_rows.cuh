/* layer_rows: what becomes of a few rows before the products: logits, f16 in shared memory,
 * choices, and where their pairs are. */
#ifndef MOED_CUDA_LAYER_ROWS_CUH
#define MOED_CUDA_LAYER_ROWS_CUH

#include "layer_plan.cuh"
/* after the tiles' own `place` */
#include "cast.cuh"

constexpr uint32_t LAYER_RUN = 16; /* inputs, as in logits.cu */

/* ---- logits, and rows as f16 ---- */

/* Σ x · w of 16 inputs. */
DEVICE float layer_run(const float *w, const float *x)
{
    float run = 0.0F;

#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float4 a = ((const float4 *)w)[i], b = ((const float4 *)x)[i];

        run = fmaf(b.x, a.x, run);
        run = fmaf(b.y, a.y, run);
        run = fmaf(b.z, a.z, run);
        run = fmaf(b.w, a.w, run);
    }
    return run;
}

/* One expert's logits, in the order of logits.cu: half a warp a row's part, a lane a run. */
DEVICE void layer_logit(const struct moed_cuda_router &r, uint32_t rows, uint32_t expert,
                        float parts[LAYER_ROWS][LOGIT_PARTS])
{
    const uint32_t half = threadIdx.x / 16, lane = threadIdx.x % 16, at = half % LOGIT_PARTS;
    const uint32_t part =
        (r.hidden + LOGIT_PARTS * LAYER_RUN - 1) / (LOGIT_PARTS * LAYER_RUN) * LAYER_RUN;
    const uint32_t first = at * part, end = min(first + part, r.hidden);
    const float *w = r.weight + (size_t)expert * r.hidden;

    for (uint32_t t = half / LOGIT_PARTS; t < rows; t += LAYER_THREADS / 16 / LOGIT_PARTS) {
        const float *x = r.x + (size_t)t * r.hidden;
        float sum = 0.0F;

        for (uint32_t from = 0; from < part; from += 16 * LAYER_RUN) {
            const uint32_t k = first + from + lane * LAYER_RUN;
            const float run = k < end ? layer_run(w + k, x + k) : 0.0F;

#pragma unroll
            for (int i = 0; i < 16; i++)
                sum += __shfl_sync(ALL, run, i, 16);
        }
        if (lane == 0)
            parts[t][at] = sum;
    }
}

/* This block's experts' logits, at the end by its first warp. */
DEVICE void layer_logits(const struct moed_cuda_router &r, uint32_t rows)
{
    __shared__ float parts[LAYER_ROWS][LOGIT_PARTS];

    for (uint32_t expert = blockIdx.x; expert < r.experts; expert += gridDim.x) {
        layer_logit(r, rows, expert, parts);
        __syncthreads();
        if (threadIdx.x < rows) {
            float sum = r.bias ? r.bias[expert] : 0.0F;

#pragma unroll
            for (uint32_t p = 0; p < LOGIT_PARTS; p++)
                sum += parts[threadIdx.x][p];
            r.logits[(size_t)threadIdx.x * r.experts + expert] = sum;
        }
        if (expert + gridDim.x < r.experts)
            __syncthreads(); /* before the parts are another's */
    }
    __syncwarp();
}

/* cast_row() of all rows at once, 256 threads a row, to shared memory: all loads go out together.
 */
DEVICE void layer_cast(const struct moed_cuda_cast &h, uint32_t rows, uint32_t row_bytes,
                       uint8_t *to, layer_plan &plan)
{
    constexpr uint32_t halves = LAYER_THREADS / CAST_THREADS, each = LAYER_ROWS / halves;
    __shared__ float seen[2][LAYER_ROWS][CAST_THREADS / 32];
    const uint32_t i = threadIdx.x % CAST_THREADS, half = threadIdx.x / CAST_THREADS;
    const uint32_t padded = (h.cols + BLOCK_K - 1) / BLOCK_K * BLOCK_K;
    const float *from = h.from + (size_t)half * h.cols;
    float largest[each] = {}, squares[each] = {};
    int units[each];

    for (uint32_t v = i; v * 4 < h.cols; v += CAST_THREADS)
#pragma unroll
        for (uint32_t j = 0; j < each; j++)
            if (half + j * halves < rows)
                largest[j] = cast_largest(largest[j],
                                          cast_load(from + (size_t)j * halves * h.cols, v, h.cols));
#pragma unroll
    for (uint32_t j = 0; j < each; j++) {
        largest[j] = warp_reduce(largest[j], take_max());
        if (i % 32 == 0)
            seen[0][half + j * halves][i / 32] = largest[j];
    }
    __syncthreads();
#pragma unroll
    for (uint32_t j = 0; j < each; j++) {
        for (int w = 0; w < CAST_THREADS / 32; w++)
            largest[j] = fmaxf(largest[j], seen[0][half + j * halves][w]);
        units[j] = units_of(largest[j]);
    }
    for (uint32_t v = i; v * 4 < padded; v += CAST_THREADS)
#pragma unroll
        for (uint32_t j = 0; j < each; j++)
            if (half + j * halves < rows)
                squares[j] = cast_put(cast_load(from + (size_t)j * halves * h.cols, v, h.cols), v,
                                      cast_by(units[j]), true,
                                      (__half *)(to + (half + j * halves) * row_bytes), squares[j]);
#pragma unroll
    for (uint32_t j = 0; j < each; j++) {
        squares[j] = warp_reduce(squares[j], take_sum());
        if (i % 32 == 0)
            seen[1][half + j * halves][i / 32] = squares[j];
        if (i == 0)
            plan.factor[half + j * halves] = scalbnf(1.0F, units[j]);
    }
    __syncthreads();
    if (threadIdx.x >= LAYER_THREADS - LAYER_ROWS) { /* who do not choose */
        const uint32_t t = threadIdx.x - (LAYER_THREADS - LAYER_ROWS);
        float sum = seen[1][t][0];

        for (int w = 1; w < CAST_THREADS / 32; w++)
            sum += seen[1][t][w];
        plan.size[t] = sqrtf(sum / (float)h.cols) * plan.factor[t];
    }
}

/* ---- choice and plan ---- */

/* A warp a row. */
DEVICE void layer_choose(const struct moed_cuda_router &r, uint32_t t, float *scratch,
                         layer_plan &plan)
{
    const uint32_t slots = plan.slots;
    const topk_scratch c(scratch + t * 4 * r.experts, r.experts);

    for (uint32_t e = lane_id(); e < r.experts; e += 32)
        c.logits[e] = __ldcg(&r.logits[(size_t)t * r.experts + e]);
    __syncwarp();

    const topk_choice choice = choose_for(r, t, c);

    for (uint32_t i = lane_id(); i < slots; i += 32) {
        const uint32_t at = t * slots + i;
        const int32_t id = choice.supplied ? r.ids[at] : i < choice.routed ? c.ids()[i] : -1;
        const bool held = i < choice.computed && id >= 0 && (!r.place || r.place[id] >= 0);

        plan.ids[at] = (int16_t)id;
        plan.wanted[at] = (int16_t)(held ? id : -1);
        plan.weight[at] = choice.supplied ? r.weights[at] : i < choice.routed ? c.weights[i] : 0.0F;
        if (held)
            atomicOr(&plan.active[id / 32], 1U << id % 32);
    }
    if (lane_id() == 0)
        plan.finite[t] = choice.finite;
}

/* The same for the host and for a second pass, by block 0, when nobody waits for it. */
DEVICE void layer_tell(const struct moed_cuda_layer &l, uint32_t rows, const layer_plan &plan)
{
    const struct moed_cuda_router &r = l.router;
    const uint32_t i = threadIdx.x;

    if (i < rows * plan.slots) {
        r.ids[i] = plan.ids[i]; /* of rows that brought theirs, the same again */
        r.weights[i] = plan.weight[i];
        r.wanted[i] = plan.wanted[i];
        r.pair_of[i] = -1;
    }
    if (i < rows) {
        r.not_finite[i] = !plan.finite[i];
        r.shared_weight[i] = 0.0F;
    }
    if (i <= r.experts) {
        uint32_t count = 0;

        for (uint32_t at = 0; at < rows * plan.slots; at++)
            count += plan.wanted[at] == (int16_t)i;
        l.plan.count[i] = count;
    }
}

/* layer_make_any_plan() of so few rows that an expert has one tile: where a pair is follows from
 * how many want lower experts. */
DEVICE void layer_make_plan(const struct moed_cuda_plan &p, uint32_t rows, layer_plan &plan)
{
    const uint32_t n = rows * plan.slots, at = threadIdx.x;
    const int32_t expert = at < n ? plan.wanted[at] : -1;
    uint32_t lower = 0, same = 0, earlier = 0, tile;

    if (at < n && expert < 0)
        plan.pair_of[at] = -1;
    if (expert < 0)
        return;
#pragma unroll 8
    for (uint32_t o = 0; o < n; o++) {
        const int32_t other = plan.wanted[o];

        lower += other >= 0 && other < expert;
        same += other == expert;
        earlier += other == expert && o < at;
    }
    layer_pair(p, at, lower + earlier, plan);
    if (earlier > 0)
        return;
    tile = __popc(plan.active[expert / 32] & ((1U << expert % 32) - 1U));
    for (int32_t i = 0; i < expert / 32; i++)
        tile += __popc(plan.active[i]);
    plan.tile[tile] = {place_in_bank(p, (uint32_t)expert), lower, same};
}

/* Known as soon as all have chosen. */
DEVICE uint32_t layer_tiles(const layer_plan &plan)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < LAYER_EXPERTS / 32; i++)
        sum += __popc(plan.active[i]);
    return sum;
}

#endif
