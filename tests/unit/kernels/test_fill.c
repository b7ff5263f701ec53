/* Fillers: finite values of the deviation asked for, around 0, and the same for the same seed. */
#include "kernels/formats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ELEMENTS = 256 * 1024 };

static void check_format(const struct moed_format *format, float sigma)
{
    const size_t size = (size_t)ELEMENTS / format->block * format->bytes;
    uint8_t *bytes = malloc(size + 1);
    float *values = malloc(ELEMENTS * sizeof(*values));
    struct moed_random random;
    double sum = 0;
    double squares = 0;
    double mean;
    double deviation;

    assert_non_null(bytes);
    assert_non_null(values);
    moed_random_seed(&random, 7);
    bytes[size] = 0x5A;
    format->fill(&random, sigma, bytes, ELEMENTS);
    assert_int_equal(bytes[size], 0x5A);
    format->decode(bytes, values, ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++) {
        assert_true(isfinite(values[i]));
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    mean = sum / ELEMENTS;
    deviation = sqrt(squares / ELEMENTS - mean * mean);
    if (fabs(deviation / sigma - 1) > 0.05 || fabs(mean) > 0.05 * sigma) {
        fail_msg("%s: mean %g, deviation %g, asked for 0 and %g", format->name, mean, deviation,
                 (double)sigma);
    }
    free(values);
    free(bytes);
}

static void test_deviation(void **state)
{
    const float sigmas[] = {0.02F, 0.05F, 1.0F};

    (void)state;
    for (size_t at = 0; moed_format_at(at) != NULL; at++) {
        for (size_t k = 0; moed_format_at(at)->fill != NULL && k < 3; k++) {
            check_format(moed_format_at(at), sigmas[k]);
        }
    }
}

static void test_reproducible(void **state)
{
    const size_t n = 1024;

    (void)state;
    for (size_t at = 0; moed_format_at(at) != NULL; at++) {
        const struct moed_format *format = moed_format_at(at);
        const size_t size = n / format->block * format->bytes;
        uint8_t first[4096];
        uint8_t second[4096];
        struct moed_random random;

        if (format->fill == NULL) {
            continue;
        }
        moed_random_seed(&random, 1);
        format->fill(&random, 0.1F, first, n);
        moed_random_seed(&random, 1);
        format->fill(&random, 0.1F, second, n);
        assert_memory_equal(first, second, size);
        format->fill(&random, 0.1F, second, n);
        assert_memory_not_equal(first, second, size);
    }
}

/* Deviations that no scale can express, and none at all, still give finite values. */
static void test_extreme_sigmas(void **state)
{
    const float sigmas[] = {0.0F, 1e-30F, 100.0F};

    (void)state;
    for (size_t at = 0; moed_format_at(at) != NULL; at++) {
        const struct moed_format *format = moed_format_at(at);
        uint8_t bytes[256 * 4];
        float values[256];
        struct moed_random random;

        for (size_t k = 0; format->fill != NULL && k < 3; k++) {
            moed_random_seed(&random, 2);
            format->fill(&random, sigmas[k], bytes, 256);
            format->decode(bytes, values, 256);
            for (int i = 0; i < 256; i++) {
                assert_true(isfinite(values[i]));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deviation),
        cmocka_unit_test(test_reproducible),
        cmocka_unit_test(test_extreme_sigmas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
