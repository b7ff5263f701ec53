/* product: everything about one format, MOED_CUDA_FORMAT: packing it, and its products. Compiled
 * once a format, so that formats compile side by side. */
#include "exact.cuh"
#include "large_m.cuh"
#include "launch.cuh"
#include "small_m.cuh"

using format = MOED_CUDA_FORMAT;

/* ---- packing ---- */

struct packing {
    struct moed_cuda_source from;
    uint32_t rows, cols, chunks; /* as multiplied */
    bool interleaved;
    uint8_t *tiles;
};

/* The row of the file that is row `row` of a matrix; NULL: one that pads. */
HD const uint8_t *source_row(const packing &p, uint32_t row)
{
    if (!p.interleaved)
        return row < p.rows ? p.from.rows[0] + row * p.from.row_bytes : NULL;

    const uint32_t feature = row / 16 * 8 + row % 8;

    return feature < p.rows / 2 ? p.from.rows[row / 8 % 2] + feature * p.from.row_bytes : NULL;
}

/* One lane's codes of a block of 64 inputs. */
HD void pack_lane(const packing &p, uint32_t row_of_tiles, uint32_t k, int lane)
{
    const int block = (int)(k % tile<format>::chunk / BLOCK_K);
    uint8_t *to =
        p.tiles + (row_of_tiles * p.chunks + k / tile<format>::chunk) * (size_t)tile<format>::bytes;

#pragma unroll 1
    for (int i = 0; i < 32; i++) {
        const place at = {block, lane, i / 8, i / 2 % 4, i % 2};
        const uint32_t input = k / tile<format>::chunk * tile<format>::chunk + (uint32_t)k_of(at);
        const uint8_t *row = source_row(p, row_of_tiles * 16 + (uint32_t)row_of(at));

        if (row && input < p.cols)
            put_tile_code<format>(to, at,
                                  file_code<format>(row + input / format::block * format::bytes,
                                                    (int)(input % format::block)));
    }
}

/* One row's scales of a block of 64 inputs, or of a chunk, whichever is larger. */
HD void pack_row(const packing &p, uint32_t row, uint32_t chunk)
{
    constexpr int blocks = format::block == 1 ? 0 : tile<format>::chunk / format::block;
    const uint8_t *from = source_row(p, row);
    uint8_t *to = p.tiles + (row / 16 * p.chunks + chunk) * (size_t)tile<format>::bytes;

    for (int b = 0; b < blocks && from; b++) {
        const uint32_t at = chunk * blocks + (uint32_t)b;

        if (at * format::block < p.cols)
            pack_scales<format>(from + at * format::bytes, (int)(row % 16), b, to);
    }
}

static __global__ void pack_codes(const packing p, uint32_t blocks)
{
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t k64 = p.chunks * tile<format>::blocks;

    for (uint32_t unit = blockIdx.x * blockDim.x / 32 + threadIdx.x / 32; unit < blocks * k64;
         unit += gridDim.x * blockDim.x / 32)
        pack_lane(p, unit / k64, unit % k64 * BLOCK_K, (int)lane);
}

static __global__ void pack_small(const packing p, uint32_t blocks)
{
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < blocks * 16 * p.chunks;
         i += gridDim.x * blockDim.x)
        pack_row(p, i / p.chunks, i % p.chunks);
}

