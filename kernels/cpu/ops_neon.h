/* ops_neon: the operations of the panel kernels in NEON with the dot product of Armv8.2: four
 * vectors are one panel. With i8mm there is a dot product of unsigned and signed bytes. */
#ifndef MOED_KERNELS_CPU_OPS_H
#define MOED_KERNELS_CPU_OPS_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define LANES 4
#define PARTS 4 /* vectors of weights side by side: one panel */

typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32_t ints __attribute__((vector_size(16)));

#define OP static inline __attribute__((always_inline))

OP vi vi_zero(void)
{
    return vdupq_n_s32(0);
}

OP vi vi_load(const void *p)
{
    return vreinterpretq_s32_u8(vld1q_u8(p));
}

OP vi vi_byte(uint8_t b)
{
    return vreinterpretq_s32_u8(vdupq_n_u8(b));
}

OP vi vi_and(vi a, vi b)
{
    return vandq_s32(a, b);
}

OP vi vi_or(vi a, vi b)
{
    return vorrq_s32(a, b);
}

OP vi vi_right(vi a, int n)
{
    return vreinterpretq_s32_u8(vreinterpretq_u8_s32(a) >> n);
}

OP vi vi_left(vi a, int n)
{
    return vreinterpretq_s32_u8(vreinterpretq_u8_s32(a) << n);
}

OP vi vi_table(const uint8_t *table)
{
    return vi_load(table);
}

OP vi vi_lookup(vi table, vi index)
{
    return vreinterpretq_s32_u8(
        vqtbl1q_u8(vreinterpretq_u8_s32(table), vreinterpretq_u8_s32(index)));
}

OP vi vi_spread(const void *p)
{
    return vld1q_dup_s32(p);
}

OP vf vf_spread(const float *p)
{
    return vld1q_dup_f32(p);
}

OP vi vi_signed_dot(vi sum, vi weights, vi inputs)
{
    return vdotq_s32(sum, vreinterpretq_s8_s32(weights), vreinterpretq_s8_s32(inputs));
}

/* The sum of both of `minus`, in every lane. */
OP vi vi_both(const int16_t *minus)
{
    return vpaddlq_s16(vreinterpretq_s16_s32(vi_spread(minus)));
}

#ifdef __ARM_FEATURE_MATMUL_INT8
OP vi vi_start(const int16_t *minus, int bits)
{
    return vi_both(minus) << bits;
}

OP vi vi_dot_wide(vi sum, vi weights, vi inputs)
{
    return vusdotq_s32(sum, vreinterpretq_u8_s32(weights), vreinterpretq_s8_s32(inputs));
}
#else
/* Codes that reach 255 are taken as signed here (below), so that their offset is gone already. */
OP vi vi_start(const int16_t *minus, int bits)
{
    return bits == 7 ? vi_zero() : vi_both(minus) << bits;
}

OP vi vi_dot_wide(vi sum, vi weights, vi inputs)
{
    return vi_signed_dot(sum, veorq_s32(weights, vi_byte(0x80)), inputs);
}
#endif

/* Codes up to 63 are the same signed and unsigned. */
OP vi vi_dot(vi sum, vi weights, vi inputs)
{
    return vi_signed_dot(sum, weights, inputs);
}

/* What stands from bit `from` on in each lane, under a mask. */
OP vi vi_bits(vi a, int from, uint32_t mask)
{
    return (vi)((ints)a >> from & mask);
}

OP vf vf_zero(void)
{
    return vdupq_n_f32(0.0F);
}

OP vf vf_from(vi a)
{
    return vcvtq_f32_s32(a);
}

OP vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

OP vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

OP vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

/* c − a · b */
OP vf vf_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
}

OP vf vf_load32(const void *p)
{
    return vld1q_f32(p);
}

OP void vf_store32(float *p, vf a)
{
    vst1q_f32(p, a);
}

OP vf vf_load_f16(const void *p)
{
    return vcvt_f32_f16(vld1_f16(p));
}

/* One of the two bf16 of each lane: the even or the odd input of its pair. */
OP vf vf_even_bf16(vi pairs)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(pairs, 16));
}

OP vf vf_odd_bf16(vi pairs)
{
    return vreinterpretq_f32_s32(vandq_s32(pairs, vdupq_n_s32((int32_t)0xffff0000U)));
}

/* Four bytes, one a lane. */
OP uint32x4_t load_bytes(const void *p)
{
    uint32_t four;

    memcpy(&four, p, sizeof four);
    return vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)))));
}

OP vf vf_load_u8(const void *p)
{
    return vcvtq_f32_u32(load_bytes(p));
}

OP vf vf_load_i8(const void *p)
{
    const uint32x4_t high = vshlq_n_u32(load_bytes(p), 24);

    return vcvtq_f32_s32(vshrq_n_s32(vreinterpretq_s32_u32(high), 24));
}

/* 2^(e − 128) of a byte e a lane; e = 0 and 1 are subnormal. */
OP vf vf_load_e8m0(const void *p)
{
    const uint32x4_t e = load_bytes(p);
    const uint32x4_t small = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
    const uint32x4_t bits = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);

    return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), small, bits));
}

/* Half of 2^(e − 7) · (1 + m / 8) of a byte -eeeemmm a lane, exact for subnormals too; 0x7f is 0.
 * By whole numbers: subnormal floats cost some processors a hundred cycles each. */
OP vf vf_load_ue4m3(const void *p)
{
    uint32_t word;

    memcpy(&word, p, 4);

    const uint8x8_t bytes = vand_u8(vcreate_u8(word), vdup_n_u8(0x7f));
    const uint32x4_t bits = vmovl_u16(vget_low_u16(vmovl_u8(bytes)));
    const uint32x4_t e = vshrq_n_u32(bits, 3), one = vminq_u32(e, vdupq_n_u32(1));
    const uint32x4_t m = vorrq_u32(vandq_u32(bits, vdupq_n_u32(7)), vshlq_n_u32(one, 3));
    const uint32x4_t whole = vshlq_u32(m, vreinterpretq_s32_u32(vsubq_u32(e, one)));
    const uint32x4_t number = vbicq_u32(whole, vceqq_u32(bits, vdupq_n_u32(0x7f)));

    return vmulq_n_f32(vcvtq_f32_u32(number), 0x1p-10F);
}

#endif
