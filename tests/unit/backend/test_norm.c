/* The norms of one row, held against their formulas in long double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "src/backend/norm.h"

enum { N = 33 }; /* no whole number of vectors */

static const float weight[N] = {[0] = 2, [1] = -0.5F, [2] = 0, [N - 1] = 3};
static const float bias[N] = {[0] = 0.25F, [N - 1] = -1};

/* Numbers of both signs, the largest of them `size`. */
static void fill(float size, float row[N])
{
    for (int i = 0; i < N; i++)
        row[i] = size * ((float)((i * 7 + 3) % 11 - 5) / 5);
}

static void expect(const struct norm *norm, const float *x, const float *found)
{
    long double mean = 0, squares = 0;

    for (int i = 0; norm->kind == MOED_NORM_LAYER && i < N; i++)
        mean += (long double)x[i] / N;
    for (int i = 0; i < N; i++)
        squares += (x[i] - mean) * (x[i] - mean) / N;
    for (int i = 0; i < N; i++) {
        const long double exact = (x[i] - mean) / sqrtl(squares + (long double)norm->eps);
        const long double value =
            exact * norm->weight[i] + (norm->bias != NULL ? norm->bias[i] : 0);

        if (!(fabsl(value - found[i]) <= 1e-6L))
            fail_msg("column %d is %.9g, expected %.9Lg", i, (double)found[i], value);
    }
}

/* From rows whose squares are under what a float can hold to those where they are over it. */
static void rows_of_every_size(void **state)
{
    static const float sizes[] = {1e-30F, 1e-3F, 1, 700, 2e19F, 3e38F};
    static const enum moed_norm kinds[] = {MOED_NORM_RMS, MOED_NORM_LAYER};

    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const struct norm norm = {kinds[k], weight, s % 2 ? bias : NULL, s ? 1e-6F : 0};
            float x[N], out[N];

            fill(sizes[s], x);
            norm_row(&norm, x, out, N);
            expect(&norm, x, out);
        }
}

static void in_place(void **state)
{
    const struct norm norm = {MOED_NORM_LAYER, weight, bias, 1e-5F};
    float x[N], out[N];

    (void)state;
    fill(4, x);
    norm_row(&norm, x, out, N);
    norm_row(&norm, x, x, N);
    assert_memory_equal(x, out, sizeof x);
}

static void none_copies(void **state)
{
    const struct norm none = {.kind = MOED_NORM_NONE};
    float x[N], out[N];

    (void)state;
    fill(3e38F, x);
    norm_row(&none, x, out, N);
    assert_memory_equal(x, out, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_every_size),
        cmocka_unit_test(in_place),
        cmocka_unit_test(none_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
