/* The histogram of times: bounded error, any time, any share. */
#include "src/load/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/random.h"

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void test_one_time_alone(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++)
        for (int64_t off = -1; off <= 1; off++) {
            struct moed_latency *latency = moed_calloc(1, sizeof *latency);
            const uint64_t ns = (UINT64_C(1) << bits) + (uint64_t)off;

            moed_latency_add(latency, ns);
            assert_true(moed_latency_at(latency, 0.5) == ns);
            assert_true(moed_latency_at(latency, 1) == ns);
            free(latency);
        }
}

static void test_shares_of_many(void **state)
{
    enum { N = 20000 };
    static const double shares[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    struct moed_latency *latency = moed_calloc(1, sizeof *latency);
    uint64_t *times = moed_calloc(N, sizeof *times);
    struct moed_random random;

    (void)state;
    moed_random_seed(&random, 5);
    for (int i = 0; i < N; i++) {
        times[i] = moed_random_u64(&random) >> moed_random_below(&random, 64);
        moed_latency_add(latency, times[i]);
    }
    qsort(times, N, sizeof *times, by_value);
    for (size_t i = 0; i < MOED_ARRAY_LEN(shares); i++) {
        const double place = shares[i] * N;
        const uint64_t exact = times[place >= 1 ? (size_t)place - 1 : 0];
        const uint64_t found = moed_latency_at(latency, shares[i]);

        assert_true(found >= exact);
        assert_true(found - exact <= exact / 127);
    }
    assert_true(latency->max == times[N - 1]);
    assert_int_equal(latency->count, N);
    free(times);
    free(latency);
}

static void test_none(void **state)
{
    struct moed_latency *latency = moed_calloc(1, sizeof *latency);

    (void)state;
    assert_int_equal(moed_latency_at(latency, 0.99), 0);
    free(latency);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_time_alone),
        cmocka_unit_test(test_shares_of_many),
        cmocka_unit_test(test_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
