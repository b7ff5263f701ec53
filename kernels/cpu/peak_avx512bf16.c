/* peak_avx512bf16: the BF16 dot product of AVX-512. */
#include "peak_loops.h"

#include <immintrin.h>

static inline __m512 start(int i)
{
    return _mm512_set1_ps((float)i);
}

static inline __m512 step(__m512 sum)
{
    const __m512i ones = _mm512_set1_epi16(0x3f80);

    return _mm512_dpbf16_ps(sum, (__m512bh)ones, (__m512bh)ones);
}

PEAK_LOOP(moed_peak_vdpbf16ps_zmm, __m512, start, step)
