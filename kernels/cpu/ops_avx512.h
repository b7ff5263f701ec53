/* ops_avx512: the operations of the panel kernels in AVX-512: a vector is one panel's 16 lanes. */
#ifndef MOED_KERNELS_CPU_OPS_H
#define MOED_KERNELS_CPU_OPS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
#define PARTS 2 /* vectors of weights side by side: two panels */

typedef __m512 vf;
typedef __m512i vi;

typedef uint16_t words __attribute__((vector_size(64)));
typedef uint32_t ints __attribute__((vector_size(64)));

#define OP static inline __attribute__((always_inline))

OP vi vi_zero(void)
{
    return _mm512_setzero_si512();
}

OP vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

OP vi vi_byte(uint8_t b)
{
    return _mm512_set1_epi8((char)b);
}

OP vi vi_and(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}

OP vi vi_or(vi a, vi b)
{
    return _mm512_or_si512(a, b);
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

/* Each byte of `index` (0 to 15) replaced by that byte of the table. */
OP vi vi_table(const uint8_t *table)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table));
}

OP vi vi_lookup(vi table, vi index)
{
    return _mm512_shuffle_epi8(table, index);
}

/* The same four bytes (or int, or float) in every lane. */
OP vi vi_spread(const void *p)
{
    return _mm512_set1_epi32(*(const int32_t *)p);
}

OP vf vf_spread(const float *p)
{
    return _mm512_set1_ps(*p);
}

/* Where an integer sum starts when its codes carry an offset of 1 << bits: that times the sum of
 * both of `minus`. */
OP vi vi_start(const int16_t *minus, int bits)
{
    return _mm512_madd_epi16(vi_spread(minus), _mm512_set1_epi16((int16_t)(1 << bits)));
}

/* sum + Σ of four products of unsigned weights and signed inputs, in each lane. */
OP vi vi_dot(vi sum, vi weights, vi inputs)
{
    return _mm512_dpbusd_epi32(sum, weights, inputs);
}

/* The same where weights reach 255. */
OP vi vi_dot_wide(vi sum, vi weights, vi inputs)
{
    return _mm512_dpbusd_epi32(sum, weights, inputs);
}

/* What stands from bit `from` on in each lane, under a mask. */
OP vi vi_bits(vi a, int from, uint32_t mask)
{
    return (vi)((ints)a >> from & mask);
}

/* One value in every lane. */
OP vi vi_set(int32_t value)
{
    return _mm512_set1_epi32(value);
}

OP vf vf_zero(void)
{
    return _mm512_setzero_ps();
}

OP vf vf_from(vi a)
{
    return _mm512_cvtepi32_ps(a);
}

OP vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

OP vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

OP vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* c − a · b */
OP vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

OP vf vf_load32(const void *p)
{
    return _mm512_loadu_ps(p);
}

OP void vf_store32(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}

OP vf vf_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}

/* One of the two bf16 of each lane: the even or the odd input of its pair. */
OP vf vf_even_bf16(vi pairs)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}

OP vf vf_odd_bf16(vi pairs)
{
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000U)));
}

OP vf vf_load_u8(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p)));
}

OP vf vf_load_i8(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}

/* 2^(e − 128) of a byte e a lane; e = 0 and 1 are subnormal. */
OP vf vf_load_e8m0(const void *p)
{
    const vi e = _mm512_cvtepu8_epi32(_mm_loadu_si128(p));
    const vi small = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    const vi bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    const __mmask16 is_small = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));

    return _mm512_castsi512_ps(_mm512_mask_blend_epi32(is_small, bits, small));
}

/* Half of 2^(e − 7) · (1 + m / 8) of a byte -eeeemmm a lane, exact for subnormals too; 0x7f is 0.
 * By whole numbers: subnormal floats cost some processors a hundred cycles each. */
OP vf vf_load_ue4m3(const void *p)
{
    const vi bits = vi_and(_mm512_cvtepu8_epi32(_mm_loadu_si128(p)), vi_set(0x7f));
    const __mmask16 number = _mm512_cmpneq_epi32_mask(bits, vi_set(0x7f));

    const vi e = _mm512_srli_epi32(bits, 3);
    const vi one = _mm512_min_epi32(e, vi_set(1)); /* 0 for subnormals */
    const vi whole = _mm512_sllv_epi32(vi_or(vi_and(bits, vi_set(7)), _mm512_slli_epi32(one, 3)),
                                       _mm512_sub_epi32(e, one));

    return _mm512_maskz_mul_ps(number, vf_from(whole), _mm512_set1_ps(0x1p-10F));
}

#include "quantise_avx512.h"

#endif