/* Magnitudes that are not finite compare as the largest. */
static __global__ void find_range(const packing p, uint32_t blocks, struct moed_cuda_range *range)
{
    const uint32_t k64 = p.chunks * tile<format>::blocks;
    float weight = 0.0F, scale = 0.0F;

    for (uint32_t unit = blockIdx.x * blockDim.x / 32 + threadIdx.x / 32; unit < blocks * k64;
         unit += gridDim.x * blockDim.x / 32) {
        const uint8_t *from = p.tiles + unit / tile<format>::blocks * (size_t)tile<format>::bytes;

#pragma unroll 1
        for (int i = 0; i < 32; i++) {
            const place at = {(int)(unit % tile<format>::blocks), (int)threadIdx.x % 32, i / 8,
                              i / 2 % 4, i % 2};
            const scale_and_min sm = scales_of<format>(from, row_of(at), k_of(at) / format::group);
            const float value = value_of<format>(from, at);

            weight = fabsf(value) <= weight ? weight : fabsf(value);
            scale = fabsf(sm.scale) <= scale ? scale : fabsf(sm.scale);
            scale = fabsf(sm.min) / 64 <= scale ? scale : fabsf(sm.min) / 64;
        }
    }
    atomicMax(&range->weight, __float_as_uint(weight));
    atomicMax(&range->scale, __float_as_uint(scale));
}

static packing packing_of(const struct moed_cuda_matrix *m, const struct moed_cuda_source *from,
                          uint8_t *tiles)
{
    return {*from,          m->rows, m->cols, (uint32_t)(m->block_bytes / tile<format>::bytes),
            m->interleaved, tiles};
}

static cudaError_t pack(const struct moed_cuda_matrix *to, uint32_t expert,
                        const struct moed_cuda_source *from, struct moed_cuda_range *range,
                        cudaStream_t stream)
{
    const packing p = packing_of(to, from, to->tiles + expert * to->expert_bytes);

    pack_codes<<<1024, 256, 0, stream>>>(p, to->blocks);
    pack_small<<<256, 256, 0, stream>>>(p, to->blocks);
    find_range<<<1024, 256, 0, stream>>>(p, to->blocks, range);
    return cudaGetLastError();
}

static void pack_host(const struct moed_cuda_matrix *to, const struct moed_cuda_source *from,
                      uint8_t *tiles)
{
    const packing p = packing_of(to, from, tiles);

    for (uint32_t block = 0; block < to->blocks; block++)
        for (uint32_t k = 0; k < p.chunks * tile<format>::chunk; k += BLOCK_K)
            for (int lane = 0; lane < 32; lane++)
                pack_lane(p, block, k, lane);
    for (uint32_t row = 0; row < to->blocks * 16; row++)
        for (uint32_t chunk = 0; chunk < p.chunks; chunk++)
            pack_row(p, row, chunk);
}

static void unpack_row(const packing &p, uint32_t row, uint8_t *to)
{
    for (uint32_t k = 0; k < p.cols; k++) {
        const uint32_t chunk = k / tile<format>::chunk;
        const uint8_t *from = p.tiles + (row / 16 * p.chunks + chunk) * (size_t)tile<format>::bytes;
        uint8_t *block = to + k / format::block * format::bytes;
        const place at = place_of((int)(row % 16), (int)(k % tile<format>::chunk));

        put_file_code<format>(block, (int)(k % format::block), tile_code<format>(from, at));
        if (format::block > 1 && k % format::block == 0)
            unpack_scales<format>(from, (int)(row % 16),
                                  (int)(k % tile<format>::chunk / format::block), block);
    }
}

static void unpack_host(const struct moed_cuda_matrix *from, const uint8_t *tiles,
                        uint8_t *const rows[2], size_t row_bytes)
{
    const struct moed_cuda_source to = {{rows[0], rows[1]}, row_bytes};
    const packing p = packing_of(from, &to, (uint8_t *)(uintptr_t)tiles);

    for (uint32_t row = 0; row < from->blocks * 16; row++) {
        const uint8_t *found = source_row(p, row);

        if (found)
            unpack_row(p, row, (uint8_t *)(uintptr_t)found);
    }
}

static float value_host(const uint8_t *tiles, uint32_t row, uint32_t k)
{
    return value_of<format>(tiles, place_of((int)row, (int)k));
}

/* ---- products ---- */

