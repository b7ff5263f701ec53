/* layer: the one launch of layer.cuh for two formats, MOED_CUDA_UP and MOED_CUDA_DOWN. */
#include "layer.cuh"
#include "layers.cuh"

using up_format = MOED_CUDA_UP;
using down_format = MOED_CUDA_DOWN;

constexpr uint32_t SLOT_BYTES = layer_slot<up_format, down_format>();
constexpr uint32_t LEAST_SLOTS = 2, GOOD_SLOTS = 3, MOST_SLOTS = 6; /* of a warp's ring */
constexpr uint32_t STATIC_BYTES = sizeof(struct layer_plan) + 1024; /* of shared memory, at most */

/* Stages of `grain` parts, and how many parts of a unit others may then keep for it. */
template <class F>
static uint32_t grain_of(const struct moed_cuda_matrix &m, uint32_t grain, uint32_t *kept)
{
    const uint32_t of_part = layer_share<F>::of_part;
    const uint32_t parts = (layer_share<F>::each(m) + of_part - 1) / of_part;

    if (parts > grain && parts - grain > *kept)
        *kept = parts - grain;
    return grain * of_part;
}

/* With parts of sums kept together by `grain`, as many slots as there is room for. */
static void share_memory(const struct moed_cuda_layer *l, uint32_t most, uint32_t grain,
                         layer_setup *s)
{
    const uint32_t rows = l->router.grid_rows;
    const uint32_t partial = rows * l->plan.per_row * 16 * (uint32_t)sizeof(float);
    const uint32_t cols = (l->router.hidden + BLOCK_K - 1) / BLOCK_K * BLOCK_K;
    uint32_t fixed, kept;

    *s = {};
    s->dry_runs = 1;
    s->quads = rows <= 2 ? 1 : rows <= 4 ? 2 : 4;
    s->grain[0] = grain_of<up_format>(l->up.matrix, grain, &s->most_kept);
    s->grain[1] = grain_of<down_format>(l->down.matrix, grain, &s->most_kept);
    s->row_bytes = cols * (uint32_t)sizeof(__half) + 16;
    kept = LAYER_WARPS * s->most_kept * 8 * s->quads * (uint32_t)sizeof(float4);
    fixed = rows * s->row_bytes + kept + partial;
    s->slots = fixed < most ? (most - fixed) / (LAYER_WARPS * (SLOT_BYTES + 8)) : 0;
    s->slots = s->slots < MOST_SLOTS ? s->slots : MOST_SLOTS;
    s->rows_at = LAYER_WARPS * s->slots * (SLOT_BYTES + 8);
    s->kept_at = s->rows_at + rows * s->row_bytes;
    s->partial_at = s->kept_at + kept;
    s->bytes = s->partial_at + partial;
}

/* Parts are kept apart as far as the weights' rings leave room. */
static bool set_up(const struct moed_cuda_layer *l, const device_limits &device, layer_setup *s)
{
    const uint32_t most = (uint32_t)device.shared_bytes - STATIC_BYTES;
    uint32_t grain = 1;

    for (share_memory(l, most, 1, s); s->slots < GOOD_SLOTS && s->most_kept > 0; grain *= 2)
        share_memory(l, most, grain, s);
    return s->slots >= LEAST_SLOTS &&
           LAYER_WARPS * s->slots * SLOT_BYTES >= /* which lies there before */
               l->router.grid_rows * topk_scratch::bytes(l->router.experts);
}

/* Rows of tiles of the output are whole blocks' work: there must be enough, or few. */
static bool is_even(uint32_t blocks, uint32_t processors)
{
    const uint32_t turns = (blocks + processors - 1) / processors;

    return turns == 1 || blocks * 5 >= turns * processors * 4;
}

static bool suits(const struct moed_cuda_layer *l)
{
    const uint32_t rows = l->router.grid_rows, pairs = rows * l->plan.per_row;
    device_limits device;
    layer_setup s;

    return find_limits(&device) == cudaSuccess && device.major >= 9 && rows <= LAYER_ROWS &&
           pairs <= LAYER_PAIRS && l->router.experts <= LAYER_EXPERTS &&
           l->router.hidden % LAYER_RUN == 0 &&
           is_even(l->down.matrix.blocks, (uint32_t)device.processors) && set_up(l, device, &s);
}

static cudaError_t run(const struct moed_cuda_layer *l, cudaStream_t stream)
{
    const auto kernel = layer_pass<up_format, down_format>;
    struct layer_arguments a = {*l, {}};
    device_limits device;
    cudaError_t status = find_limits(&device);

    if (status == cudaSuccess && !set_up(l, device, &a.s))
        status = cudaErrorNotSupported;
    if (status == cudaSuccess)
        status = allow_all_shared((const void *)kernel, device);
    if (status != cudaSuccess)
        return status;
    return launch_together(kernel, {dim3((unsigned)device.processors), LAYER_THREADS, a.s.bytes},
                           stream, a);
}

#define TEXT_(x)        #x
#define TEXT(x)         TEXT_(x)
#define NAME_(up, down) moed_cuda_layer_##up##_##down
#define NAME(up, down)  NAME_(up, down)

extern "C" const struct layer_kernel NAME(MOED_CUDA_UP, MOED_CUDA_DOWN) = {
    TEXT(MOED_CUDA_UP), TEXT(MOED_CUDA_DOWN), suits, run};
