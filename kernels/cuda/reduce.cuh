/* reduce: a value of all threads of a block, the same on every run. */
#ifndef MOED_CUDA_REDUCE_CUH
#define MOED_CUDA_REDUCE_CUH

struct take_sum {
    template <class T> __device__ T operator()(T a, T b) const
    {
        return a + b;
    }
};

struct take_max {
    template <class T> __device__ T operator()(T a, T b) const
    {
        return a > b ? a : b;
    }
};

template <class T, class Op> __device__ __forceinline__ T warp_reduce(T value, Op op)
{
    for (int distance = 16; distance > 0; distance /= 2)
        value = op(value, __shfl_xor_sync(0xffffffffU, value, distance));
    return value;
}

/* Every thread gets the result. `shared` holds one value a warp, of up to 32. */
template <class T, class Op> __device__ __forceinline__ T block_reduce(T value, Op op, T *shared)
{
    value = warp_reduce(value, op);
    __syncthreads(); /* of an earlier use */
    if (threadIdx.x % 32 == 0)
        shared[threadIdx.x / 32] = value;
    __syncthreads();
    value = shared[0];
    for (unsigned i = 1; i < blockDim.x / 32; i++)
        value = op(value, shared[i]);
    return value;
}

#endif
