/* pack: a tile from blocks of the file, and the blocks from a tile. One lane's codes, or one row's
 * scales, at a time, on the device or on the host. */
#ifndef MOED_CUDA_PACK_CUH
#define MOED_CUDA_PACK_CUH

#include "tile.cuh"

template <int BITS> HD uint32_t get_bits(const uint8_t *bytes, bit_at at)
{
    if constexpr (BITS < 8) {
        return bytes[at.byte] >> at.shift & ((1U << BITS) - 1U);
    } else {
        uint32_t value = 0;

        for (int i = 0; i < BITS / 8; i++)
            value |= (uint32_t)bytes[at.byte + i] << (8 * i);
        return value;
    }
}

/* Into bits that are zero. */
template <int BITS> HD void put_bits(uint8_t *bytes, bit_at at, uint32_t value)
{
    if (BITS < 8)
        bytes[at.byte] = (uint8_t)(bytes[at.byte] | value << at.shift);
    for (int i = 0; i < BITS / 8; i++)
        bytes[at.byte + i] = (uint8_t)(value >> (8 * i));
}

/* ---- codes ---- */

/* Code k of a block as a tile has it: Q8_0's signed bytes are moved up by 128. */
template <class F> HD uint32_t file_code(const uint8_t *block, int k)
{
    if constexpr (F::low >= 16)
        return get_bits<F::low>(block, {k * F::low / 8, 0});
    else if constexpr (F::low == 8)
        return get_bits<8>(block, F::low_at(k)) ^ 0x80U;
    else if constexpr (F::high > 0)
        return get_bits<F::low>(block, F::low_at(k)) | get_bits<F::high>(block, F::high_at(k))
                                                           << F::low;
    else
        return get_bits<F::low>(block, F::low_at(k));
}

template <class F> HD void put_file_code(uint8_t *block, int k, uint32_t code)
{
    if constexpr (F::low >= 16) {
        put_bits<F::low>(block, {k * F::low / 8, 0}, code);
    } else if constexpr (F::low == 8) {
        put_bits<8>(block, F::low_at(k), code ^ 0x80U);
    } else {
        put_bits<F::low>(block, F::low_at(k), code & ((1U << F::low) - 1U));
        if constexpr (F::high > 0)
            put_bits<F::high>(block, F::high_at(k), code >> F::low);
    }
}

template <class F> HD uint32_t tile_code(const uint8_t *tile_bytes, const place &p)
{
    const uint32_t low = get_bits<F::low>(tile_bytes, tile<F>::low_at(p));

    if constexpr (F::high > 0)
        return low | get_bits<F::high>(tile_bytes, tile<F>::high_at(p)) << F::low;
    else
        return low;
}

template <class F> HD void put_tile_code(uint8_t *tile_bytes, const place &p, uint32_t code)
{
    if constexpr (F::low >= 8) {
        put_bits<F::low>(tile_bytes, tile<F>::low_at(p), code);
    } else {
        put_bits<F::low>(tile_bytes, tile<F>::low_at(p), code & ((1U << F::low) - 1U));
        if constexpr (F::high > 0)
            put_bits<F::high>(tile_bytes, tile<F>::high_at(p), code >> F::low);
    }
}

/* ---- scales: the file packs six bits tightly, a tile gives each a byte ---- */

/* Q4_K and Q5_K: scale and minimum of s = 0..7 in 12 bytes (kernels/reference_k.c). */
HD void six_bit_pair(const uint8_t *packed, int s, uint8_t *scale, uint8_t *min)
{
    if (s < 4) {
        *scale = packed[s] & 63;
        *min = packed[s + 4] & 63;
    } else {
        *scale = (uint8_t)((packed[s + 4] & 15) | packed[s - 4] >> 6 << 4);
        *min = (uint8_t)(packed[s + 4] >> 4 | packed[s] >> 6 << 4);
    }
}

