/* Conversions of row elements: every half, and floats around every rounding decision. */
#include "kernels/dtype.h"
#include "kernels/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The value of an f16 from the definition of the format. */
static float half_value(uint16_t bits)
{
    const int exponent = (bits >> 10) & 31;
    const int mantissa = bits & 1023;
    const float sign = bits & 0x8000 ? -1.0F : 1.0F;

    if (exponent == 31) {
        return mantissa == 0 ? sign * INFINITY : NAN;
    }
    return sign * (exponent == 0 ? ldexpf((float)mantissa, -24)
                                 : ldexpf((float)(1024 + mantissa), exponent - 25));
}

static void test_every_half(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        const uint16_t bits = (uint16_t)i;
        const float value = moed_f16_to_f32(bits);

        if (isnan(half_value(bits))) {
            assert_true(isnan(value));
            assert_true(isnan(moed_f16_to_f32(moed_f32_to_f16(value))));
        } else {
            assert_int_equal(bits_of(value), bits_of(half_value(bits)));
            assert_int_equal(moed_f32_to_f16(value), bits);
        }
    }
}

static void test_every_bf16(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        const uint16_t bits = (uint16_t)i;
        const float value = moed_bf16_to_f32(bits);

        assert_int_equal(bits_of(value), i << 16);
        if (isnan(value)) {
            assert_true(isnan(moed_bf16_to_f32(moed_f32_to_bf16(value))));
        } else {
            assert_int_equal(moed_f32_to_bf16(value), bits);
        }
    }
}

/* Between each two neighbours among the positive numbers of a type: the middle goes to the even
 * one, the floats next to the middle to their nearer side; negative numbers are the mirror. */
static void check_between(uint16_t lower, float (*value)(uint16_t), uint16_t (*round)(float))
{
    const uint16_t upper = (uint16_t)(lower + 1);
    const double high = isinf(value(upper)) ? 2.0 * value(lower) - value((uint16_t)(lower - 1))
                                            : (double)value(upper);
    const float middle = (float)((value(lower) + high) / 2);
    const uint16_t even = lower % 2 == 0 ? lower : upper;

    assert_int_equal(round(middle), even);
    assert_int_equal(round(-middle), even | 0x8000);
    assert_int_equal(round(nextafterf(middle, 0)), lower);
    assert_int_equal(round(nextafterf(middle, INFINITY)), upper);
    assert_int_equal(round(-nextafterf(middle, INFINITY)), upper | 0x8000);
}

static void test_rounding(void **state)
{
    (void)state;
    for (uint16_t bits = 0; bits < 0x7C00; bits++) {
        check_between(bits, moed_f16_to_f32, moed_f32_to_f16);
    }
    for (uint16_t bits = 0; bits < 0x7F80; bits++) {
        check_between(bits, moed_bf16_to_f32, moed_f32_to_bf16);
    }
}

static void test_special(void **state)
{
    const uint32_t nans[] = {0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x7F801FFF, 0xFF80FFFF};

    (void)state;
    for (size_t i = 0; i < sizeof(nans) / sizeof(nans[0]); i++) {
        const uint16_t half = moed_f32_to_f16(float_of(nans[i]));
        const uint16_t brain = moed_f32_to_bf16(float_of(nans[i]));

        assert_true((half & 0x7FFF) > 0x7C00);
        assert_true((brain & 0x7FFF) > 0x7F80);
        assert_int_equal(half >> 15, nans[i] >> 31);
        assert_int_equal(brain >> 15, nans[i] >> 31);
    }
    assert_int_equal(moed_f32_to_f16(INFINITY), 0x7C00);
    assert_int_equal(moed_f32_to_f16(-1e30F), 0xFC00);
    assert_int_equal(moed_f32_to_f16(65519.99F), 0x7BFF);
    assert_int_equal(moed_f32_to_f16(65520.0F), 0x7C00);
    assert_int_equal(moed_f32_to_f16(float_of(1)), 0);
    assert_int_equal(moed_f32_to_f16(-0.0F), 0x8000);
    assert_int_equal(moed_f32_to_bf16(float_of(0x7F7FFFFF)), 0x7F80);
    assert_int_equal(moed_f32_to_bf16(float_of(0x00008001)), 1);
}

/* Random floats of all magnitudes: nothing that the type holds is nearer than the result. */
static void test_nearest(void **state)
{
    struct moed_random random;

    (void)state;
    moed_random_seed(&random, 3);
    for (int i = 0; i < 300000; i++) {
        const float value =
            ldexpf(moed_random_unit(&random) + 0.5F, (int)moed_random_below(&random, 40) - 26);
        const uint16_t half = moed_f32_to_f16(value);
        const float off = fabsf(moed_f16_to_f32(half) - value);

        if (half < 0x7BFF) {
            assert_true(off <= fabsf(moed_f16_to_f32((uint16_t)(half + 1)) - value));
        }
        if (half > 0 && half < 0x7C00) {
            assert_true(off <= fabsf(moed_f16_to_f32((uint16_t)(half - 1)) - value));
        }
    }
}

/* Rows at odd addresses, in and out, keep what the type can hold. */
static void test_rows(void **state)
{
    const float numbers[4] = {0.0F, -1.5F, 0.15625F, 384.0F};
    unsigned char bytes[17];
    unsigned char floats[17];
    float back[4];

    (void)state;
    for (int d = 0; d < MOED_DTYPE_COUNT; d++) {
        const enum moed_dtype dtype = (enum moed_dtype)d;

        memset(bytes, 0xEE, sizeof(bytes));
        moed_dtype_from_f32(dtype, numbers, bytes + 1, 4);
        assert_int_equal(bytes[0], 0xEE);
        if (d != MOED_F32) {
            assert_int_equal(bytes[1 + 4 * moed_dtype_size(dtype)], 0xEE);
        }
        memset(floats, 0, sizeof(floats));
        moed_dtype_to_f32(dtype, bytes + 1, (float *)(void *)(floats + 1), 4);
        memcpy(back, floats + 1, sizeof(back));
        assert_memory_equal(back, numbers, sizeof(numbers));
        moed_dtype_to_f32(dtype, bytes, back, 0);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(moed_dtype_parse("f32"), MOED_F32);
    assert_int_equal(moed_dtype_parse("f16"), MOED_F16);
    assert_int_equal(moed_dtype_parse("bf16"), MOED_BF16);
    assert_int_equal(moed_dtype_parse("F32"), -1);
    assert_int_equal(moed_dtype_parse(""), -1);
    assert_string_equal(moed_dtype_name(MOED_BF16), "bf16");
    assert_int_equal(moed_dtype_size(MOED_F32), 4);
    assert_int_equal(moed_dtype_size(MOED_F16), 2);
    assert_int_equal(moed_dtype_size(MOED_BF16), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half), cmocka_unit_test(test_every_bf16),
        cmocka_unit_test(test_rounding),   cmocka_unit_test(test_special),
        cmocka_unit_test(test_nearest),    cmocka_unit_test(test_rows),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
