/* value: one weight of a tile in f32, by the formulas of kernels/reference_*.c: what the f32
 * product multiplies, and what tells how large weights and their scales are. */
#ifndef MOED_CUDA_VALUE_CUH
#define MOED_CUDA_VALUE_CUH

#include "pack.cuh"

#include <cuda_fp16.h>
#include <string.h>

HD float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

HD float half_at(const uint8_t *bytes)
{
    return __half2float(__half_raw{(unsigned short)get_bits<16>(bytes, {0, 0})});
}

/* 2^(e - 128); the table's values are doubled. */
HD float e8m0_half(uint32_t e)
{
    return float_of_bits(e < 2 ? 0x00200000U << e : (e - 1U) << 23);
}

/* The table's bytes, 128 more than their values, four a word. */
template <code_table T> HD constexpr uint32_t table_word(int i)
{
#define ITSELF(value) (value)
    constexpr int nonlinear[16] = {MOED_NONLINEAR(ITSELF)}, fp4[16] = {MOED_FP4(ITSELF)};
#undef ITSELF
    uint32_t word = 0;

    for (int byte = 3; byte >= 0; byte--)
        word = word << 8 | (uint32_t)((T == TABLE_FP4 ? fp4 : nonlinear)[4 * i + byte] + 128);
    return word;
}

template <class F> HD float code_value(uint32_t code)
{
    if (F::table != TABLE_NONE)
        return (float)((int)(table_word<F::table>((int)code / 4) >> (code % 4 * 8) & 255) - 128);
    return (float)((int)code - F::offset);
}

struct scale_and_min {
    float scale, min;
};

/* Those of group `s` of a row of a tile: value = scale · code - min. */
template <class F> HD scale_and_min scales_of(const uint8_t *tile_bytes, int row, int s)
{
    const uint8_t *wide = tile_bytes + tile<F>::wide + row * tile<F>::wide_row;
    const uint8_t *small = tile_bytes + tile<F>::small + row * tile<F>::small_row;

    switch (F::scales) {
    case SCALE_D:
        return {half_at(wide + 2 * s), 0.0F};
    case SCALE_D_M:
        return {half_at(wide + 4 * s), -half_at(wide + 4 * s + 2)};
    case SCALE_E8M0:
        return {e8m0_half(wide[s]), 0.0F};
    case SCALE_SM8:
        return {half_at(wide) * (float)small[2 * s], half_at(wide + 2) * (float)small[2 * s + 1]};
    case SCALE_SM4:
        return {half_at(wide) * (float)(small[s] & 15), half_at(wide + 2) * (float)(small[s] >> 4)};
    case SCALE_S8:
        return {half_at(wide) * (float)(int8_t)small[s], 0.0F};
    default:
        return {1.0F, 0.0F};
    }
}

template <class F> HD float value_of(const uint8_t *tile_bytes, const place &p)
{
    const uint32_t code = tile_code<F>(tile_bytes, p);

    if (F::low == 32)
        return float_of_bits(code);
    if (F::low == 16 && F::bfloat)
        return float_of_bits(code << 16);
    if (F::low == 16)
        return __half2float(__half_raw{(unsigned short)code});

    const scale_and_min sm = scales_of<F>(tile_bytes, row_of(p), k_of(p) / F::group);

    return sm.scale * code_value<F>(code) - sm.min;
}

#endif
