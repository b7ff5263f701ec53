/* peak_avxvnni: the int8 dot product of AVX-VNNI. */
#include "peak_loops.h"

#include <immintrin.h>

static inline __m256i start(int i)
{
    return _mm256_set1_epi32(i);
}

static inline __m256i step(__m256i sum)
{
    return _mm256_dpbusd_avx_epi32(sum, _mm256_set1_epi8(5), _mm256_set1_epi8(3));
}

PEAK_LOOP(moed_peak_vpdpbusd_ymm, __m256i, start, step)
