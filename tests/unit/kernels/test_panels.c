/* Panels: packing moves codes and scales and loses nothing, for every format, any number of rows;
 * and what it costs in bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/panel.h"

/* Random bytes, not values: every bit of a block must come back. */
static void round_trip(const struct moed_format *format, uint32_t rows, uint32_t cols)
{
    const struct moed_panel_layout *layout = moed_panel_layout_of(format);
    struct moed_random r;
    uint64_t row_bytes;
    uint64_t panel_bytes;

    assert_true(moed_format_row_bytes(format, cols, &row_bytes));
    assert_true(moed_panel_bytes(layout, cols, &panel_bytes));

    uint8_t *file = malloc(row_bytes * rows);
    uint8_t *back = malloc(row_bytes * rows);
    uint8_t *panel = malloc(panel_bytes + 16);

    moed_random_seed(&r, rows * 7919U + cols);
    for (uint64_t i = 0; i < row_bytes * rows; i++)
        file[i] = (uint8_t)moed_random_below(&r, 256);
    memset(panel, 0xa5, panel_bytes + 16);
    memset(back, 0xff, row_bytes * rows);
    moed_panel_pack(layout, file, row_bytes, rows, cols, panel);
    for (int i = 0; i < 16; i++)
        assert_int_equal(panel[panel_bytes + (uint64_t)i], 0xa5); /* not a byte too far */
    moed_panel_unpack(layout, panel, rows, cols, back, row_bytes);
    if (memcmp(file, back, row_bytes * rows) != 0)
        fail_msg("%s: %u rows of %u inputs came back different", format->name, rows, cols);
    free(file);
    free(back);
    free(panel);
}

static void packing_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; moed_format_at(i); i++) {
        const struct moed_format *format = moed_format_at(i);

        assert_int_equal(moed_panel_layout_of(format) != NULL, format->decode != NULL);
        if (moed_panel_layout_of(format) == NULL ||
            moed_panel_is_wide(moed_panel_layout_of(format)))
            continue; /* test_products.c compares what widened ones mean */
        for (uint32_t rows = 1; rows <= MOED_PANEL_ROWS; rows++)
            for (uint32_t blocks = 1; blocks <= 9; blocks += 2)
                round_trip(format, rows, blocks * format->block);
    }
}

static void missing_rows_are_zeros(void **state)
{
    const struct moed_format *format = moed_format_by_name("Q8_0");
    const struct moed_panel_layout *layout = moed_panel_layout_of(format);
    uint8_t row[34];
    uint8_t panel[34 * 16];
    uint8_t back[34 * 16];

    (void)state;
    memset(row, 0x55, sizeof row);
    memset(panel, 0xff, sizeof panel);
    moed_panel_pack(layout, row, sizeof row, 1, 32, panel);
    moed_panel_unpack(layout, panel, 16, 32, back, 34);
    for (int r = 1; r < 16; r++)
        assert_true(back[34 * r] == 0 && back[34 * r + 1] == 0); /* a scale of zero */
}

/* The bound that the documents promise: 1.03 times the file's bytes, padding of rows apart. */
static void bytes_stay_close_to_the_file(void **state)
{
    (void)state;
    for (size_t i = 0; moed_format_at(i); i++) {
        const struct moed_format *format = moed_format_at(i);
        uint64_t row_bytes;
        uint64_t panel_bytes;

        if (moed_panel_layout_of(format) == NULL ||
            moed_panel_is_wide(moed_panel_layout_of(format)))
            continue;
        moed_format_row_bytes(format, 2048, &row_bytes);
        moed_panel_bytes(moed_panel_layout_of(format), 2048, &panel_bytes);
        assert_true((double)panel_bytes <= 1.03 * 16.0 * (double)row_bytes);
    }
}

static void sizes_that_wrap_are_refused(void **state)
{
    const struct moed_panel_layout *layout = moed_panel_layout_of(moed_format_by_name("F32"));
    uint64_t bytes;

    (void)state;
    assert_false(moed_panel_bytes(layout, UINT64_MAX / 2, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing_loses_nothing),
        cmocka_unit_test(missing_rows_are_zeros),
        cmocka_unit_test(bytes_stay_close_to_the_file),
        cmocka_unit_test(sizes_that_wrap_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
