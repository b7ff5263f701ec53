/* Scans agree with the decoders: what is found by scales alone is what the values are. */
#include "kernels/formats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCKS = 3, MOST_BYTES = 300, MOST_ELEMENTS = 256 };

static bool decodes_finite(const struct moed_format *format, const uint8_t *bytes)
{
    float values[BLOCKS * MOST_ELEMENTS];

    format->decode(bytes, values, (size_t)BLOCKS * format->block);
    for (size_t i = 0; i < (size_t)BLOCKS * format->block; i++) {
        if (!isfinite(values[i])) {
            return false;
        }
    }
    return true;
}

static unsigned scan(const struct moed_format *format, const uint8_t *bytes)
{
    return format->scan(bytes, (size_t)BLOCKS * format->block);
}

/* Wherever two bytes turn a value into NaN or infinity, the scan says so, and nowhere else. */
static void check_bytes(const struct moed_format *format, uint8_t *bytes, size_t at)
{
    static const uint8_t patterns[][2] = {{0, 0x7C}, {1, 0x7E}, {0xFF, 0xFF}, {0x80, 0x7F},
                                          {0, 0xFC}, {0x7F, 0}, {0xFD, 1},    {0xF0, 0x7B}};

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        uint8_t saved[2];
        bool finite;

        memcpy(saved, bytes + at, 2);
        memcpy(bytes + at, patterns[i], 2);
        finite = (scan(format, bytes) & MOED_SCAN_NOT_FINITE) == 0;
        if (finite != decodes_finite(format, bytes)) {
            fail_msg("%s, bytes %zu: %02x %02x", format->name, at, patterns[i][0], patterns[i][1]);
        }
        memcpy(bytes + at, saved, 2);
    }
}

static void finds_what_is_not_finite(void **state)
{
    struct moed_random random;

    (void)state;
    moed_random_seed(&random, 3);
    for (size_t f = 0; moed_format_at(f) != NULL; f++) {
        const struct moed_format *format = moed_format_at(f);
        uint8_t bytes[BLOCKS * MOST_BYTES];

        if (format->fill == NULL) {
            assert_null(format->scan);
            continue;
        }
        format->fill(&random, 1.0F, bytes, (size_t)BLOCKS * format->block);
        assert_int_equal(scan(format, bytes), MOED_SCAN_NOT_ZERO);
        for (size_t at = 0; at + 2 <= (size_t)BLOCKS * format->bytes; at++) {
            check_bytes(format, bytes, at);
        }
    }
}

static void finds_zeros(void **state)
{
    (void)state;
    for (size_t f = 0; moed_format_at(f) != NULL; f++) {
        const struct moed_format *format = moed_format_at(f);
        uint8_t bytes[BLOCKS * MOST_BYTES] = {0};
        struct moed_random random;

        if (format->fill == NULL) {
            continue;
        }
        assert_int_equal(scan(format, bytes), 0);
        moed_random_seed(&random, 5); /* one block of several is enough to be something */
        format->fill(&random, 1.0F, bytes + 2 * format->bytes, format->block);
        assert_int_equal(scan(format, bytes), MOED_SCAN_NOT_ZERO);
    }
}

/* -0 is zero, the smallest number is not. */
static void numbers_are_looked_at_one_by_one(void **state)
{
    const float zeros[BLOCKS] = {0.0F, -0.0F, 0.0F}, small[BLOCKS] = {0.0F, 1e-45F, 0.0F};
    const float infinite[BLOCKS] = {0.0F, -INFINITY, 0.0F};
    const struct moed_format *f32 = moed_format_by_name("F32");

    (void)state;
    assert_int_equal(scan(f32, (const void *)zeros), 0);
    assert_int_equal(scan(f32, (const void *)small), MOED_SCAN_NOT_ZERO);
    assert_int_equal(scan(f32, (const void *)infinite), MOED_SCAN_NOT_ZERO | MOED_SCAN_NOT_FINITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_not_finite),
        cmocka_unit_test(finds_zeros),
        cmocka_unit_test(numbers_are_looked_at_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
