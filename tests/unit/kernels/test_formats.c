/* The table of formats: ids, sizes, look-ups, and the bytes of a row. */
#include "kernels/formats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ggml's ids and sizes, typed a second time. */
static const struct {
    const char *name;
    uint32_t id, block, bytes;
    bool decoded;
} expected[] = {
    {"F32", 0, 1, 4, true},         {"F16", 1, 1, 2, true},         {"Q4_0", 2, 32, 18, true},
    {"Q4_1", 3, 32, 20, true},      {"Q5_0", 6, 32, 22, true},      {"Q5_1", 7, 32, 24, true},
    {"Q8_0", 8, 32, 34, true},      {"Q8_1", 9, 32, 36, false},     {"Q2_K", 10, 256, 84, true},
    {"Q3_K", 11, 256, 110, true},   {"Q4_K", 12, 256, 144, true},   {"Q5_K", 13, 256, 176, true},
    {"Q6_K", 14, 256, 210, true},   {"Q8_K", 15, 256, 292, false},  {"IQ2_XXS", 16, 256, 66, true},
    {"IQ2_XS", 17, 256, 74, true},  {"IQ3_XXS", 18, 256, 98, true}, {"IQ1_S", 19, 256, 50, true},
    {"IQ4_NL", 20, 32, 18, true},   {"IQ3_S", 21, 256, 110, true},  {"IQ2_S", 22, 256, 82, true},
    {"IQ4_XS", 23, 256, 136, true}, {"I8", 24, 1, 1, false},        {"I16", 25, 1, 2, false},
    {"I32", 26, 1, 4, false},       {"I64", 27, 1, 8, false},       {"F64", 28, 1, 8, false},
    {"IQ1_M", 29, 256, 56, true},   {"BF16", 30, 1, 2, true},       {"TQ1_0", 34, 256, 54, true},
    {"TQ2_0", 35, 256, 66, true},   {"MXFP4", 39, 32, 17, true},    {"NVFP4", 40, 64, 36, true},
    {"Q1_0", 41, 128, 18, true},    {"Q2_0", 42, 64, 18, true},
};
enum { N_EXPECTED = sizeof(expected) / sizeof(expected[0]) };

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_EXPECTED; i++) {
        const struct moed_format *format = moed_format_by_id(expected[i].id);

        assert_non_null(format);
        assert_string_equal(format->name, expected[i].name);
        assert_int_equal(format->block, expected[i].block);
        assert_int_equal(format->bytes, expected[i].bytes);
        assert_int_equal(format->decode != NULL, expected[i].decoded);
        assert_int_equal(format->fill != NULL, expected[i].decoded);
        assert_ptr_equal(moed_format_by_name(expected[i].name), format);
    }
    assert_non_null(moed_format_at(N_EXPECTED - 1));
    assert_null(moed_format_at(N_EXPECTED));
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
