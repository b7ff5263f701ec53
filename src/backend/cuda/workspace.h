/* cuda_workspace: furniture of the CUDA backend: what one worker computes with. */
#ifndef MOED_BACKEND_CUDA_WORKSPACE_H
#define MOED_BACKEND_CUDA_WORKSPACE_H

#include "cuda.h"

/* Graphs are for 1, 2, 4 … rows; batches beyond the largest are launched one by one. */
#define CUDA_BUCKETS 14
#define CUDA_WAYS    3 /* of enum moed_cuda_way */
/* Pairs an expert, on the average of all, up to which they count as few. */
#define CUDA_SMALL_M_PAIRS 8

struct cuda_workspace {
    struct moed_workspace base;
    struct cuda_extent extent;
    struct cuda_buffers buffers[CUDA_MAX_DEVICES]; /* of the devices in use */
    uint8_t *pinned_in, *pinned_meta;              /* memory of the host that devices copy from */
    float *pinned_out;                             /* and to */
    cudaGraphExec_t
        *graphs;      /* [layers][CUDA_BUCKETS][CUDA_WAYS], made when they are first needed */
    uint64_t planned; /* of the layer that is computed */
};

int cuda_workspace_create(struct moed_backend *backend, struct moed_workspace **out,
                          struct moed_error *err);
void cuda_workspace_destroy(struct moed_workspace *workspace);
int cuda_forward(struct moed_workspace *workspace, uint32_t layer_at, struct moed_batch_rows *batch,
                 struct moed_error *err);

#endif
