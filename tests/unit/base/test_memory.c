/* Checked arithmetic and allocation, and the clocks. */
#include "src/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_arithmetic(void **state)
{
    uint64_t out = 0;

    (void)state;
    assert_true(moed_mul(1U << 31, 1U << 31, &out));
    assert_int_equal(out, 1ULL << 62);
    assert_false(moed_mul(1ULL << 32, 1ULL << 32, &out));
    assert_true(moed_add(UINT64_MAX - 1, 1, &out));
    assert_int_equal(out, UINT64_MAX);
    assert_false(moed_add(UINT64_MAX, 1, &out));
}

static void test_align_up(void **state)
{
    uint64_t out = 0;

    (void)state;
    assert_true(moed_align_up(0, 32, &out));
    assert_int_equal(out, 0);
    assert_true(moed_align_up(1, 32, &out));
    assert_int_equal(out, 32);
    assert_true(moed_align_up(64, 32, &out));
    assert_int_equal(out, 64);
    assert_true(moed_align_up(7, 1, &out));
    assert_int_equal(out, 7);
    assert_true(moed_align_up(UINT64_MAX - 31, 32, &out));
    assert_int_equal(out, UINT64_MAX - 31);
    assert_false(moed_align_up(UINT64_MAX - 30, 32, &out));
}

static bool all_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void test_allocation(void **state)
{
    unsigned char *plain = moed_calloc(100, 3);
    unsigned char *aligned = moed_aligned_alloc(100, 3);
    void *nothing = moed_calloc(0, 8);
    void *aligned_nothing = moed_aligned_alloc(8, 0);

    (void)state;
    assert_non_null(plain);
    assert_true(all_zero(plain, 300));
    assert_non_null(aligned);
    assert_int_equal((uintptr_t)aligned % 64, 0);
    assert_true(all_zero(aligned, 300));
    assert_non_null(nothing);
    assert_non_null(aligned_nothing);
    free(plain);
    free(aligned);
    free(nothing);
    free(aligned_nothing);
}

static void test_wrapping_sizes(void **state)
{
    (void)state;
    assert_null(moed_calloc(1ULL << 33, 1ULL << 33));
    assert_null(moed_calloc(UINT64_MAX, 1));
    assert_null(moed_aligned_alloc(1ULL << 33, 1ULL << 33));
    assert_null(moed_aligned_alloc(UINT64_MAX, 1));
}

static void test_clocks(void **state)
{
    const uint64_t start = moed_now_ns();
    const uint64_t wall = moed_wall_ms();
    const struct timespec nap = {.tv_nsec = 2000000};

    (void)state;
    nanosleep(&nap, NULL);
    assert_true(moed_now_ns() - start >= 2000000);
    assert_in_range(wall / 1000, (uintmax_t)time(NULL) - 2, (uintmax_t)time(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_align_up),
        cmocka_unit_test(test_allocation), cmocka_unit_test(test_wrapping_sizes),
        cmocka_unit_test(test_clocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
