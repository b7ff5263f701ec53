/* Gathered rows: each block of each row is where a walk over tiles looks for it, whatever the
 * number of rows and the height; outliers are listed once, by block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/gather.h"

#define MAX_ROWS 70
#define BLOCKS   3

/* Walks the tiles as products do. */
static void check_places(uint32_t n, uint32_t height)
{
    const struct moed_gather_shape shape = {MOED_ROWS_Q8, 32 * BLOCKS, height};
    const size_t row_bytes = moed_rows_bytes(shape.kind, shape.cols);

    for (uint32_t first = 0, h; first < n; first += h) {
        h = moed_tile_rows(n - first, height);
        assert_true(h >= 1 && h <= height);
        for (uint32_t i = first; i < first + h; i++) {
            const struct moed_gather_place place = moed_gather_place(&shape, n, i);

            assert_int_equal(place.first, first * row_bytes + (i - first) * 64);
            assert_int_equal(place.step, h * 64);
        }
    }
}

static void rows_are_where_walks_look(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= MAX_ROWS; n++)
        for (uint32_t height = 1; height <= 32; height++)
            check_places(n, height);
}

/* Rows of 45 floats: the last block is short, and what follows it must not be read. */
static void short_rows_are_padded(void **state)
{
    enum { N = 7, COLS = 45 };
    const struct moed_gather_shape shape = {MOED_ROWS_F32, COLS, 3};
    float *data = aligned_alloc(64, N * moed_rows_bytes(MOED_ROWS_F32, COLS));
    struct moed_gather view;

    (void)state;
    memset(data, 0xff, N * moed_rows_bytes(MOED_ROWS_F32, COLS));
    for (uint32_t i = 0; i < N; i++) {
        float *row = malloc(COLS * sizeof *row); /* a sanitizer sees what is read behind it */

        for (uint32_t c = 0; c < COLS; c++)
            row[c] = (float)(1000 * i + c);
        moed_gather_row(&shape, N, i, row, data);
        free(row);
    }
    moed_gather_view(&shape, N, data, NULL, &view);
    assert_int_equal(view.n, N);
    assert_int_equal(view.n_outliers, 0);
    for (uint32_t i = 0; i < N; i++) {
        const struct moed_gather_place place = moed_gather_place(&shape, N, i);

        for (uint32_t c = 0; c < 64; c++) {
            const float *block = data + (place.first + c / 32 * place.step) / sizeof *data;

            assert_true(block[c % 32] == (c < COLS ? (float)(1000 * i + c) : 0.0F));
        }
    }
    free(data);
}

static void outliers_are_listed_by_block(void **state)
{
    enum { N = 5 };
    const struct moed_gather_shape shape = {MOED_ROWS_Q8, 32 * BLOCKS, 2};
    struct moed_q8 rows[N][BLOCKS] = {0};
    struct moed_q8 *data = aligned_alloc(64, sizeof rows);
    struct moed_outlier *outliers =
        calloc(moed_gather_outliers_max(N, shape.cols), sizeof *outliers);
    uint32_t at = 0;
    struct moed_gather view;

    (void)state;
    for (uint32_t i = 0; i < N; i++) { /* one in block 1, all rows; one more in block 2 of row 3 */
        rows[i][1] = (struct moed_q8){
            .outlier = {0, 7.0F + (float)i}, .outlier_at = {0, 20}, .any_outlier = 1};
        if (i == 3)
            rows[i][2] =
                (struct moed_q8){.outlier = {-1, 0}, .outlier_at = {5, 0}, .any_outlier = 1};
        moed_gather_row(&shape, N, i, rows[i], data);
    }
    moed_gather_view(&shape, N, data, outliers, &view);
    assert_int_equal(view.n_outliers, N + 1);
    for (; at < N; at++) {
        assert_int_equal(view.outliers[at].input, 32 + 20);
        assert_true(view.outliers[at].value == 7.0F + (float)view.outliers[at].row);
    }
    assert_int_equal(view.outliers[at].input, 64 + 5);
    assert_int_equal(view.outliers[at].row, 3);
    free(outliers);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_where_walks_look),
        cmocka_unit_test(short_rows_are_padded),
        cmocka_unit_test(outliers_are_listed_by_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
