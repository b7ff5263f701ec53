/* launch: how kernels are launched: each may be set up while the one before it still runs, and
 * waits for it by itself, so that the gaps between launches vanish where the device knows how. */
#ifndef MOED_CUDA_LAUNCH_CUH
#define MOED_CUDA_LAUNCH_CUH

#include <cuda_runtime.h>

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

struct launch_shape {
    dim3 blocks;
    unsigned threads;
    size_t shared_bytes;
};

/* The kernel must begin with wait_for_previous(). */
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

/* Waits until all that was launched before has written what it writes, and lets the next kernel be
 * set up: so what that one finds before it waits itself is what came before this one. */
__device__ __forceinline__ void wait_for_previous()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

#endif
