/* The table of formats: ids, sizes, look-ups, and the bytes of a row. */
#include "kernels/formats.h"
#include "second_decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_table(void **state)
{
    size_t n = 0;

    (void)state;
    for (const struct second_format *expected = second_formats; expected->name != NULL;
         expected++, n++) {
        const struct moed_format *format = moed_format_by_id(expected->id);

        assert_non_null(format);
        assert_string_equal(format->name, expected->name);
        assert_int_equal(format->block, expected->block);
        assert_int_equal(format->bytes, expected->bytes);
        assert_int_equal(format->decode != NULL, expected->value != NULL);
        assert_int_equal(format->fill != NULL, expected->value != NULL);
        assert_ptr_equal(moed_format_by_name(expected->name), format);
    }
    assert_non_null(moed_format_at(n - 1));
    assert_null(moed_format_at(n)); /* or a row has no second form */
}

static void test_lookup(void **state)
{
    const uint32_t removed[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 1000, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(removed) / sizeof(removed[0]); i++) {
        assert_null(moed_format_by_id(removed[i]));
    }
    assert_ptr_equal(moed_format_by_name("q4_k"), moed_format_by_id(12));
    assert_ptr_equal(moed_format_by_name("mxFP4"), moed_format_by_id(39));
    assert_null(moed_format_by_name("Q4"));
    assert_null(moed_format_by_name(""));
    assert_null(moed_format_by_name("Q4_K "));
}

static void test_row_bytes(void **state)
{
    const struct moed_format *q4_k = moed_format_by_name("Q4_K");
    const struct moed_format *f64 = moed_format_by_name("F64");
    uint64_t bytes = 7;

    (void)state;
    assert_true(moed_format_row_bytes(q4_k, 2048, &bytes));
    assert_int_equal(bytes, 8 * 144);
    assert_true(moed_format_row_bytes(q4_k, 0, &bytes));
    assert_int_equal(bytes, 0);
    assert_false(moed_format_row_bytes(q4_k, 2049, &bytes));
    assert_false(moed_format_row_bytes(q4_k, 255, &bytes));
    assert_true(moed_format_row_bytes(f64, UINT64_MAX / 8, &bytes));
    assert_false(moed_format_row_bytes(f64, UINT64_MAX / 8 + 1, &bytes));
    assert_false(moed_format_row_bytes(f64, UINT64_MAX, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_row_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
