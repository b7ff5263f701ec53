/* fragment: 16 × 64 weights of a tile in shared memory as four A fragments of f16, this lane's
 * part. A weight is unit · (scale · code - min), rounded once from codes that are exact; `unit` is
 * a power of two that brings a matrix's scales to where f16 has all its digits.
 *
 * An integer below 1024 under the bits 0x6400 is the f16 1024 + integer: so codes become floats
 * by a logical operation and an exact subtraction, two at a time. */
#ifndef MOED_CUDA_FRAGMENT_CUH
#define MOED_CUDA_FRAGMENT_CUH

#include "ptx.cuh"
#include "value.cuh"

#define DEVICE __device__ __forceinline__

DEVICE __half2 half2_of(uint32_t bits)
{
    __half2 value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

DEVICE uint32_t bits_of(__half2 value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* 1024 + i as f16, twice, exactly. */
DEVICE __half2 integers(uint32_t bits, int offset)
{
    return __hsub2(half2_of(bits), __float2half2_rn(1024.0F + (float)offset));
}

template <class T> DEVICE T load_shared(const uint8_t *at)
{
    return *(const T *)at;
}

/* ---- codes: word(s) of this lane, and a pair of its codes under 0x6400 ---- */

template <class F> struct lane_codes {
    uint32_t low[F::low == 2 ? 2 : F::low], high[F::high == 0 ? 1 : F::high];

    DEVICE void load(const uint8_t *tile_bytes, int block, int lane)
    {
        const uint8_t *at = tile_bytes + block * (BLOCK_K * 2 * F::low);

        if constexpr (F::low == 2) {
            const uint2 words = load_shared<uint2>(at + lane * 8);

            low[0] = words.x;
            low[1] = words.y;
        } else {
#pragma unroll
            for (int i = 0; i < F::low / 4; i++) {
                const uint4 words = load_shared<uint4>(at + i * 512 + lane * 16);

                low[4 * i] = words.x;
                low[4 * i + 1] = words.y;
                low[4 * i + 2] = words.z;
                low[4 * i + 3] = words.w;
            }
        }
        at = tile_bytes + tile<F>::high + block * (BLOCK_K * 2 * F::high);
        if constexpr (F::high == 1)
            high[0] = load_shared<uint32_t>(at + lane * 4);
        if constexpr (F::high == 2) {
            const uint2 words = load_shared<uint2>(at + lane * 8);

            high[0] = words.x;
            high[1] = words.y;
        }
    }

    /* The high bits of a pair, moved to stand above the low ones. */
    DEVICE uint32_t high_bits(int step, int pair) const
    {
        const int at = F::high == 1 ? step * 4 + pair : step % 2 * 8 + pair * 2;
        const uint32_t word = high[F::high == 1 ? 0 : step / 2];
        const uint32_t mask = (F::high == 1 ? 0x00010001U : 0x00030003U) << F::low;

        return (at > F::low ? word >> (at - F::low) : word << (F::low - at)) & mask;
    }

    DEVICE uint32_t pair_bits(int step, int pair) const
    {
        if (F::low == 8) {
            const uint32_t word = low[step * 2 + pair / 2];

            return __byte_perm(word, 0x64646464U, pair % 2 == 0 ? 0x4140 : 0x4342);
        }
        if (F::low == 2)
            return (low[step / 2] >> (step % 2 * 8 + pair * 2) & 0x00030003U) | 0x64006400U |
                   (F::high > 0 ? high_bits(step, pair) : 0U);
        return (low[step] >> (4 * pair) & 0x000f000fU) | 0x64006400U |
               (F::high > 0 ? high_bits(step, pair) : 0U);
    }

    /* The four pairs of a step. */
    DEVICE void step(int s, __half2 pairs[4]) const
    {
        if constexpr (F::table != TABLE_NONE) {
            look_up(low[s], pairs);
            look_up(low[s] >> 16, pairs + 2);
        } else {
#pragma unroll
            for (int p = 0; p < 4; p++)
                pairs[p] = integers(pair_bits(s, p), F::offset);
        }
    }

    /* Four nibbles to four of the table's bytes, to two pairs. prmt chooses of eight bytes by
     * three bits: once in each half of the table, and then by the fourth bit between the two. */
    static DEVICE void look_up(uint32_t nibbles, __half2 pairs[2])
    {
        const uint32_t by = nibbles & 0x7777U;
        const uint32_t lower = __byte_perm(table_word<F::table>(0), table_word<F::table>(1), by);
        const uint32_t upper = __byte_perm(table_word<F::table>(2), table_word<F::table>(3), by);
        const uint32_t bytes = __byte_perm(lower, upper, 0x3210U | (nibbles & 0x8888U) >> 1);

        pairs[0] = integers(__byte_perm(bytes, 0x64646464U, 0x4140), 128);
        pairs[1] = integers(__byte_perm(bytes, 0x64646464U, 0x4342), 128);
    }
};

/* ---- scales: of this lane's two rows, for the groups of a block ---- */

template <class F> struct lane_scales {
    static constexpr int groups = BLOCK_K / F::group;
    static constexpr bool has_min =
        F::scales == SCALE_D_M || F::scales == SCALE_SM8 || F::scales == SCALE_SM4;

    __half2 scale[2][groups], minus_min[2][has_min ? groups : 1];

    DEVICE void load(const uint8_t *tile_bytes, int block, int g, float unit)
    {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int row = g + 8 * i;

            load_row(i, tile_bytes + tile<F>::wide + row * tile<F>::wide_row,
                     tile_bytes + tile<F>::small + row * tile<F>::small_row +
                         block * (tile<F>::small_row / tile<F>::blocks),
                     unit);
        }
    }

    DEVICE void set_both(int i, int group, __half2 scale_and_min)
    {
        scale[i][group] = __low2half2(scale_and_min);
        minus_min[i][group] = __high2half2(scale_and_min);
    }

    DEVICE void load_row(int i, const uint8_t *wide, const uint8_t *small, float unit)
    {
        if constexpr (F::scales == SCALE_D) {
            const __half2 d =
                __hmul2(half2_of(load_shared<uint32_t>(wide)), __float2half2_rn(unit));

            scale[i][0] = __low2half2(d);
            scale[i][1] = __high2half2(d);
        } else if constexpr (F::scales == SCALE_E8M0) {
            const uint32_t both = load_shared<uint16_t>(wide);

            for (int s = 0; s < 2; s++)
                scale[i][s] = __float2half2_rn(e8m0_half(both >> (8 * s) & 255U) * unit);
        } else if constexpr (F::scales == SCALE_D_M) {
            const uint2 both = load_shared<uint2>(wide);

            set_both(i, 0, __hmul2(half2_of(both.x), __float2half2_rn(unit)));
            set_both(i, 1, __hmul2(half2_of(both.y), __float2half2_rn(unit)));
        } else if constexpr (F::scales == SCALE_SM8) {
            const __half2 d =
                __hmul2(half2_of(load_shared<uint32_t>(wide)), __floats2half2_rn(unit, -unit));
            const uint32_t both = load_shared<uint32_t>(small);

            set_both(i, 0, __hmul2(integers(__byte_perm(both, 0x64646464U, 0x4140), 0), d));
            set_both(i, 1, __hmul2(integers(__byte_perm(both, 0x64646464U, 0x4342), 0), d));
        } else if constexpr (F::scales == SCALE_SM4) {
            const __half2 d =
                __hmul2(half2_of(load_shared<uint32_t>(wide)), __floats2half2_rn(unit, -unit));
            const uint32_t four = load_shared<uint32_t>(small);

#pragma unroll
            for (int s = 0; s < 4; s++) {
                const uint32_t byte = four >> (8 * s);

                set_both(
                    i, s,
                    __hmul2(integers((byte & 0x0fU) | (byte << 12 & 0x000f0000U) | 0x64006400U, 0),
                            d));
            }
        } else if constexpr (F::scales == SCALE_S8) {
            load_signed(i, wide, small, unit);
        }
    }

    DEVICE void load_signed(int i, const uint8_t *wide, const uint8_t *small, float unit)
    {
        const __half2 d = __hmul2(__half2half2(__ushort_as_half(load_shared<uint16_t>(wide))),
                                  __float2half2_rn(unit));
        const uint32_t bytes =
            (groups == 4 ? load_shared<uint32_t>(small) : (uint32_t)load_shared<uint16_t>(small)) ^
            0x80808080U;

#pragma unroll
        for (int s = 0; s < groups; s += 2) {
            const __half2 two = __hmul2(
                integers(__byte_perm(bytes, 0x64646464U, s == 0 ? 0x4140 : 0x4342), 128), d);

            scale[i][s] = __low2half2(two);
            scale[i][s + 1] = __high2half2(two);
        }
    }
};

/* ---- the two together ---- */

template <class F> struct lane_weights {
    lane_codes<F> codes;
    lane_scales<F> scales;

    /* Weights [.., 64 · block, + 64) of a tile. */
    DEVICE void load(const uint8_t *tile_bytes, int block, int lane, float unit)
    {
        codes.load(tile_bytes, block, lane);
        scales.load(tile_bytes, block, lane / 4, unit);
    }

    /* The A fragment of step `s` of 4. */
    DEVICE void fragment(int s, float unit, uint32_t a[4]) const
    {
        if constexpr (F::low == 16) {
#pragma unroll
            for (int p = 0; p < 4; p++)
                a[p] = F::bfloat ? from_bf16(codes.low[4 * s + p], unit) : codes.low[4 * s + p];
        } else {
            const int group = s * 16 / F::group;
            __half2 pairs[4];

            codes.step(s, pairs);
#pragma unroll
            for (int p = 0; p < 4; p++) {
                const __half2 scale = scales.scale[p % 2][group];

                if constexpr (lane_scales<F>::has_min)
                    a[p] = bits_of(__hfma2(pairs[p], scale, scales.minus_min[p % 2][group]));
                else
                    a[p] = bits_of(__hmul2(pairs[p], scale));
            }
        }
    }

    static DEVICE uint32_t from_bf16(uint32_t two, float unit)
    {
        return bits_of(__floats2half2_rn(float_of_bits(two << 16) * unit,
                                         float_of_bits(two & 0xffff0000U) * unit));
    }
};

#endif
