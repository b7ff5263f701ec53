/* integer: a lane's weights for products of few pairs, left as the integers that their codes are,
 * since making f16 weights of them would take longer than reading them. Sums of a group's codes
 * times inputs are scaled afterwards: Σ (s · (code - offset) - m) x = s · Σ code x - (s · offset +
 * m) · Σ x, for which the matrix unit adds up the inputs too. */
#ifndef MOED_CUDA_INTEGER_CUH
#define MOED_CUDA_INTEGER_CUH

#include "fragment.cuh"

/* 2^23 + byte `i` of a word, as f32. */
DEVICE float raised_byte(uint32_t word, int i)
{
    return __uint_as_float(__byte_perm(word, 0x4b000000U, 0x7440U + (uint32_t)i));
}

/* A number of f32, to be multiplied by bytes: 2^23 times it, taken away again, leaves the product
 * exactly, since both have few digits. */
struct by_byte {
    float value, less;

    DEVICE void set(float number)
    {
        value = number;
        less = -8388608.0F * number;
    }

    DEVICE float times(uint32_t word, int i) const
    {
        return fmaf(value, raised_byte(word, i), less);
    }

    /* Of a byte that is 128 more than it stands for. The two offsets in one would be rounded. */
    DEVICE float times_signed(uint32_t word, int i) const
    {
        return value * (raised_byte(word, i) - 8388736.0F);
    }
};

/* What a group's sums are multiplied by, of this lane's two rows: Σ weights · x is
 * by · Σ packed · x + less · Σ x, where the packed codes are lane_codes'. */
template <class F> struct lane_factors {
    static constexpr int groups = BLOCK_K / F::group;
    /* Many groups and no minimums: codes less their offset are multiplied, and `less` is nothing.
     */
    static constexpr bool centred = F::scales == SCALE_S8 && F::group == 16;

    static HD constexpr float factor(int row)
    {
        return centred ? 1.0F : lane_codes<F>::factor(row);
    }

    float by[2][groups], less[2][groups];
    by_byte d[2], dmin[2]; /* of 256 */

    /* What a tile of 256 inputs has once. */
    DEVICE void begin(const uint8_t *tile_bytes, int g)
    {
        if constexpr (F::block == 256) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const uint8_t *at = tile_bytes + tile<F>::wide + (g + 8 * i) * tile<F>::wide_row;
                const float factor = lane_factors<F>::factor(i);

                if constexpr (F::scales == SCALE_S8) {
                    d[i].set(__half2float(__ushort_as_half(load_shared<uint16_t>(at))) * factor);
                } else {
                    const float2 both = __half22float2(half2_of(load_shared<uint32_t>(at)));

                    d[i].set(both.x * factor);
                    dmin[i].set(both.y);
                }
            }
        }
    }

    DEVICE void load(const uint8_t *tile_bytes, int block, int g)
    {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int row = g + 8 * i;

            if constexpr (F::block == 256)
                load_small(i, tile_bytes + tile<F>::small + row * tile<F>::small_row +
                                  block * (tile<F>::small_row / tile<F>::blocks));
            else
                load_wide(i, tile_bytes + tile<F>::wide + row * tile<F>::wide_row);
        }
    }

    /* `scaled` is the scale times the packed words' factor. */
    DEVICE void set(int i, int group, float scaled, float min)
    {
        constexpr float offset = (float)(F::table == TABLE_NONE ? F::offset : 128);

        by[i][group] = scaled;
        less[i][group] = fmaf(-(1024.0F + offset / lane_codes<F>::factor(i)), scaled, -min);
    }

    DEVICE void load_wide(int i, const uint8_t *at)
    {
        const float factor = lane_factors<F>::factor(i);

#pragma unroll
        for (int s = 0; s < 2; s++) {
            if constexpr (F::scales == SCALE_E8M0) {
                set(i, s, e8m0_half(at[s]) * factor, 0.0F);
            } else if constexpr (F::scales == SCALE_D) {
                const __half d = __ushort_as_half(load_shared<uint16_t>(at + 2 * s));

                set(i, s, __half2float(d) * factor, 0.0F);
            } else {
                const float2 both = __half22float2(half2_of(load_shared<uint32_t>(at + 4 * s)));

                set(i, s, both.x * factor, -both.y);
            }
        }
    }

    DEVICE void load_small(int i, const uint8_t *at)
    {
        const uint32_t word = groups == 2 && F::scales == SCALE_S8
                                  ? (uint32_t)load_shared<uint16_t>(at)
                                  : load_shared<uint32_t>(at);

#pragma unroll
        for (int s = 0; s < groups; s++) {
            if constexpr (F::scales == SCALE_S8)
                set(i, s, d[i].times_signed(word ^ 0x80808080U, s), 0.0F);
            else if constexpr (F::scales == SCALE_SM8)
                set(i, s, d[i].times(word, 2 * s), dmin[i].times(word, 2 * s + 1));
            else
                set(i, s, d[i].times(word & 0x0f0f0f0fU, s),
                    dmin[i].times(word >> 4 & 0x0f0f0f0fU, s));
        }
    }
};