static cudaError_t multiply_exact(const struct moed_cuda_product *p, const device_limits &device,
                                  cudaStream_t stream)
{
    const uint64_t units = (uint64_t)p->most_tiles * p->matrix.blocks;
    const uint64_t most = (uint64_t)device.processors * 16;

    return launch(exact_product<format>,
                  {dim3((unsigned)(units < most ? units : most)), EXACT_THREADS, 0}, stream, *p);
}

#if MOED_CUDA_FAST
/* Small work leaves half of a multiprocessor to the launch after it, which may fetch its weights
 * meanwhile. */
static uint32_t small_m_shares(const struct moed_cuda_product *p, const device_limits &device,
                               small_m_setup *out)
{
    constexpr uint64_t small = 256 << 10; /* bytes of a multiprocessor's weights */
    const uint64_t units = (uint64_t)p->most_tiles * p->matrix.blocks;
    const uint64_t processors = (uint64_t)device.processors;
    const uint64_t mine = (units + processors - 1) / processors; /* of a block */
    const uint32_t most = (uint32_t)device.shared_bytes - 1024 /* small_m_round */;
    uint32_t warps = mine * p->matrix.block_bytes <= small ? SMALL_M_WARPS / 2 : SMALL_M_WARPS;
    small_m_setup s = {p->most_columns, 0, p->in_ld * (uint32_t)sizeof(__half) + 16};

    while (s.bytes<format>(warps) > most)
        warps /= 2;
    for (s.tiles = SMALL_M_TILES; s.tiles > 0 && s.bytes<format>(warps) > most;)
        s.tiles--;
    *out = s;
    return warps;
}

static cudaError_t multiply_small_m(const struct moed_cuda_product *p, const device_limits &device,
                                    cudaStream_t stream)
{
    small_m_setup s;
    const uint32_t warps = small_m_shares(p, device, &s);
    const size_t bytes = s.bytes<format>(warps);
    const auto kernel =
        s.tiles > 0 ? small_m_product<format, true> : small_m_product<format, false>;
    const cudaError_t status = allow_all_shared((const void *)kernel, device);

    if (status != cudaSuccess)
        return status;
    return launch(kernel, {dim3((unsigned)device.processors), warps * 32, bytes}, stream, *p, s);
}

static cudaError_t multiply_large_m(const struct moed_cuda_product *p, const device_limits &device,
                                    cudaStream_t stream)
{
    const int bytes = large_m_shape<format>::bytes((int)p->columns);
    const uint64_t units =
        (uint64_t)p->most_tiles * ((p->matrix.blocks + LARGE_M_WARPS - 1) / LARGE_M_WARPS);
    const uint64_t most = (uint64_t)device.processors * 2;
    const cudaError_t status = cudaFuncSetAttribute(
        large_m_product<format>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);

    if (status != cudaSuccess)
        return status;
    return launch(large_m_product<format>,
                  {dim3((unsigned)(units < most ? units : most)), LARGE_M_THREADS, (size_t)bytes},
                  stream, *p);
}
#endif

static cudaError_t multiply(const struct moed_cuda_product *p, cudaStream_t stream)
{
    device_limits device;
    const cudaError_t status = find_limits(&device);

    if (status != cudaSuccess || p->most_tiles == 0)
        return status;
#if MOED_CUDA_FAST
    if (p->way == MOED_CUDA_SMALL_M)
        return multiply_small_m(p, device, stream);
    if (p->way == MOED_CUDA_LARGE_M)
        return multiply_large_m(p, device, stream);
#endif
    return multiply_exact(p, device, stream);
}

#define TEXT_(x)    #x
#define TEXT(x)     TEXT_(x)
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

extern "C" const struct moed_cuda_format JOIN(moed_cuda_, MOED_CUDA_FORMAT) = {
    TEXT(MOED_CUDA_FORMAT),
    format::block,
    format::bytes,
    tile<format>::chunk,
    tile<format>::bytes,
    MOED_CUDA_FAST,
    pack,
    pack_host,
    unpack_host,
    value_host,
    multiply,
};
