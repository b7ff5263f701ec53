/* ptx: the few instructions that C++ has no name for: asynchronous copies to shared memory, the
 * matrix units, named barriers, byte permutation. */
#ifndef MOED_CUDA_PTX_CUH
#define MOED_CUDA_PTX_CUH

#include <stdint.h>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HAVE_WGMMA 1
#else
#define HAVE_WGMMA 0
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define HAVE_BULK 1
#else
#define HAVE_BULK 0
#endif

__device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* 16 bytes to shared memory, past L1: read once. */
__device__ __forceinline__ void copy_16_async(uint32_t to, const void *from)
{
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(to), "l"(from)
                 : "memory");
}

__device__ __forceinline__ void copies_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until all but the `n` newest groups of this thread have arrived. */
template <int N> __device__ __forceinline__ void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

__device__ __forceinline__ void barrier_of(int id, int threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/* ---- sm_90's bulk copies, which tell a barrier in shared memory when they have arrived ---- */

/* A phase of it ends after `n` arrivals and all bytes that were announced. */
__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t n)
{
#if HAVE_BULK
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(n) : "memory");
#endif
}

/* Makes this thread's barriers known to the copies. */
__device__ __forceinline__ void barriers_visible()
{
#if HAVE_BULK
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/* Arrives, and announces bytes. */
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes)
{
#if HAVE_BULK
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
#endif
}

/* Until the phase of this parity has ended. */
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity)
{
#if HAVE_BULK
    uint32_t ended;

    do {
        asm volatile(
            "{\n\t.reg .pred ended;\n\t"
            "mbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;\n\t"
            "selp.u32 %0, 1, 0, ended;\n\t}"
            : "=r"(ended)
            : "r"(barrier), "r"(parity)
            : "memory");
    } while (!ended);
#endif
}

/* All multiples of 16. */
__device__ __forceinline__ void copy_bulk(uint32_t to, const void *from, uint32_t bytes,
                                          uint32_t barrier)
{
#if HAVE_BULK
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], "
        "%2, [%3];" ::"r"(to),
        "l"(from), "r"(bytes), "r"(barrier)
        : "memory");
#endif
}

/* d[16, 8] += a[16, 16] · b[16, 8] */
__device__ __forceinline__ void mma_16_8_16(float d[4], const uint32_t a[4], uint32_t b0,
                                            uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* d = a · b */
__device__ __forceinline__ void mma_16_8_16_anew(float d[4], const uint32_t a[4], uint32_t b0,
                                                 uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0F));
}

__device__ __forceinline__ void load_matrices(uint32_t b[4], uint32_t from)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                 : "r"(from)
                 : "memory");
}

/* ---- sm_90a's matrix unit: d[64, N] += a[64, 16] · b[16, N], b in shared memory ---- */

__device__ __forceinline__ void wgmma_fence()
{
#if HAVE_WGMMA
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

__device__ __forceinline__ void wgmma_commit()
{
#if HAVE_WGMMA
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

template <int N> __device__ __forceinline__ void wgmma_wait()
{
#if HAVE_WGMMA
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
#endif
}

/* Makes this thread's writes to shared memory, those of finished copies too, visible to wgmma. */
__device__ __forceinline__ void fence_for_wgmma()
{
#if HAVE_WGMMA
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/* [N rows][64 halves], rows of 128 bytes, the 16 bytes i of row r at i ^ (r % 8), aligned to 1024:
 * start, and 1024 bytes from 8 rows to the next, both in units of 16; 128-byte swizzle. */
__device__ __forceinline__ uint64_t wgmma_rows(uint32_t address)
{
    return (uint64_t)(address >> 4 & 0x3fffU) | (uint64_t)1 << 16 | (uint64_t)64 << 32 |
           (uint64_t)1 << 62;
}

#define OUT_8(d, i)                                                                          \
    "+f"((d)[i][0]), "+f"((d)[i][1]), "+f"((d)[i][2]), "+f"((d)[i][3]), "+f"((d)[i + 1][0]), \
        "+f"((d)[i + 1][1]), "+f"((d)[i + 1][2]), "+f"((d)[i + 1][3])
#define IN_5(a, rows) "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "l"(rows)

/* The accumulators of N columns are N / 8 of the fragments of mma_16_8_16. */
template <int N>
__device__ __forceinline__ void wgmma(float (&d)[N / 8][4], const uint32_t a[4], uint64_t rows);

template <>
__device__ __forceinline__ void wgmma<16>(float (&d)[2][4], const uint32_t a[4], uint64_t rows)
{
#if HAVE_WGMMA
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7"
        "}, {%8, %9, %10, %11}, %12, 1, 1, 1, 0;"
        : OUT_8(d, 0)
        : IN_5(a, rows)
        : "memory");
#endif
}

template <>
__device__ __forceinline__ void wgmma<32>(float (&d)[4][4], const uint32_t a[4], uint64_t rows)
{
#if HAVE_WGMMA
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
        "}, {%16, %17, %18, %19}, %20, 1, 1, 1, 0;"
        : OUT_8(d, 0), OUT_8(d, 2)
        : IN_5(a, rows)
        : "memory");
#endif
}

template <>
__device__ __forceinline__ void wgmma<64>(float (&d)[8][4], const uint32_t a[4], uint64_t rows)
{
#if HAVE_WGMMA
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
        "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
        : OUT_8(d, 0), OUT_8(d, 2), OUT_8(d, 4), OUT_8(d, 6)
        : IN_5(a, rows)
        : "memory");
#endif
}

template <>
__device__ __forceinline__ void wgmma<128>(float (&d)[16][4], const uint32_t a[4], uint64_t rows)
{
#if HAVE_WGMMA
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
        "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 0;"
        : OUT_8(d, 0), OUT_8(d, 2), OUT_8(d, 4), OUT_8(d, 6), OUT_8(d, 8), OUT_8(d, 10),
          OUT_8(d, 12), OUT_8(d, 14)
        : IN_5(a, rows)
        : "memory");
#endif
}

#undef OUT_8
#undef IN_5

#endif
