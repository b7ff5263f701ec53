/* peak_avx512: AVX-512's units: fused multiply and add, and the int8 dot product of VNNI. */
#include "peak_loops.h"

#include <immintrin.h>

static inline __m512 start_fma(int i)
{
    return _mm512_set1_ps((float)i);
}

static inline __m512 step_fma(__m512 sum)
{
    return _mm512_fmadd_ps(sum, _mm512_set1_ps(0.5F), _mm512_set1_ps(0.5F));
}

PEAK_LOOP(moed_peak_fma_zmm, __m512, start_fma, step_fma)

static inline __m512i start_dot(int i)
{
    return _mm512_set1_epi32(i);
}

static inline __m512i step_dot(__m512i sum)
{
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(5), _mm512_set1_epi8(3));
}

PEAK_LOOP(moed_peak_vpdpbusd_zmm, __m512i, start_dot, step_dot)
