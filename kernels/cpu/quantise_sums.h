/* quantise_sums: what the quantisers of AVX2 and AVX-512 share. */
#ifndef MOED_KERNELS_CPU_QUANTISE_SUMS_H
#define MOED_KERNELS_CPU_QUANTISE_SUMS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* −Σ of each half's 16 bytes, as rows.h has it: four pairs of pairs. */
static inline __attribute__((always_inline)) void sum_halves(__m256i q, int16_t minus[2][2])
{
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
    const __m256i two = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, 0x4e));
    const __m256i all = _mm256_sub_epi16(_mm256_sub_epi16(_mm256_setzero_si256(), two),
                                         _mm256_shuffle_epi32(two, 0xb1));
    const int32_t halves[2] = {_mm256_cvtsi256_si32(all), _mm256_extract_epi32(all, 4)};

    memcpy(minus, halves, sizeof halves);
}

#endif
