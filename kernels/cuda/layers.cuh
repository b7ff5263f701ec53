/* layers: what layer.cu is compiled to, once for each two formats. */
#ifndef MOED_CUDA_LAYERS_CUH
#define MOED_CUDA_LAYERS_CUH

#include "cuda.h"

struct layer_kernel {
    const char *up, *down; /* formats */
    bool (*suits)(const struct moed_cuda_layer *l);
    cudaError_t (*run)(const struct moed_cuda_layer *l, cudaStream_t stream);
};

#endif
