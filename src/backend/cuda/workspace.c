/* cuda_workspace: made and unmade. */
#include "workspace.h"

#include <stdlib.h>

static int pin(void **out, uint64_t bytes, struct moed_error *err)
{
    return cuda_check(cudaMallocHost(out, bytes), "pinning memory for rows", err);
}

static int pin_all(struct cuda_workspace *ws, struct moed_error *err)
{
    const struct cuda_extent *x = &ws->extent;
    const struct cuda_buffers *b = &ws->buffers[0];
    const uint64_t hidden = x->rows * x->hidden * sizeof(float);
    const uint64_t header = (uint64_t)((const uint8_t *)b->hidden - (const uint8_t *)b->batch);
    const uint64_t meta = (uint64_t)((const uint8_t *)b->x - b->meta);
    int status = pin((void **)&ws->pinned_in, header + hidden, err);

    if (status == 0)
        status = pin((void **)&ws->pinned_out, hidden, err);
    return status == 0 ? pin((void **)&ws->pinned_meta, meta, err) : status;
}

int cuda_workspace_create(struct moed_backend *backend, struct moed_workspace **out,
                          struct moed_error *err)
{
    struct cuda_backend *cuda = (struct cuda_backend *)backend;
    struct cuda_workspace *ws = moed_calloc(1, sizeof *ws);
    int status = MOED_OK;

    if (!ws)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a workspace");
    ws->base.backend = backend;
    ws->extent = cuda_extent_of(backend->model, backend->max_rows);
    ws->graphs = moed_calloc((uint64_t)backend->model->n_layers * CUDA_BUCKETS * CUDA_WAYS,
                             sizeof *ws->graphs);
    if (!ws->graphs)
        status = moed_fail(err, MOED_E_NO_MEMORY, "no memory for a workspace");
    for (uint32_t d = 0; d < cuda->devices.n && status == 0; d++) {
        status = cuda_check(cudaSetDevice(cuda->devices.at[d]), "choosing a device", err);
        if (status == 0)
            status = cuda_buffers_open(&ws->buffers[d], &ws->extent, err);
    }
    if (status == 0)
        status = pin_all(ws, err);
    if (status == 0)
        *out = &ws->base;
    else
        cuda_workspace_destroy(&ws->base);
    return status;
}

void cuda_workspace_destroy(struct moed_workspace *workspace)
{
    struct cuda_workspace *ws = (struct cuda_workspace *)workspace;
    const struct cuda_backend *cuda = (const struct cuda_backend *)workspace->backend;
    const size_t graphs = (size_t)cuda->base.model->n_layers * CUDA_BUCKETS * CUDA_WAYS;

    for (size_t i = 0; ws->graphs && i < graphs; i++)
        if (ws->graphs[i])
            (void)cudaGraphExecDestroy(ws->graphs[i]);
    for (uint32_t d = 0; d < cuda->devices.n; d++) {
        (void)cudaSetDevice(cuda->devices.at[d]);
        cuda_buffers_close(&ws->buffers[d]);
    }
    (void)cudaFreeHost(ws->pinned_in);
    (void)cudaFreeHost(ws->pinned_out);
    (void)cudaFreeHost(ws->pinned_meta);
    free(ws->graphs);
    free(ws);
}
