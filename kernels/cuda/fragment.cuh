/* fragment: 16 × 64 weights of a tile in shared memory as four A fragments of f16, this lane's
 * part. A weight is unit · (scale · code - min), rounded once from codes that are exact; `unit` is
 * a power of two that brings a matrix's scales to where this works (moed_cuda_unit).
 *
 * An integer c below 1024 is, as it stands, the subnormal f16 c · 2^-24. So a mask makes two codes
 * two floats, and one fused multiply-add with 2^24 · scale and -min makes them two weights. What
 * is taken off codes, as 8 of Q4_0's, is part of min: a power of two times the scale, exactly.
 * Scales themselves are integers under the bits 0x6400, which are the f16 1024 + integer, less
 * 1024. */
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

/* 1024 + i as f16, twice, to i - offset, exactly. */
DEVICE __half2 integers(uint32_t bits, int offset)
{
    return __hsub2(half2_of(bits), __float2half2_rn(1024.0F + (float)offset));
}

/* (a & mask) | bits in one instruction: the compiler makes two of two constants. */
DEVICE uint32_t and_or(uint32_t a, uint32_t mask, uint32_t bits)
{
    uint32_t result;

    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(a), "r"(mask), "r"(bits));
    return result;
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

    /* Nibbles of rows 8 to 15 are left 4 bits higher, sixteen times as large, which spares moving
     * them: one() says so. */
    static constexpr bool raised = F::low == 4 && F::table == TABLE_NONE;

    /* `bits` with the high bits of a pair at bit `to` and 16 above it. */
    DEVICE uint32_t with_high_bits(uint32_t bits, int step, int pair, int to) const
    {
        const int at = F::high == 1 ? step * 4 + pair : step % 2 * 8 + pair * 2;
        const uint32_t word = high[F::high == 1 ? 0 : step / 2];
        const uint32_t mask = (F::high == 1 ? 0x00010001U : 0x00030003U) << to;

        return and_or(at > to ? word >> (at - to) : word << (to - at), mask, bits);
    }

    /* A pair of codes, one in each half. */
    DEVICE uint32_t pair_bits(int step, int pair) const
    {
        if constexpr (F::low == 8) {
            const uint32_t word = low[step * 2 + pair / 2];

            return __byte_perm(word, 0, pair % 2 == 0 ? 0x4140 : 0x4342);
        } else {
            const int to = raised && pair % 2 == 1 ? 4 : 0;
            const uint32_t word = F::low == 2 ? low[step / 2] >> (step % 2 * 8 + pair * 2)
                                              : low[step] >> (4 * pair - to);
            const uint32_t mask = (F::low == 2 ? 0x00030003U : 0x000f000fU) << to;
            const uint32_t bits = word & mask;

            return F::high > 0 ? with_high_bits(bits, step, pair, F::low + to) : bits;
        }
    }

    /* The four words of a step, two codes each. */
    DEVICE void step(int s, uint32_t packed[4]) const
    {
        if constexpr (F::table != TABLE_NONE) {
            look_up(low[s], packed);
            look_up(low[s] >> 16, packed + 2);
        } else {
#pragma unroll
            for (int p = 0; p < 4; p++)
                packed[p] = pair_bits(s, p);
        }
    }

    /* What 1 of a code stands for as a subnormal number, and what is taken off a code. */
    static HD constexpr float one(int row)
    {
        return raised && row == 1 ? 0x1p-20F : 0x1p-24F;
    }
    static HD constexpr float offset()
    {
        return (float)(F::table == TABLE_NONE ? F::offset : 128);
    }

    /* Four nibbles to four of the table's bytes, in two words. prmt chooses of eight bytes by
     * three bits: once in each half of the table, and then by the fourth bit between the two. */
    static DEVICE void look_up(uint32_t nibbles, uint32_t packed[2])
    {
        const uint32_t by = nibbles & 0x7777U;
        const uint32_t lower = __byte_perm(table_word<F::table>(0), table_word<F::table>(1), by);
        const uint32_t upper = __byte_perm(table_word<F::table>(2), table_word<F::table>(3), by);
        const uint32_t bytes = __byte_perm(lower, upper, 0x3210U | (nibbles & 0x8888U) >> 1);

        packed[0] = __byte_perm(bytes, 0, 0x4140);
        packed[1] = __byte_perm(bytes, 0, 0x4342);
    }
};

/* ---- scales: of this lane's two rows, for the groups of a block ---- */

DEVICE float within_half(float value)
{
    return fminf(fmaxf(value, -65504.0F), 65504.0F);
}

