/* rows: a thread block of 256 threads a row: norms, and f32 rows to f16 ones. No block waits for
 * another; the next launch may overlap up to EARLY_ROWS rows. */
#include "cast.cuh"
#include "launch.cuh"

constexpr int THREADS = CAST_THREADS;
__global__ void __launch_bounds__(CAST_THREADS) cast(const struct moed_cuda_cast h)
{
    wait_for_previous_of(h.grid_rows);
    if (blockIdx.x < h.batch->rows)
        cast_row(h, blockIdx.x);
}

cudaError_t moed_cuda_cast_rows(const struct moed_cuda_cast *h, cudaStream_t stream)
{
    return launch(cast, {dim3(h->grid_rows), CAST_THREADS, 0}, stream, *h);
}

__global__ void __launch_bounds__(THREADS) normalise(const struct moed_cuda_normed n)
{
    __shared__ double shared[32];
    const uint32_t t = blockIdx.x;
    const float *from = n.from + (size_t)t * n.cols;
    float *to = n.to + (size_t)t * n.cols;
    double mean = 0.0, squares = 0.0;

    wait_for_previous_of(n.grid_rows);
    if (t >= n.batch->rows)
        return;
    if (n.flags && !(n.flags[t] & n.flag)) {
        for (uint32_t i = threadIdx.x; i < n.cols; i += THREADS)
            to[i] = from[i];
        return;
    }
    if (n.kind == MOED_CUDA_LAYER_NORM) {
        for (uint32_t i = threadIdx.x; i < n.cols; i += THREADS)
            mean += from[i];
        mean = block_reduce(mean, take_sum(), shared) / n.cols;
    }
    for (uint32_t i = threadIdx.x; i < n.cols; i += THREADS)
        squares += (from[i] - mean) * (from[i] - mean);
    squares = block_reduce(squares, take_sum(), shared);

    const float scale = 1.0F / sqrtf((float)(squares / n.cols) + n.eps);

    for (uint32_t i = threadIdx.x; i < n.cols; i += THREADS)
        to[i] = (from[i] - (float)mean) * scale * (n.weight ? n.weight[i] : 1.0F) +
                (n.bias ? n.bias[i] : 0.0F);
}

cudaError_t moed_cuda_normalise(const struct moed_cuda_normed *n, cudaStream_t stream)
{
    return launch(normalise, {dim3(n->grid_rows), THREADS, 0}, stream, *n);
}