template <class F> struct lane_integers {
    lane_codes<F> codes;
    lane_factors<F> factors;

    DEVICE void begin(const uint8_t *tile_bytes, int lane)
    {
        factors.begin(tile_bytes, lane / 4);
    }

    DEVICE void load(const uint8_t *tile_bytes, int block, int lane)
    {
        codes.load(tile_bytes, block, lane);
        factors.load(tile_bytes, block, lane / 4);
    }

    /* sums += 16 rows × 8 pairs over the block's 64 inputs, of which x[2 s] and x[2 s + 1] are
     * this lane's B fragment in step s. */
    DEVICE void multiply(const uint32_t x[8], float sums[4]) const
    {
        if constexpr (lane_factors<F>::centred)
            multiply_centred(x, sums);
        else
            multiply_raised(x, sums);
    }

    DEVICE void multiply_centred(const uint32_t x[8], float sums[4]) const
    {
#pragma unroll
        for (int s = 0; s < 4; s++) {
            __half2 packed[4];
            uint32_t a[4];
            float dot[4];

            codes.step(s, packed);
#pragma unroll
            for (int p = 0; p < 4; p++)
                a[p] = bits_of(packed[p]);
            mma_16_8_16_anew(dot, a, x[2 * s], x[2 * s + 1]);
#pragma unroll
            for (int i = 0; i < 4; i++)
                sums[i] = fmaf(factors.by[i / 2][s], dot[i], sums[i]);
        }
    }

    DEVICE void multiply_raised(const uint32_t x[8], float sums[4]) const
    {
        constexpr int steps = F::group / 16;
        const uint32_t ones[4] = {0x3c003c00U, 0x3c003c00U, 0x3c003c00U, 0x3c003c00U};

#pragma unroll
        for (int group = 0; group < BLOCK_K / F::group; group++) {
            float dot[4], inputs[4];

#pragma unroll
            for (int i = 0; i < steps; i++) {
                const int s = group * steps + i;
                uint32_t a[4];

                codes.step_bits(s, a);
                if (i == 0) {
                    mma_16_8_16_anew(dot, a, x[2 * s], x[2 * s + 1]);
                    mma_16_8_16_anew(inputs, ones, x[2 * s], x[2 * s + 1]);
                } else {
                    mma_16_8_16(dot, a, x[2 * s], x[2 * s + 1]);
                    mma_16_8_16(inputs, ones, x[2 * s], x[2 * s + 1]);
                }
            }
            add_group(group, dot, inputs, sums);
        }
    }

    DEVICE void add_group(int group, const float dot[4], const float inputs[4], float sums[4]) const
    {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            sums[i] = fmaf(factors.by[i / 2][group], dot[i], sums[i]);
            sums[i] = fmaf(factors.less[i / 2][group], inputs[i % 2], sums[i]);
        }
    }
};

/* f16 and bf16 weights are multiplied as f16. */
template <class F> struct lane_floats {
    lane_weights<F> weights;
    float unit;

    DEVICE void begin(const uint8_t *, int)
    {
    }

    DEVICE void load(const uint8_t *tile_bytes, int block, int lane)
    {
        weights.load(tile_bytes, block, lane, unit);
    }

    DEVICE void multiply(const uint32_t x[8], float sums[4]) const
    {
#pragma unroll
        for (int s = 0; s < 4; s++) {
            uint32_t a[4];

            weights.fragment(s, unit, a);
            mma_16_8_16(sums, a, x[2 * s], x[2 * s + 1]);
        }
    }
};

#endif