HD void put_six_bit_pair(uint8_t *packed, int s, uint8_t scale, uint8_t min)
{
    if (s < 4) {
        packed[s] = (uint8_t)(packed[s] | scale);
        packed[s + 4] = (uint8_t)(packed[s + 4] | min);
    } else {
        packed[s + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
        packed[s - 4] = (uint8_t)(packed[s - 4] | scale >> 4 << 6);
        packed[s] = (uint8_t)(packed[s] | min >> 4 << 6);
    }
}

/* The signed scale of group s of a block whose scales are signed. */
template <class F> HD int8_t signed_scale(const uint8_t *block, int s)
{
    const uint8_t *small = block + F::small_at;

    if (F::file_scales == MOED_SCALES_S6_16) {
        const int low = s < 8 ? small[s] & 15 : small[s - 8] >> 4;

        return (int8_t)((low | (small[8 + s % 4] >> (2 * (s / 4)) & 3) << 4) - 32);
    }
    if (F::file_scales == MOED_SCALES_S6_32) /* the word before the nibbles has the high bits */
        return (int8_t)(((small[s / 2] >> (4 * (s % 2)) & 15) |
                         (small[s / 4 - 2] >> (2 * (s % 4)) & 3) << 4) -
                        32);
    return (int8_t)small[s];
}

template <class F> HD void put_signed_scale(uint8_t *block, int s, int8_t scale)
{
    uint8_t *small = block + F::small_at;
    const int code = scale + 32;

    if (F::file_scales == MOED_SCALES_S6_16) {
        small[s % 8] = (uint8_t)(small[s % 8] | (code & 15) << (s / 8 * 4));
        small[8 + s % 4] = (uint8_t)(small[8 + s % 4] | code >> 4 << (2 * (s / 4)));
    } else if (F::file_scales == MOED_SCALES_S6_32) {
        small[s / 2] = (uint8_t)(small[s / 2] | (code & 15) << (4 * (s % 2)));
        small[s / 4 - 2] = (uint8_t)(small[s / 4 - 2] | code >> 4 << (2 * (s % 4)));
    } else {
        small[s] = (uint8_t)scale;
    }
}

HD void copy_bytes(uint8_t *to, const uint8_t *from, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = from[i];
}

/* Bytes of `wide` that one block of the file brings. */
template <class F> HD constexpr int wide_of_block()
{
    return F::block == 256 ? tile<F>::wide_row : tile<F>::wide_row / tile<F>::groups;
}

/* The scales of block `b` (of a chunk's) of one row. */
template <class F> HD void pack_scales(const uint8_t *block, int row, int b, uint8_t *to)
{
    uint8_t *small = to + tile<F>::small + row * tile<F>::small_row;

    copy_bytes(to + tile<F>::wide + row * tile<F>::wide_row + b * wide_of_block<F>(),
               block + F::d_at, wide_of_block<F>());
    for (int s = 0; s < tile<F>::small_row && s < tile<F>::groups; s++) {
        if (F::scales == SCALE_SM8)
            six_bit_pair(block + F::small_at, s, small + 2 * s, small + 2 * s + 1);
        else if (F::scales == SCALE_SM4)
            small[s] = block[F::small_at + s];
        else
            small[s] = (uint8_t)signed_scale<F>(block, s);
    }
}

template <class F> HD void unpack_scales(const uint8_t *from, int row, int b, uint8_t *block)
{
    const uint8_t *small = from + tile<F>::small + row * tile<F>::small_row;

    copy_bytes(block + F::d_at,
               from + tile<F>::wide + row * tile<F>::wide_row + b * wide_of_block<F>(),
               wide_of_block<F>());
    for (int s = 0; s < tile<F>::small_row && s < tile<F>::groups; s++) {
        if (F::scales == SCALE_SM8)
            put_six_bit_pair(block + F::small_at, s, small[2 * s], small[2 * s + 1]);
        else if (F::scales == SCALE_SM4)
            block[F::small_at + s] = small[s];
        else
            put_signed_scale<F>(block, s, (int8_t)small[s]);
    }
}

#endif
