/* The generator: published values, the same on every machine, and sound distributions. */
#include "kernels/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* xoshiro256++ from the state 1, 2, 3, 4. */
static void test_known_sequence(void **state)
{
    const uint64_t expected[] = {41943041U, 58720359U, 3588806011781223U, 3591011842654386U,
                                 9228616714210784205U};
    struct moed_random random = {{1, 2, 3, 4}};

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(moed_random_u64(&random), expected[i]);
    }
}

/* splitmix64 from 0 fills the state. */
static void test_seed(void **state)
{
    struct moed_random a;
    struct moed_random b;

    (void)state;
    moed_random_seed(&a, 0);
    assert_int_equal(a.s[0], 0xE220A8397B1DCDAFU);
    assert_int_equal(a.s[1], 0x6E789E6AA1B965F4U);
    assert_int_equal(a.s[2], 0x06C45D188009454FU);
    assert_int_equal(a.s[3], 0xF88BB8A8724C81ECU);
    moed_random_seed(&b, 1);
    assert_int_not_equal(moed_random_u64(&a), moed_random_u64(&b));
}

static void test_uniform(void **state)
{
    struct moed_random random;
    int counts[10] = {0};
    double sum = 0;

    (void)state;
    moed_random_seed(&random, 5);
    for (int i = 0; i < 100000; i++) {
        const float unit = moed_random_unit(&random);
        const uint32_t below = moed_random_below(&random, 10);

        assert_true(unit >= 0.0F && unit < 1.0F);
        assert_true(below < 10);
        counts[below]++;
        sum += unit;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.01);
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
    assert_int_equal(moed_random_below(&random, 1), 0);
}

static void test_gaussian(void **state)
{
    struct moed_random random;
    double moments[5] = {0};
    const int n = 400000;

    (void)state;
    moed_random_seed(&random, 6);
    for (int i = 0; i < n; i++) {
        const double x = moed_random_gaussian(&random);

        for (int k = 1; k < 5; k++) {
            moments[k] += pow(x, k) / n;
        }
    }
    assert_true(fabs(moments[1]) < 0.01);
    assert_true(fabs(moments[2] - 1) < 0.01);
    assert_true(fabs(moments[3]) < 0.03);
    assert_true(fabs(moments[4] - 3) < 0.2);
}

/* In bits, so that a machine that computes otherwise is noticed: files of one seed are equal. */
static void test_gaussian_bits(void **state)
{
    struct moed_random random = {{1, 2, 3, 4}};
    const float first = moed_random_gaussian(&random);

    (void)state;
    assert_true(first ==
                (float)(2 * (0x0280 + 0x0001 + 0x0380 + 0x0067) - 524280) * 9.34406183e-6F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_sequence), cmocka_unit_test(test_seed),
        cmocka_unit_test(test_uniform),        cmocka_unit_test(test_gaussian),
        cmocka_unit_test(test_gaussian_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
