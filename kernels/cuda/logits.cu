/* logits: the router's product in f32, since experts must be chosen as they are elsewhere. The
 * inputs are cut into LOGIT_PARTS parts, each summed by other blocks; topk.cu adds the parts up.
 * So a logit is summed in one order, whatever the number of rows.
 *
 * Grid: patches of rows × experts × LOGIT_PARTS (and one part more that makes rows f16, up to 16
 * rows), of 256 threads; shared memory: a step of a patch. No block waits for another; top-k's
 * launch may overlap up to EARLY_ROWS rows. */
#include "cast.cuh"
#include "launch.cuh"

constexpr int THREADS = CAST_THREADS;
constexpr uint32_t SMALL_ROWS = 128; /* up to which small patches keep more blocks busy */
constexpr int RUN = 16; /* inputs that are summed before they join a sum: f32 loses less so */

/* A block multiplies ROWS rows by EXPERTS experts, a thread a patch of ROWS / 16 × EXPERTS / 16 of
 * them, STEP inputs of which are in shared memory at a time. */
template <int ROWS, int EXPERTS, int STEP> struct patch {
    static constexpr int rows = ROWS, experts = EXPERTS, step = STEP;
    static constexpr int of_rows = ROWS / 16, of_experts = EXPERTS / 16;
    float x[STEP][ROWS + 4], w[STEP][EXPERTS + 4]; /* transposed; other banks */
};

using small = patch<16, 16, 64>;
using large = patch<64, 64, 32>;

struct vectors {
    const float *at;
    uint32_t n, cols; /* vectors that there are; inputs of one */
};

/* This thread's share of inputs [k, k + STEP) of N vectors, zeros where there are none; fetched
 * while the step before is multiplied. */
template <int N, int STEP> struct fetched {
    static constexpr int each = N * STEP / THREADS;
    float value[each];

    __device__ __forceinline__ void fetch(const vectors &v, uint32_t k, uint32_t end)
    {
#pragma unroll
        for (int i = 0; i < each; i++) {
            const uint32_t at = threadIdx.x + (uint32_t)i * THREADS;
            const uint32_t vector = at / STEP, input = k + at % STEP;

            value[i] = vector < v.n && input < end ? v.at[(size_t)vector * v.cols + input] : 0.0F;
        }
    }

    /* As out[input][vector]. */
    __device__ __forceinline__ void put(float (&out)[STEP][N + 4]) const
    {
#pragma unroll
        for (int i = 0; i < each; i++) {
            const uint32_t at = threadIdx.x + (uint32_t)i * THREADS;

            out[at % STEP][at / STEP] = value[i];
        }
    }
};

template <class P>
__device__ __forceinline__ void multiply_step(const P &s, float (&sums)[P::of_rows][P::of_experts])
{
    const uint32_t row = threadIdx.x / 16 * P::of_rows, expert = threadIdx.x % 16 * P::of_experts;

#pragma unroll
    for (int first = 0; first < P::step; first += RUN) {
        float run[P::of_rows][P::of_experts] = {};

#pragma unroll
        for (int k = first; k < first + RUN; k++)
#pragma unroll
            for (int r = 0; r < P::of_rows; r++)
#pragma unroll
                for (int e = 0; e < P::of_experts; e++)
                    run[r][e] = fmaf(s.x[k][row + r], s.w[k][expert + e], run[r][e]);
#pragma unroll
        for (int r = 0; r < P::of_rows; r++)
#pragma unroll
            for (int e = 0; e < P::of_experts; e++)
                sums[r][e] += run[r][e];
    }
}

/* All rows, shared out to the blocks that have no part of the inputs. */
__device__ void cast_rows(const struct moed_cuda_cast &h)
{
    for (uint32_t t = blockIdx.y * gridDim.x + blockIdx.x; t < h.batch->rows;
         t += gridDim.x * gridDim.y)
        cast_row(h, t);
}

template <class P>
__global__ void __launch_bounds__(THREADS)
    logits(const struct moed_cuda_router r, const struct moed_cuda_cast h)
{
    __shared__ P s;
    const uint32_t expert = blockIdx.x * P::experts, row = blockIdx.y * P::rows;
    const uint32_t part = (r.hidden + LOGIT_PARTS * RUN - 1) / (LOGIT_PARTS * RUN) * RUN;
    const uint32_t first = blockIdx.z * part;
    const uint32_t end = first + part < r.hidden ? first + part : r.hidden;
    float sums[P::of_rows][P::of_experts] = {};

    wait_for_previous_of(r.grid_rows);
    if (blockIdx.z == LOGIT_PARTS) {
        cast_rows(h);
        return;
    }

    const uint32_t rows = r.batch->rows;
    const vectors w = {r.weight + (size_t)expert * r.hidden, r.experts - expert, r.hidden};
    const vectors x = {r.x + (size_t)row * r.hidden, row < rows ? rows - row : 0, r.hidden};

    if (x.n == 0)
        return;

    fetched<P::rows, P::step> some_x;
    fetched<P::experts, P::step> some_w;

    some_x.fetch(x, first, end);
    some_w.fetch(w, first, end);
    for (uint32_t k = first; k < end; k += P::step) {
        some_x.put(s.x);
        some_w.put(s.w);
        __syncthreads();
        some_x.fetch(x, k + P::step, end);
        some_w.fetch(w, k + P::step, end);
        multiply_step(s, sums);
        __syncthreads();
    }
    for (uint32_t i = 0; i < P::of_rows; i++)
        for (uint32_t j = 0; j < P::of_experts; j++) {
            const uint32_t t = row + threadIdx.x / 16 * P::of_rows + i;
            const uint32_t e = expert + threadIdx.x % 16 * P::of_experts + j;

            if (t < rows && e < r.experts)
                r.parts[((size_t)blockIdx.z * r.most_rows + t) * r.experts + e] = sums[i][j];
        }
}

template <class P>
static cudaError_t multiply(const struct moed_cuda_router *r, const struct moed_cuda_cast *h,
                            cudaStream_t stream)
{
    const struct moed_cuda_cast none = {};
    const dim3 grid((r->experts + P::experts - 1) / P::experts,
                    (r->grid_rows + P::rows - 1) / P::rows, LOGIT_PARTS + (h ? 1 : 0));

    return launch(logits<P>, {grid, THREADS, 0}, stream, *r, h ? *h : none);
}

cudaError_t moed_cuda_logits(const struct moed_cuda_router *r, const struct moed_cuda_cast *h,
                             cudaStream_t stream)
{
    if (r->grid_rows <= small::rows)
        return multiply<small>(r, h, stream);

    const cudaError_t status = h ? moed_cuda_cast_rows(h, stream) : cudaSuccess;

    if (status != cudaSuccess)
        return status;
    return r->grid_rows <= SMALL_ROWS ? multiply<small>(r, NULL, stream)
                                      : multiply<large>(r, NULL, stream);
}
