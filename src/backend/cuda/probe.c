/* cuda_probe: how fast the first device reads its memory. */
#include "cuda.h"

#define PASSES     10
#define MOST_BYTES ((size_t)2 << 30)

/* The best of some passes over a buffer that no cache holds. */
static cudaError_t time_passes(const void *data, size_t bytes, cudaEvent_t ends[2], float *ms)
{
    cudaError_t status = cudaSuccess;

    for (int i = 0; i < PASSES && status == cudaSuccess; i++) {
        float found = 0.0F;

        status = cudaEventRecord(ends[0], NULL);
        if (status == cudaSuccess)
            status = moed_cuda_read(data, bytes, (uint32_t *)(uintptr_t)data, NULL);
        if (status == cudaSuccess)
            status = cudaEventRecord(ends[1], NULL);
        if (status == cudaSuccess)
            status = cudaEventSynchronize(ends[1]);
        if (status == cudaSuccess)
            status = cudaEventElapsedTime(&found, ends[0], ends[1]);
        *ms = i == 0 || found < *ms ? found : *ms;
    }
    return status;
}

int cuda_read_gbps(struct moed_backend *backend, double *gbps, struct moed_error *err)
{
    const struct cuda_backend *cuda = (const struct cuda_backend *)backend;
    cudaEvent_t ends[2] = {NULL, NULL};
    size_t free_bytes = 0, all_bytes = 0;
    void *data = NULL;
    float ms = 0.0F;
    int status = cuda_check(cudaSetDevice(cuda->devices.at[0]), "choosing a device", err);

    if (status == 0)
        status = cuda_check(cudaMemGetInfo(&free_bytes, &all_bytes), "asking for memory", err);
    free_bytes = free_bytes / 2 < MOST_BYTES ? free_bytes / 2 : MOST_BYTES;
    if (status == 0)
        status = cuda_allocate(&data, free_bytes, err);
    if (status == 0)
        status = cuda_check(cudaMemset(data, 1, free_bytes), "clearing memory", err);
    for (int i = 0; i < 2 && status == 0; i++)
        status = cuda_check(cudaEventCreate(&ends[i]), "creating an event", err);
    if (status == 0)
        status = cuda_check(time_passes(data, free_bytes, ends, &ms), "reading memory", err);
    if (status == 0)
        *gbps = (double)free_bytes / (double)ms * 1e-6;
    for (int i = 0; i < 2; i++)
        if (ends[i])
            (void)cudaEventDestroy(ends[i]);
    (void)cudaFree(data);
    return status;
}
