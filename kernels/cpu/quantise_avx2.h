/* quantise_avx2: 32 inputs as a block of rows.h, both halves in one walk: quantise() of
 * prepare.inc. */
#ifndef MOED_KERNELS_CPU_QUANTISE_AVX2_H
#define MOED_KERNELS_CPU_QUANTISE_AVX2_H

#include "quantise_sums.h"
#include "rows.h"

#define QUANTISE_32

/* The two largest of what a lane came from. */
struct largest {
    vi most, next;
};

OP struct largest with_others(struct largest a, vi most, vi next)
{
    return (struct largest){
        _mm256_max_epi32(a.most, most),
        _mm256_max_epi32(_mm256_min_epi32(a.most, most), _mm256_max_epi32(a.next, next))};
}

/* |x|, as an integer: whose order is the same, with NaN above infinity. */
OP vi size_of(vf x)
{
    return vi_and(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}

/* Of the first half in lanes 0 to 3, of the second in 4 to 7. */
OP struct largest largest_of(const vf x[4])
{
    struct largest half[2], l;

    for (int h = 0; h < 2; h++) {
        const vi a = size_of(x[2 * h]), b = size_of(x[2 * h + 1]);

        half[h] = (struct largest){_mm256_max_epi32(a, b), _mm256_min_epi32(a, b)};
    }
    l = (struct largest){_mm256_permute2x128_si256(half[0].most, half[1].most, 0x20),
                         _mm256_permute2x128_si256(half[0].next, half[1].next, 0x20)};
    l = with_others(l, _mm256_permute2x128_si256(half[0].most, half[1].most, 0x31),
                    _mm256_permute2x128_si256(half[0].next, half[1].next, 0x31));
    l = with_others(l, _mm256_shuffle_epi32(l.most, 0x4e), _mm256_shuffle_epi32(l.next, 0x4e));
    return with_others(l, _mm256_shuffle_epi32(l.most, 0xb1), _mm256_shuffle_epi32(l.next, 0xb1));
}

/* Notes the largest of the halves that have an outlier, and takes it out of q. */
OP void take_outliers(const float *x, int halves, struct moed_q8 *out)
{
    for (int h = 0; h < 2; h++) {
        int at = 0;

        if ((halves >> (4 * h) & 1) == 0)
            continue;
        for (int i = 1; i < 16; i++)
            at = __builtin_fabsf(x[16 * h + i]) > __builtin_fabsf(x[16 * h + at]) ? i : at;
        out->q[16 * h + at] = 0;
        out->outlier[h] = x[16 * h + at];
        out->outlier_at[h] = (uint8_t)(16 * h + at);
        out->any_outlier = 1;
    }
}

/* 32 numbers as signed bytes, in order. */
OP vi bytes_of(const vi x[4])
{
    const vi first = _mm256_packs_epi32(x[0], x[1]), second = _mm256_packs_epi32(x[2], x[3]);

    return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second),
                                       _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

OP void quantise(const float *x, struct moed_q8 *out)
{
    const vf inf = _mm256_set1_ps(__builtin_inff()), by_127 = _mm256_set1_ps(127.0F);
    const vf in[4] = {vf_load32(x), vf_load32(x + 8), vf_load32(x + 16), vf_load32(x + 24)};
    const struct largest l = largest_of(in);
    const vf most = _mm256_castsi256_ps(l.most), next = _mm256_castsi256_ps(l.next);
    const vf is_outlier = _mm256_and_ps(
        _mm256_cmp_ps(most, vf_mul(next, _mm256_set1_ps(MOED_OUTLIER_RATIO)), _CMP_GT_OQ),
        _mm256_cmp_ps(most, inf, _CMP_LT_OQ));
    const vf largest = _mm256_blendv_ps(most, next, is_outlier); /* may be NaN or infinite */
    const vf there = _mm256_cmp_ps(largest, _mm256_set1_ps(MOED_VANISHES), _CMP_NLE_UQ);
    const vf finite = _mm256_and_ps(there, _mm256_cmp_ps(largest, inf, _CMP_LT_OQ));
    const vf scale = _mm256_and_ps(there, _mm256_div_ps(largest, by_127));
    const vf by = _mm256_and_ps(finite, _mm256_div_ps(by_127, largest));
    const int outliers = _mm256_movemask_ps(is_outlier);
    vi q[4];

    for (int i = 0; i < 4; i++) {
        const int half = i < 2 ? 0x00 : 0x11;
        const vf of_half =
            half ? _mm256_permute2f128_ps(by, by, 0x11) : _mm256_permute2f128_ps(by, by, 0x00);
        const vf is_finite = half ? _mm256_permute2f128_ps(finite, finite, 0x11)
                                  : _mm256_permute2f128_ps(finite, finite, 0x00);

        q[i] = vi_and(_mm256_cvtps_epi32(vf_mul(in[i], of_half)), _mm256_castps_si256(is_finite));
    }
    out->outlier[0] = out->outlier[1] = 0.0F;
    out->outlier_at[0] = out->outlier_at[1] = out->any_outlier = out->unused = 0;
    _mm256_storeu_si256((vi *)(void *)out->q, bytes_of(q));
    if (outliers != 0)
        take_outliers(x, outliers, out);
    sum_halves(_mm256_loadu_si256((const vi *)(const void *)out->q), out->minus);
    out->scale[0] = _mm256_cvtss_f32(scale);
    out->scale[1] = _mm_cvtss_f32(_mm256_extractf128_ps(scale, 1));
    out->sum = moed_q8_sum(out);
}

#endif