template <class F> struct lane_scales {
    static constexpr int groups = BLOCK_K / F::group;
    /* What a minimum's integer is brought down by, since its f16 has no other place for it. */
    static constexpr float min_digit = 0x1p-18F;

    __half2 scale[2][groups];     /* unit · scale / one(), what codes are multiplied by */
    __half2 minus_min[2][groups]; /* unit · -min, offsets included */
    __half2 wide[2];              /* of 256: d and -dmin, or d twice, in these units */

    static HD constexpr float one(int row)
    {
        return lane_codes<F>::one(row);
    }

    /* What a tile of 256 inputs has once. */
    DEVICE void begin(const uint8_t *tile_bytes, int g, float unit)
    {
        if constexpr (F::block == 256) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const uint8_t *at = tile_bytes + tile<F>::wide + (g + 8 * i) * tile<F>::wide_row;
                const float by = unit / one(i);

                if constexpr (F::scales == SCALE_S8) {
                    const float d = __half2float(__ushort_as_half(load_shared<uint16_t>(at)));

                    wide[i] = __float2half2_rn(within_half(d * by));
                } else {
                    const float2 both = __half22float2(half2_of(load_shared<uint32_t>(at)));

                    wide[i] = __floats2half2_rn(within_half(both.x * by),
                                                within_half(both.y * (-unit / min_digit)));
                }
            }
        }
    }

    DEVICE void load(const uint8_t *tile_bytes, int block, int g, float unit)
    {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int row = g + 8 * i;
            const uint8_t *small = tile_bytes + tile<F>::small + row * tile<F>::small_row +
                                   block * (tile<F>::small_row / tile<F>::blocks);

            if constexpr (F::block == 256)
                load_small(i, small);
            else if constexpr (F::block == 32)
                load_wide(i, tile_bytes + tile<F>::wide + row * tile<F>::wide_row, unit);
        }
    }

    DEVICE void set_both(int i, int group, __half2 scale_and_min)
    {
        scale[i][group] = __low2half2(scale_and_min);
        minus_min[i][group] = __high2half2(scale_and_min);
    }

    /* Of two groups without minimums of their own. */
    DEVICE void set_two(int i, int group, __half2 scales)
    {
        const __half2 less = __hmul2(scales, __float2half2_rn(-lane_codes<F>::offset() * one(i)));

        scale[i][group] = __low2half2(scales);
        scale[i][group + 1] = __high2half2(scales);
        minus_min[i][group] = __low2half2(less);
        minus_min[i][group + 1] = __high2half2(less);
    }

    /* f16 scales (and minimums) times a power of two, as two that f16 holds. */
    static DEVICE __half2 by_power(__half2 value, float scale_by, float min_by)
    {
        const __half2 first = __floats2half2_rn(fminf(scale_by, 32768.0F), fmaxf(min_by, 0x1p-12F));
        const __half2 second =
            __floats2half2_rn(fmaxf(scale_by * 0x1p-15F, 1.0F), fminf(min_by * 4096.0F, 1.0F));

        return __hmul2(__hmul2(value, first), second);
    }

    DEVICE void load_wide(int i, const uint8_t *at, float unit)
    {
        const float by = unit / one(i);

        if constexpr (F::scales == SCALE_D) {
            const float first = fminf(by, 32768.0F), second = fmaxf(by * 0x1p-15F, 1.0F);

            set_two(i, 0,
                    __hmul2(__hmul2(half2_of(load_shared<uint32_t>(at)), __float2half2_rn(first)),
                            __float2half2_rn(second)));
        } else if constexpr (F::scales == SCALE_E8M0) {
            const uint32_t both = load_shared<uint16_t>(at);

            set_two(i, 0,
                    __floats2half2_rn(e8m0_half(both & 255U) * by, e8m0_half(both >> 8) * by));
        } else {
            const uint2 both = load_shared<uint2>(at);

            set_both(i, 0, by_power(half2_of(both.x), by, unit));
            set_both(i, 1, by_power(half2_of(both.y), by, unit));
        }
    }

    /* A scale under the bits 0x6400 and a minimum under 0x1c00, whose last digit is 2^-18. */
    DEVICE void set_integers(int i, int group, uint32_t both)
    {
        const __half2 integers =
            __hsub2(half2_of(both), __floats2half2_rn(1024.0F, 1024.0F * min_digit));

        set_both(i, group, __hmul2(integers, wide[i]));
    }

    DEVICE void load_small(int i, const uint8_t *at)
    {
        if constexpr (F::scales == SCALE_SM8) {
            const uint32_t both = load_shared<uint32_t>(at);

            set_integers(i, 0, __byte_perm(both, 0x1c64U, 0x5140));
            set_integers(i, 1, __byte_perm(both, 0x1c64U, 0x5342));
        } else if constexpr (F::scales == SCALE_SM4) {
            const uint32_t four = load_shared<uint32_t>(at);

#pragma unroll
            for (int s = 0; s < 4; s++) {
                const uint32_t byte = four >> (8 * s);

                set_integers(i, s, and_or(byte << 12, 0x000f0000U, byte & 0x0fU) | 0x1c006400U);
            }
        } else {
            const uint32_t bytes =
                (groups == 4 ? load_shared<uint32_t>(at) : (uint32_t)load_shared<uint16_t>(at)) ^
                0x80808080U;

#pragma unroll
            for (int s = 0; s < groups; s += 2) {
                const uint32_t two = __byte_perm(bytes, 0x64646464U, s == 0 ? 0x4140 : 0x4342);

                set_two(i, s, __hmul2(integers(two, 128), wide[i]));
            }
        }
    }
};

/* ---- the two together ---- */

template <class F> struct lane_weights {
    lane_codes<F> codes;
    lane_scales<F> scales;

    /* Before the first block of each tile. */
    DEVICE void begin(const uint8_t *tile_bytes, int lane, float unit)
    {
        scales.begin(tile_bytes, lane / 4, unit);
    }

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
            uint32_t pairs[4];

            codes.step(s, pairs);
#pragma unroll
            for (int p = 0; p < 4; p++)
                a[p] = bits_of(__hfma2(half2_of(pairs[p]), scales.scale[p % 2][group],
                                       scales.minus_min[p % 2][group]));
        }
    }

    static DEVICE uint32_t from_bf16(uint32_t two, float unit)
    {
        return bits_of(__floats2half2_rn(float_of_bits(two << 16) * unit,
                                         float_of_bits(two & 0xffff0000U) * unit));
    }
};

#endif
