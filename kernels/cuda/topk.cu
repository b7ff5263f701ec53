/* topk: a warp a row (topk.cuh).
 *
 * Grid: a block of 32 threads a row; shared memory: topk_scratch. No block waits for another; the
 * plan's launch may overlap up to EARLY_ROWS rows. */
#include "launch.cuh"
#include "topk.cuh"

/* The row's logits from their parts, in order. */
__device__ void gather_logits(const struct moed_cuda_router &r, uint32_t t, float *logits)
{
    for (uint32_t e = lane_id(); e < r.experts; e += 32) {
        float sum = r.bias ? r.bias[e] : 0.0F;

#pragma unroll
        for (uint32_t p = 0; p < LOGIT_PARTS; p++)
            sum += r.parts[((size_t)p * r.most_rows + t) * r.experts + e];
        r.logits[(size_t)t * r.experts + e] = sum;
        logits[e] = sum;
    }
    __syncwarp();
}

__global__ void __launch_bounds__(32) topk(const struct moed_cuda_router r)
{
    extern __shared__ float scratch[];
    const topk_scratch c(scratch, r.experts);
    const uint32_t t = blockIdx.x;

    wait_for_previous_of(r.grid_rows);
    if (t >= r.batch->rows)
        return;
    if (!(r.batch->has_flags && r.flags[t] & MOED_CUDA_SUPPLIED))
        gather_logits(r, t, c.logits);
    topk_row(r, t, c);
}

cudaError_t moed_cuda_topk(const struct moed_cuda_router *r, cudaStream_t stream)
{
    const size_t bytes = topk_scratch::bytes(r->experts);
    device_limits device;
    cudaError_t status = find_limits(&device);

    if (status == cudaSuccess)
        status = allow_all_shared((const void *)topk, device);
    return status == cudaSuccess ? launch(topk, {dim3(r->grid_rows), 32, bytes}, stream, *r)
                                 : status;
}
