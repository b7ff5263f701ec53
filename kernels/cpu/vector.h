/* vector: 16 floats as one value, in GCC's and clang's vector extension; the compiler splits it
 * into the registers of the instruction set that this file is compiled for. It does that badly
 * where a value is compared or converted: AVX2 has 8 floats. */
#ifndef MOED_KERNELS_VECTOR_H
#define MOED_KERNELS_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__) && !defined(__AVX512F__)
#define MOED_LANES 8
#else
#define MOED_LANES 16
#endif

typedef float moed_vf __attribute__((vector_size(4 * MOED_LANES)));
typedef int32_t moed_vi __attribute__((vector_size(4 * MOED_LANES)));

#define MOED_INLINE static inline __attribute__((always_inline))

MOED_INLINE moed_vf vf_load(const float *p)
{
    moed_vf v;

    memcpy(&v, p, sizeof v);
    return v;
}

MOED_INLINE void vf_store(float *p, moed_vf v)
{
    memcpy(p, &v, sizeof v);
}

MOED_INLINE moed_vf vf_set(float x)
{
    return x - (moed_vf){0};
}

/* where ? a : b, lane by lane; `where` is the result of a comparison. */
MOED_INLINE moed_vf vf_select(moed_vi where, moed_vf a, moed_vf b)
{
    return (moed_vf)(((moed_vi)a & where) | ((moed_vi)b & ~where));
}

MOED_INLINE moed_vf vf_min(moed_vf a, moed_vf b)
{
    return vf_select(a < b, a, b);
}

MOED_INLINE moed_vf vf_max(moed_vf a, moed_vf b)
{
    return vf_select(a > b, a, b);
}

/* The sum of 16 lanes, in one fixed order: halves, quarters, pairs. */
MOED_INLINE float vf_sum_16(const moed_vf *v)
{
    float s[16];

    for (int i = 0; i < 16; i += MOED_LANES)
        vf_store(s + i, v[i / MOED_LANES]);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            s[i] += s[i + half];
    return s[0];
}

/* e^x. Range reduction x = n ln 2 + r with ln 2 in two parts, then the degree-6 polynomial of
 * Cephes' expf (Moshier); within 2 units in the last place. Below -87.3 gives 0, above 88.7
 * infinity, and NaN stays NaN. */
MOED_INLINE moed_vf vf_exp(moed_vf x)
{
    const moed_vf magic = vf_set(0x1.8p23F); /* adding it rounds to an integer */
    const moed_vf clamped = vf_max(vf_min(x, vf_set(88.8F)), vf_set(-87.4F));
    const moed_vf n = (clamped * vf_set(0x1.715476p0F) + magic) - magic;
    const moed_vf r = (clamped - n * vf_set(0x1.63p-1F)) - n * vf_set(-0x1.bd0106p-13F);
    moed_vf p = vf_set(1.9875691500e-4F);

    p = p * r + vf_set(1.3981999507e-3F);
    p = p * r + vf_set(8.3334519073e-3F);
    p = p * r + vf_set(4.1665795894e-2F);
    p = p * r + vf_set(1.6666665459e-1F);
    p = p * r + vf_set(5.0000001201e-1F);
    p = p * r * r + r + vf_set(1.0F);

    /* 2^n in two halves, since n may be 128 */
    const moed_vi whole = __builtin_convertvector(n, moed_vi);
    const moed_vi half = whole >> 1;
    const moed_vf scale = (moed_vf)((half + 127) << 23);
    const moed_vf rest = (moed_vf)((whole - half + 127) << 23);
    moed_vf y = p * scale * rest;

    y = vf_select(x < vf_set(-87.33F), vf_set(0.0F), y);
    y = vf_select(x > vf_set(88.73F), vf_set(__builtin_inff()), y);
    return vf_select(x <= vf_set(__builtin_inff()), y, x); /* else NaN */
}

#endif
