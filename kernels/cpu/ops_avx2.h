/* ops_avx2: the operations of the panel kernels in AVX2 and FMA: two vectors are one panel.
 * AVX-VNNI adds a dot product of bytes; without it, see int16.inc. */
#ifndef MOED_KERNELS_CPU_OPS_H
#define MOED_KERNELS_CPU_OPS_H

#include <immintrin.h>
#include <stdint.h>

#define LANES 8
#define PARTS 2 /* vectors of weights side by side: one panel */

typedef __m256 vf;
typedef __m256i vi;

typedef uint16_t words __attribute__((vector_size(32)));
typedef uint32_t ints __attribute__((vector_size(32)));

#define OP static inline __attribute__((always_inline))

OP vi vi_zero(void)
{
    return _mm256_setzero_si256();
}

OP vi vi_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

OP vi vi_byte(uint8_t b)
{
    return _mm256_set1_epi8((char)b);
}

OP vi vi_and(vi a, vi b)
{
    return _mm256_and_si256(a, b);
}

OP vi vi_or(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}

/* Shifts of 16-bit lanes: callers mask what crosses a byte. */
OP vi vi_right(vi a, int n)
{
    return (vi)((words)a >> n);
}

OP vi vi_left(vi a, int n)
{
    return (vi)((words)a << n);
}

OP vi vi_table(const uint8_t *table)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

OP vi vi_lookup(vi table, vi index)
{
    return _mm256_shuffle_epi8(table, index);
}

OP vi vi_spread(const void *p)
{
    return _mm256_set1_epi32(*(const int32_t *)p);
}

OP vf vf_spread(const float *p)
{
    return _mm256_broadcast_ss(p);
}

/* Where an integer sum starts when its codes carry an offset of 1 << bits: that times the sum of
 * both of `minus`. */
OP vi vi_start(const int16_t *minus, int bits)
{
    return _mm256_madd_epi16(vi_spread(minus), _mm256_set1_epi16((int16_t)(1 << bits)));
}

#ifdef __AVXVNNI__
OP vi vi_dot(vi sum, vi weights, vi inputs)
{
    return _mm256_dpbusd_avx_epi32(sum, weights, inputs);
}

OP vi vi_dot_wide(vi sum, vi weights, vi inputs)
{
    return _mm256_dpbusd_avx_epi32(sum, weights, inputs);
}
#endif

/* What stands from bit `from` on in each lane, under a mask. */
OP vi vi_bits(vi a, int from, uint32_t mask)
{
    return (vi)((ints)a >> from & mask);
}

OP vf vf_zero(void)
{
    return _mm256_setzero_ps();
}

OP vf vf_from(vi a)
{
    return _mm256_cvtepi32_ps(a);
}

OP vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

OP vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

OP vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* c − a · b */
OP vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

OP vf vf_load32(const void *p)
{
    return _mm256_loadu_ps(p);
}

OP void vf_store32(float *p, vf a)
{
    _mm256_storeu_ps(p, a);
}

OP vf vf_load_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

/* One of the two bf16 of each lane: the even or the odd input of its pair. */
OP vf vf_even_bf16(vi pairs)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}

OP vf vf_odd_bf16(vi pairs)
{
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000U)));
}

OP vf vf_load_u8(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p)));
}

OP vf vf_load_i8(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}

/* 2^(e − 128) of a byte e a lane; e = 0 and 1 are subnormal. */
OP vf vf_load_e8m0(const void *p)
{
    const vi e = _mm256_cvtepu8_epi32(_mm_loadl_epi64(p));
    const vi small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    const vi bits = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const vi is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);

    return _mm256_castsi256_ps(_mm256_blendv_epi8(bits, small, is_small));
}

/* Half of 2^(e − 7) · (1 + m / 8) of a byte -eeeemmm a lane, exact for subnormals too; 0x7f is 0.
 * By whole numbers: subnormal floats cost some processors a hundred cycles each. */
OP vf vf_load_ue4m3(const void *p)
{
    const vi bits = vi_and(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p)), _mm256_set1_epi32(0x7f));
    const vi none = _mm256_cmpeq_epi32(bits, _mm256_set1_epi32(0x7f));
    const vi e = _mm256_srli_epi32(bits, 3), m = vi_and(bits, _mm256_set1_epi32(7));
    const vi one = _mm256_min_epi32(e, _mm256_set1_epi32(1)); /* 0 for subnormals */
    const vi whole =
        _mm256_sllv_epi32(vi_or(m, _mm256_slli_epi32(one, 3)), _mm256_sub_epi32(e, one));

    return _mm256_mul_ps(vf_from(_mm256_andnot_si256(none, whole)), _mm256_set1_ps(0x1p-10F));
}

#include "quantise_avx2.h"

#endif
