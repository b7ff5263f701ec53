/* cuda: the CUDA backend's life. */
#include "workspace.h"

#include <stdio.h>
#include <stdlib.h>

static int name_devices(struct cuda_backend *cuda, struct moed_error *err)
{
    struct cudaDeviceProp properties;
    const int status = cuda_check(cudaGetDeviceProperties(&properties, cuda->devices.at[0]),
                                  "reading a device's properties", err);

    if (status == 0)
        snprintf(cuda->isa, sizeof cuda->isa, "sm_%d%d", properties.major, properties.minor);
    return status;
}

static void cuda_close(struct moed_backend *backend)
{
    struct cuda_backend *cuda = (struct cuda_backend *)backend;

    cuda_resident_close(&cuda->resident, &cuda->devices);
    free(cuda);
}

static int cuda_open(const struct moed_model *model, const struct moed_backend_options *options,
                     struct moed_backend **out, struct moed_error *err)
{
    struct cuda_backend *cuda;
    int status;

    if (options->map || options->mlock)
        return moed_fail(err, MOED_E_USAGE,
                         "the cuda backend's weights are in the device's "
                         "memory: leave out mmap and mlock");
    cuda = moed_calloc(1, sizeof *cuda);
    if (!cuda)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the backend");
    status = cuda_devices_open(options->devices, &cuda->devices, err);
    if (status == 0)
        status = name_devices(cuda, err);
    if (status == 0)
        status = cuda_resident_open(model, options, &cuda->devices, &cuda->resident, err);
    if (status != 0) {
        free(cuda);
        return status;
    }
    cuda->invariant = options->invariant;
    cuda->base.isa = cuda->isa;
    cuda->base.f32_rows = options->f32_rows;
    cuda->base.activations = options->f32_rows ? "f32" : "f16";
    cuda->base.threads = 1;
    cuda->base.bytes = cuda->resident.bytes;
    *out = &cuda->base;
    return 0;
}

const struct moed_backend_ops moed_backend_cuda = {
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .workspace_create = cuda_workspace_create,
    .workspace_destroy = cuda_workspace_destroy,
    .forward = cuda_forward,
    .read_gbps = cuda_read_gbps,
};
