/* quantise_avx512: 32 inputs as a block of rows.h, both halves in one walk: quantise() of
 * prepare.inc. */
#ifndef MOED_KERNELS_CPU_QUANTISE_AVX512_H
#define MOED_KERNELS_CPU_QUANTISE_AVX512_H

#include "quantise_sums.h"
#include "rows.h"

#define QUANTISE_32

/* The two largest of what 16 lanes came from, half a vector each. */
struct largest {
    vi most, next;
};

OP struct largest with_others(struct largest a, vi most, vi next)
{
    return (struct largest){
        _mm512_max_epi32(a.most, most),
        _mm512_max_epi32(_mm512_min_epi32(a.most, most), _mm512_max_epi32(a.next, next))};
}

/* Of a in lanes 0 to 7, of b in 8 to 15: sizes as integers, whose order is theirs, with NaN above
 * infinity. */
OP struct largest largest_of(vi a, vi b)
{
    const vi first = _mm512_shuffle_i64x2(a, b, 0x44), second = _mm512_shuffle_i64x2(a, b, 0xee);
    struct largest l = {_mm512_max_epi32(first, second), _mm512_min_epi32(first, second)};

    l = with_others(l, _mm512_shuffle_i64x2(l.most, l.most, 0xb1),
                    _mm512_shuffle_i64x2(l.next, l.next, 0xb1));
    l = with_others(l, _mm512_shuffle_epi32(l.most, 0x4e), _mm512_shuffle_epi32(l.next, 0x4e));
    return with_others(l, _mm512_shuffle_epi32(l.most, 0xb1), _mm512_shuffle_epi32(l.next, 0xb1));
}

OP float lane_8(vf v)
{
    return _mm512_cvtss_f32(_mm512_shuffle_f32x4(v, v, 2));
}

/* Takes the largest out of the halves that have an outlier. */
OP void take_outliers(const float *x, uint32_t halves, __mmask16 kept[2], struct moed_q8 *out)
{
    for (int h = 0; h < 2; h++) {
        if ((halves >> (8 * h) & 1) == 0)
            continue;

        const vi size = _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(x + 16 * h)));
        const vi most = _mm512_set1_epi32(_mm512_reduce_max_epi32(size));
        const int at = __builtin_ctz(_mm512_cmpeq_epi32_mask(size, most));

        kept[h] &= (__mmask16) ~(1U << at);
        out->outlier[h] = x[16 * h + at];
        out->outlier_at[h] = (uint8_t)(16 * h + at);
        out->any_outlier = 1;
    }
}

OP void quantise(const float *x, struct moed_q8 *out)
{
    const vf inf = _mm512_set1_ps(__builtin_inff()), least = _mm512_set1_ps(MOED_VANISHES);
    const vf a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16), by_127 = _mm512_set1_ps(127.0F);
    const struct largest l =
        largest_of(_mm512_castps_si512(_mm512_abs_ps(a)), _mm512_castps_si512(_mm512_abs_ps(b)));
    const vf most = _mm512_castsi512_ps(l.most), next = _mm512_castsi512_ps(l.next);
    const __mmask16 is_outlier =
        _mm512_cmp_ps_mask(most, _mm512_mul_ps(next, _mm512_set1_ps(MOED_OUTLIER_RATIO)),
                           _CMP_GT_OQ) &
        _mm512_cmp_ps_mask(most, inf, _CMP_LT_OQ);
    const vf largest = _mm512_mask_mov_ps(most, is_outlier, next); /* may be NaN or infinite */
    const __mmask16 there = _mm512_cmp_ps_mask(largest, least, _CMP_NLE_UQ);
    const __mmask16 finite = there & _mm512_cmp_ps_mask(largest, inf, _CMP_LT_OQ);
    const vf scale = _mm512_maskz_div_ps(there, largest, by_127);
    const vf by = _mm512_maskz_div_ps(finite, by_127, largest);
    __mmask16 kept[2] = {finite & 1 ? 0xffff : 0, finite & 0x100 ? 0xffff : 0};

    out->outlier[0] = out->outlier[1] = 0.0F;
    out->outlier_at[0] = out->outlier_at[1] = out->any_outlier = out->unused = 0;
    if (is_outlier != 0)
        take_outliers(x, is_outlier, kept, out);

    const vi first =
        _mm512_maskz_cvtps_epi32(kept[0], _mm512_mul_ps(a, _mm512_shuffle_f32x4(by, by, 0x00)));
    const vi second =
        _mm512_maskz_cvtps_epi32(kept[1], _mm512_mul_ps(b, _mm512_shuffle_f32x4(by, by, 0xaa)));
    const __m256i q = _mm256_set_m128i(_mm512_cvtepi32_epi8(second), _mm512_cvtepi32_epi8(first));

    _mm256_storeu_si256((__m256i *)(void *)out->q, q);
    sum_halves(q, out->minus);
    out->scale[0] = _mm512_cvtss_f32(scale);
    out->scale[1] = lane_8(scale);
    out->sum = moed_q8_sum(out);
}

#endif
