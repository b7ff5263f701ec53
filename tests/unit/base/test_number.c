/* Decimal numbers: what is read, what is left, what is refused. */
#include "src/base/base.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void digits_are_read_and_passed(void **state)
{
    const char *at = "0042,7";
    uint32_t value = 0;

    (void)state;
    assert_true(moed_read_u32(&at, &value));
    assert_int_equal(value, 42);
    assert_string_equal(at, ",7");
    at++;
    assert_true(moed_read_u32(&at, &value));
    assert_int_equal(value, 7);
    assert_string_equal(at, "");
}

static void largest_ones_fit(void **state)
{
    const char *small = "4294967295", *large = "18446744073709551615";
    uint32_t u32 = 0;
    uint64_t u64 = 0;

    (void)state;
    assert_true(moed_read_u32(&small, &u32));
    assert_true(u32 == UINT32_MAX);
    assert_true(moed_read_u64(&large, &u64));
    assert_true(u64 == UINT64_MAX);
}

static void others_are_refused(void **state)
{
    static const char *const texts[] = {"",   "-1", "+1",         " 1",
                                        "x1", ".5", "4294967296", "99999999999999999999999999"};
    uint32_t value = 7;
    const char *too_large = "18446744073709551616";
    uint64_t wide = 7;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(texts); i++) {
        const char *at = texts[i];

        assert_false(moed_read_u32(&at, &value));
        assert_ptr_equal(at, texts[i]);
    }
    assert_int_equal(value, 7);
    assert_false(moed_read_u64(&too_large, &wide));
    assert_string_equal(too_large, "18446744073709551616");
    assert_int_equal(wide, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_are_read_and_passed),
        cmocka_unit_test(largest_ones_fit),
        cmocka_unit_test(others_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
