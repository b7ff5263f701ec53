/* peak_avx2: the units of AVX2: fused multiply and add, and the int8 dot product in three steps, or
 * in two while sums of 16 bits hold. */
#include "peak_loops.h"

#include <immintrin.h>

static inline __m256 start_fma(int i)
{
    return _mm256_set1_ps((float)i);
}

static inline __m256 step_fma(__m256 sum)
{
    return _mm256_fmadd_ps(sum, _mm256_set1_ps(0.5F), _mm256_set1_ps(0.5F));
}

PEAK_LOOP(moed_peak_fma_ymm, __m256, start_fma, step_fma)

static inline __m256i start_dot(int i)
{
    return _mm256_set1_epi32(i);
}

/* The products are of the sum itself, so that none of the three can leave the loop. */
static inline __m256i step_dot(__m256i sum)
{
    const __m256i pairs = _mm256_maddubs_epi16(sum, _mm256_set1_epi8(3));

    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

PEAK_LOOP(moed_peak_vpmaddubsw_ymm, __m256i, start_dot, step_dot)

/* Pairs that are added in 16 bits, and widened so seldom that it does not count. */
static inline __m256i step_dot_16(__m256i sum)
{
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(sum, _mm256_set1_epi8(3)));
}

PEAK_LOOP(moed_peak_vpmaddubsw_16_ymm, __m256i, start_dot, step_dot_16)
