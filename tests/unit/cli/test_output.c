/* What the commands print with: tables, sizes, JSON strings; and the rows and the probe of bench.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/cli/json.h"
#include "src/cli/probe.h"
#include "src/cli/rows.h"
#include "src/cli/table.h"

static void test_tables_align_and_end_clean(void **state)
{
    static const struct table_column columns[] = {{"layer", 6}, {"types", -6}, {"note", -9}};
    struct table table;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    table_begin(&table, out, columns, 3);
    table_cell(&table, "%u", 12U);
    table_cell(&table, "%s", "Q8_0");
    table_cell(&table, "%s", "ok");
    fclose(out);
    assert_string_equal(text,
                        " layer  types   note\n"
                        "    12  Q8_0    ok\n");
    free(text);
}

static void test_sizes_read_well(void **state)
{
    char out[16];

    (void)state;
    assert_string_equal(format_size(0, out), "0 B");
    assert_string_equal(format_size(1023, out), "1023 B");
    assert_string_equal(format_size(1536, out), "1.5 KiB");
    assert_string_equal(format_size(357826560, out), "341.2 MiB");
    assert_string_equal(format_size(UINT64_MAX, out), "16777216.0 TiB");
}

static void test_json_strings_are_escaped(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    json_string(out, "a\"b\\c\n\x7f\xff µ");
    fclose(out);
    assert_string_equal(text, "\"a\\\"b\\\\c\\u000a\\u007f\xef\xbf\xbd µ\"");
    free(text);
}

enum { ROWS = 50, HIDDEN = 2000 };

static void test_rows_have_loud_channels(void **state)
{
    float *rows = malloc(sizeof(float) * ROWS * HIDDEN);
    struct moed_random random;
    int loud = 0;

    (void)state;
    assert_non_null(rows);
    moed_random_seed(&random, 7);
    rows_fill(&random, rows, ROWS, HIDDEN);
    for (int channel = 0; channel < HIDDEN; channel++) {
        double square = 0;

        for (int row = 0; row < ROWS; row++)
            square += (double)rows[row * HIDDEN + channel] * rows[row * HIDDEN + channel];
        square = sqrt(square / ROWS);
        assert_true(square > 0.4 && square < 16);
        loud += square > 4; /* deviation 8; the quiet ones have 1 */
    }
    assert_in_range(loud, HIDDEN / 200, HIDDEN / 50);
    free(rows);
}

static void test_rows_follow_their_seed(void **state)
{
    struct moed_random random;
    float a[64], b[64], c[64];

    (void)state;
    moed_random_seed(&random, 1);
    rows_fill(&random, a, 2, 32);
    rows_fill(&random, b, 2, 32); /* goes on: fresh rows */
    moed_random_seed(&random, 1);
    rows_fill(&random, c, 2, 32);
    assert_memory_equal(a, c, sizeof(a));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void test_the_probe_measures_something(void **state)
{
    struct moed_error err;
    double gbps = 0;

    (void)state;
    assert_int_equal(probe_read_bandwidth(1, &gbps, &err), 0);
    assert_true(gbps > 0);
    gbps = 0;
    assert_int_equal(probe_read_bandwidth(3, &gbps, &err), 0);
    assert_true(gbps > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_align_and_end_clean),
        cmocka_unit_test(test_sizes_read_well),
        cmocka_unit_test(test_json_strings_are_escaped),
        cmocka_unit_test(test_rows_have_loud_channels),
        cmocka_unit_test(test_rows_follow_their_seed),
        cmocka_unit_test(test_the_probe_measures_something),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
