/* launch: how kernels are launched. Programmatic dependent launch is on for all of them: a kernel
 * may be set up before the one before it has ended, and waits for its writes by itself. When it is
 * set up is for the kernel before it to say: at that one's let_next_start(), or as its blocks end.
 * Early pays where kernels are short; where they are long, blocks that only wait take the room of
 * blocks that work. */
#ifndef MOED_CUDA_LAUNCH_CUH
#define MOED_CUDA_LAUNCH_CUH

#include <cuda_runtime.h>
#include <stdint.h>

struct device_limits {
    int processors, shared_bytes; /* of a block, at most */
    int major;                    /* of its compute capability */
};

static inline cudaError_t find_limits(device_limits *out)
{
    int device;
    cudaError_t status = cudaGetDevice(&device);

    if (status == cudaSuccess)
        status = cudaDeviceGetAttribute(&out->processors, cudaDevAttrMultiProcessorCount, device);
    if (status == cudaSuccess)
        status = cudaDeviceGetAttribute(&out->shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                                        device);
    if (status == cudaSuccess)
        status = cudaDeviceGetAttribute(&out->major, cudaDevAttrComputeCapabilityMajor, device);
    return status;
}

/* Lets a kernel have all the shared memory that a block can have; always all, since threads that
 * launch the same kernel with more and with less would otherwise undo each other's. */
static inline cudaError_t allow_all_shared(const void *kernel, const device_limits &device)
{
    cudaFuncAttributes attributes;
    cudaError_t status = cudaFuncGetAttributes(&attributes, kernel);
    const int most = device.shared_bytes - (int)attributes.sharedSizeBytes;

    if (status == cudaSuccess && attributes.maxDynamicSharedSizeBytes < most)
        status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
    return status;
}

struct launch_shape {
    dim3 blocks;
    unsigned threads;
    size_t shared_bytes;
};

/* The kernel must call wait_for_previous() before it reads what kernels before it wrote, or writes
 * what they read. */
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), const launch_shape &shape, cudaStream_t stream,
                   const Arguments &...arguments)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute overlap = {};
    device_limits device;
    const cudaError_t status = find_limits(&device);

    if (status != cudaSuccess)
        return status;
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = shape.blocks;
    config.blockDim = dim3(shape.threads);
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream;
    config.attrs = &overlap;
    config.numAttrs = device.major >= 9 ? 1 : 0;
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/* All blocks at once, which may wait for each other. After all that was launched before. */
template <class... Parameters, class... Arguments>
cudaError_t launch_together(void (*kernel)(Parameters...), const launch_shape &shape,
                            cudaStream_t stream, const Arguments &...arguments)
{
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute together = {};

    together.id = cudaLaunchAttributeCooperative;
    together.val.cooperative = 1;
    config.gridDim = shape.blocks;
    config.blockDim = dim3(shape.threads);
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream;
    config.attrs = &together;
    config.numAttrs = 1;
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/* Rows up to which a pass is so short that its kernels are set up early. */
constexpr uint32_t EARLY_ROWS = 64;

/* Waits until all that was launched before has written what it writes. */
__device__ __forceinline__ void wait_for_previous()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* The next kernel may be set up from here on. After wait_for_previous(), so that what that one
 * finds before it waits itself is what came before this one. */
__device__ __forceinline__ void let_next_start()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* Both, early where a pass of so many rows is short. */
__device__ __forceinline__ void wait_for_previous_of(uint32_t rows)
{
    wait_for_previous();
    if (rows <= EARLY_ROWS)
        let_next_start();
}

#endif
