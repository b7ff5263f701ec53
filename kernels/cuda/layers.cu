/* layers: the formats that layer.cu was compiled for. */
#include "layers.cuh"

#include <string.h>

#define LAYERS(X)     \
    X(BF16, BF16)     \
    X(Q8_0, Q8_0)     \
    X(Q4_0, Q4_0)     \
    X(Q4_K, Q4_K)     \
    X(Q4_K, Q6_K)     \
    X(Q5_K, Q5_K)     \
    X(Q5_K, Q6_K)     \
    X(Q6_K, Q6_K)     \
    X(IQ4_XS, IQ4_XS) \
    X(MXFP4, MXFP4)

#define DECLARE(UP, DOWN) extern "C" const struct layer_kernel moed_cuda_layer_##UP##_##DOWN;
LAYERS(DECLARE)

#define ADDRESS(UP, DOWN) &moed_cuda_layer_##UP##_##DOWN,
static const struct layer_kernel *const layers[] = {LAYERS(ADDRESS)};

static const struct layer_kernel *find(const struct moed_cuda_layer *l)
{
    for (const struct layer_kernel *layer : layers)
        if (strcmp(layer->up, l->up.matrix.format->name) == 0 &&
            strcmp(layer->down, l->down.matrix.format->name) == 0)
            return layer;
    return NULL;
}

bool moed_cuda_layer_suits(const struct moed_cuda_layer *l)
{
    const struct layer_kernel *layer = find(l);

    return layer && layer->suits(l);
}

cudaError_t moed_cuda_layer_pass(const struct moed_cuda_layer *l, cudaStream_t stream)
{
    const struct layer_kernel *layer = find(l);

    return layer ? layer->run(l, stream) : cudaErrorNotSupported;
}
