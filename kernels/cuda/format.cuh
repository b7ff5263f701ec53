/* format: the number formats that the GPU multiplies, as data: where a block of the file keeps its
 * codes and its scales. kernels/reference_*.c draw the blocks. */
#ifndef MOED_CUDA_FORMAT_CUH
#define MOED_CUDA_FORMAT_CUH

#include <stdint.h>

#define HD __host__ __device__ __forceinline__

/* What stands beside the codes, as a tile keeps it (tile.cuh). */
enum scale_kind {
    SCALE_NONE, /* nothing: the codes are floats */
    SCALE_D,    /* f16 d of 32 */
    SCALE_D_M,  /* f16 d and f16 m of 32 */
    SCALE_E8M0, /* a power of two of 32 */
    SCALE_SM8,  /* f16 d and dmin of 256; a byte of scale and one of minimum of 32 */
    SCALE_SM4,  /* f16 d and dmin of 256; a nibble of each of 16 */
    SCALE_S8    /* f16 d of 256; a signed byte of scale of 16 or 32 */
};

enum code_table { TABLE_NONE, TABLE_NONLINEAR, TABLE_FP4 };

/* The lowest bit of a code: its byte, and its place there. */
struct bit_at {
    int byte, shift;
};

/* `low` bits of a code lie in one place and `high` more, above them, in another; `offset` is taken
 * off a code. `group` codes share a scale. */
template <int BLOCK, int BYTES, int LOW, int HIGH, int GROUP, int OFFSET> struct layout {
    static constexpr int block = BLOCK, bytes = BYTES, low = LOW, high = HIGH;
    static constexpr int group = GROUP, offset = OFFSET;
    static constexpr code_table table = TABLE_NONE;
    static constexpr bool bfloat = false;
    static constexpr int d_at = 0; /* byte of the f16 scale (or scale and minimum) of a block */

    static HD bit_at high_at(int)
    {
        return {0, 0};
    }
};

struct F32 : layout<1, 4, 32, 0, 32, 0> {
    static constexpr scale_kind scales = SCALE_NONE;
};

struct F16 : layout<1, 2, 16, 0, 32, 0> {
    static constexpr scale_kind scales = SCALE_NONE;
};

struct BF16 : layout<1, 2, 16, 0, 32, 0> {
    static constexpr scale_kind scales = SCALE_NONE;
    static constexpr bool bfloat = true;
};

/* ---- a scale for 32: element i of a byte's low half, i + 16 of its high half ---- */

template <int AT> HD bit_at nibble_of_32(int k)
{
    return {AT + k % 16, k / 16 * 4};
}

struct Q4_0 : layout<32, 18, 4, 0, 32, 8> {
    static constexpr scale_kind scales = SCALE_D;

    static HD bit_at low_at(int k)
    {
        return nibble_of_32<2>(k);
    }
};

struct Q4_1 : layout<32, 20, 4, 0, 32, 0> {
    static constexpr scale_kind scales = SCALE_D_M;

    static HD bit_at low_at(int k)
    {
        return nibble_of_32<4>(k);
    }
};

struct Q5_0 : layout<32, 22, 4, 1, 32, 16> {
    static constexpr scale_kind scales = SCALE_D;

    static HD bit_at low_at(int k)
    {
        return nibble_of_32<6>(k);
    }
    static HD bit_at high_at(int k)
    {
        return {2 + k / 8, k % 8};
    }
};

struct Q5_1 : layout<32, 24, 4, 1, 32, 0> {
    static constexpr scale_kind scales = SCALE_D_M;

    static HD bit_at low_at(int k)
    {
        return nibble_of_32<8>(k);
    }
    static HD bit_at high_at(int k)
    {
        return {4 + k / 8, k % 8};
    }
};

struct Q8_0 : layout<32, 34, 8, 0, 32, 128> { /* a tile's codes are 128 more than the file's */
    static constexpr scale_kind scales = SCALE_D;

    static HD bit_at low_at(int k)
    {
        return {2 + k, 0};
    }
};

struct IQ4_NL : Q4_0 {
    static constexpr int offset = 0;
    static constexpr code_table table = TABLE_NONLINEAR;
};

struct MXFP4 : layout<32, 17, 4, 0, 32, 0> {
    static constexpr scale_kind scales = SCALE_E8M0;
    static constexpr code_table table = TABLE_FP4;

    static HD bit_at low_at(int k)
    {
        return nibble_of_32<1>(k);
    }
};

/* ---- a scale for 256, and small ones for 16 or 32: codes 32 apart share a byte ---- */

template <int AT> HD bit_at pair_of_256(int k)
{
    return {AT + k / 128 * 32 + k % 32, k % 128 / 32 * 2};
}

template <int AT> HD bit_at nibble_of_64(int k)
{
    return {AT + k / 64 * 32 + k % 32, k % 64 / 32 * 4};
}

struct Q2_K : layout<256, 84, 2, 0, 16, 0> {
    static constexpr scale_kind scales = SCALE_SM4;
    static constexpr int d_at = 80;

    static HD bit_at low_at(int k)
    {
        return pair_of_256<16>(k);
    }
};

struct Q3_K : layout<256, 110, 2, 1, 16, 4> {
    static constexpr scale_kind scales = SCALE_S8;
    static constexpr int d_at = 108;

    static HD bit_at low_at(int k)
    {
        return pair_of_256<32>(k);
    }
    static HD bit_at high_at(int k)
    {
        return {k % 32, k / 32};
    }
};

struct Q4_K : layout<256, 144, 4, 0, 32, 0> {
    static constexpr scale_kind scales = SCALE_SM8;

    static HD bit_at low_at(int k)
    {
        return nibble_of_64<16>(k);
    }
};

struct Q5_K : layout<256, 176, 4, 1, 32, 0> {
    static constexpr scale_kind scales = SCALE_SM8;

    static HD bit_at low_at(int k)
    {
        return nibble_of_64<48>(k);
    }
    static HD bit_at high_at(int k)
    {
        return {16 + k % 32, k / 32};
    }
};

struct Q6_K : layout<256, 210, 4, 2, 16, 32> {
    static constexpr scale_kind scales = SCALE_S8;
    static constexpr int d_at = 208;

    static HD bit_at low_at(int k)
    {
        return {k / 128 * 64 + k % 64, k % 128 / 64 * 4};
    }
    static HD bit_at high_at(int k)
    {
        return pair_of_256<128>(k);
    }
};

struct IQ4_XS : layout<256, 136, 4, 0, 32, 0> {
    static constexpr scale_kind scales = SCALE_S8;
    static constexpr code_table table = TABLE_NONLINEAR;

    static HD bit_at low_at(int k)
    {
        return {8 + k / 32 * 16 + k % 16, k % 32 / 16 * 4};
    }
};

#endif
