/* cuda_device: which devices there are, and what the runtime says, in our words. */
#include "cuda.h"

#include <stdlib.h>

int cuda_check(cudaError_t status, const char *what, struct moed_error *err)
{
    if (status == cudaSuccess)
        return 0;
    return moed_fail(err, status == cudaErrorMemoryAllocation ? MOED_E_NO_MEMORY : MOED_E_INTERNAL,
                     "CUDA: %s: %s (%s)", what, cudaGetErrorString(status),
                     cudaGetErrorName(status));
}

int cuda_allocate(void **out, uint64_t bytes, struct moed_error *err)
{
    const cudaError_t status = cudaMalloc(out, bytes);

    if (status == cudaSuccess)
        return 0;
    *out = NULL;
    (void)cudaGetLastError(); /* having no memory left harms nothing later */
    return moed_fail(err, MOED_E_NO_MEMORY, "the device has no %llu bytes left: %s",
                     (unsigned long long)bytes, cudaGetErrorString(status));
}

static int check_capability(int device, struct moed_error *err)
{
    struct cudaDeviceProp properties;
    const int status = cuda_check(cudaGetDeviceProperties(&properties, device),
                                  "reading a device's properties", err);

    if (status != 0)
        return status;
    if (properties.major >= 8)
        return 0;
    return moed_fail(err, MOED_E_UNSUPPORTED,
                     "device %d, %s, has compute capability %d.%d; 8.0 is the least", device,
                     properties.name, properties.major, properties.minor);
}

static int add_device(struct cuda_devices *out, uint32_t device, int count, struct moed_error *err)
{
    if (device >= (uint32_t)count)
        return moed_fail(err, MOED_E_USAGE, "device %u is not there; this machine has 0 to %d",
                         device, count - 1);
    for (uint32_t i = 0; i < out->n; i++)
        if (out->at[i] == (int)device)
            return moed_fail(err, MOED_E_USAGE, "device %u is named twice", device);
    if (out->n == CUDA_MAX_DEVICES)
        return moed_fail(err, MOED_E_USAGE, "more than %d devices", CUDA_MAX_DEVICES);
    out->at[out->n++] = (int)device;
    return check_capability((int)device, err);
}

int cuda_devices_open(const char *list, struct cuda_devices *out, struct moed_error *err)
{
    const char *at = list ? list : "0";
    int count = 0;
    const cudaError_t found = cudaGetDeviceCount(&count);
    int status = MOED_OK;

    *out = (struct cuda_devices){0};
    if (found != cudaSuccess || count == 0)
        return moed_fail(err, MOED_E_UNSUPPORTED, "there is no CUDA device: %s",
                         found != cudaSuccess ? cudaGetErrorString(found) : "the driver has none");
    while (status == 0) {
        uint32_t device;

        if (!moed_read_u32(&at, &device))
            return moed_fail(err, MOED_E_USAGE,
                             "devices \"%s\": expected numbers with commas between, like 0,1",
                             list);
        status = add_device(out, device, count, err);
        if (*at == '\0')
            break;
        if (*at++ != ',')
            return moed_fail(err, MOED_E_USAGE, "devices \"%s\": found \"%s\", expected a comma",
                             list, at - 1);
    }
    return status;
}
