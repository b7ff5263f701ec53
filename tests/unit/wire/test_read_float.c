/* The reader: the same bits as C's own strtof on every text, and JSON's grammar, no more. */
#include "cmocka_all.h"

#include "src/wire/wire.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "floats.h"

static uint64_t count;

/* Reads from a copy that ends exactly where the text does, so that a sanitizer sees overreads. */
static __attribute__((noinline)) int read_text(const char *text, size_t size, float *out,
                                               size_t *used)
{
    char *copy = malloc(size > 0 ? size : 1);
    const char *at = copy;
    int status;

    assert_non_null(copy);
    memcpy(copy, text, size);
    status = moed_wire_read_f32(&at, copy + size, out);
    *used = (size_t)(at - copy);
    free(copy);
    return status;
}

static void check_text(const char *text)
{
    const float expected = strtof(text, NULL);
    size_t used = 0;
    float found = 0;
    const int status = read_text(text, strlen(text), &found, &used);

    if (isinf(expected)) {
        if (status != MOED_E_UNPROCESSABLE)
            fail_msg("%.60s: status %d, expected out of range", text, status);
        return;
    }
    if (status != 0 || used != strlen(text) || bits_of_float(found) != bits_of_float(expected))
        fail_msg("%.60s reads as %08x (status %d, %zu characters), strtof gives %08x", text,
                 bits_of_float(found), status, used, bits_of_float(expected));
}

/* What clients write for a float32: few digits, exactly enough, those of a double, too many. */
static void check_spellings(float value)
{
    static const int digits[] = {0, 6, 7, 8, 15, 16, 18, 19, 24};
    char text[128];

    for (size_t i = 0; i < MOED_ARRAY_LEN(digits); i++) {
        snprintf(text, sizeof(text), "%.*e", digits[i], (double)value);
        check_text(text);
    }
    snprintf(text, sizeof(text), "%.17g", (double)value);
    check_text(text);
}

/* Exactly between `value` and the next float, and a hair to either side: ties go to even. */
static void check_halfway(float value)
{
    const float next = nextafterf(value, INFINITY);
    const double middle = ((double)value + (double)next) / 2;
    char text[200], above[300];

    if (value < 0 || isinf(next))
        return;
    snprintf(text, sizeof(text), "%.150e", middle); /* exact: a midpoint has at most 113 digits */
    check_text(text);

    snprintf(above, sizeof(above), "%.*s%060d%s", (int)strcspn(text, "e"), text, 1,
             strchr(text, 'e'));
    check_text(above);
    snprintf(text, sizeof(text), "%.17g", nextafter(middle, 0));
    check_text(text);
    snprintf(text, sizeof(text), "%.17g", nextafter(middle, INFINITY));
    check_text(text);
    snprintf(text, sizeof(text), "%.18e", middle);
    check_text(text);
}

static void test_boundaries(void **state)
{
    (void)state;
    for_each_boundary(check_spellings);
    for_each_boundary(check_halfway);
}

static void test_random(void **state)
{
    (void)state;
    for_each_random(count / 10, check_spellings); /* ten texts each */
    for_each_random(count / 50, check_halfway);
}

static void test_spellings(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "-0.0",
        "0e5",
        "0E+5",
        "-0e-5",
        "0e999999999999999999999",
        "0.0e-99",
        "1",
        "-1",
        "1e0",
        "1E+0",
        "1e-0",
        "1.5",
        "10",
        "100",
        "1e1",
        "1e+1",
        "1e01",
        "1e0001",
        "0.1",
        "0.10",
        "0.100000000000000000000000000000000000",
        "1.0000000596046448",
        "0.00000000000000000000000000000000000000000000140129846432481707e0",
        "16777216",
        "16777217",
        "16777218",
        "16777219",
        "16777217.0000000000000000000000000001",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "9999999999999999999",
        "99999999999999999999",
        "12345678",
        "123456789012345678901234567890",
        "12345678.12345678",
        "1234567.1234567",
        "3.4028234663852886e38",
        "3.4028235e38",
        "3.4028235677973366e38",
        "3.40282356779733661637539395458e38",
        "3.40282356779733661637539395459e38",
        "340282346638528859811704183484516925440",
        "340282356779733661637539395458142568447",
        "340282356779733661637539395458142568448",
        "1e38",
        "1e39",
        "-1e39",
        "1e99999",
        "1e99999999999999999999999",
        "1e-45",
        "7e-46",
        "7.006492321624085e-46",
        "7.0064923216240853e-46",
        "7.0064923216240854e-46",
        "7.1e-46",
        "1e-46",
        "1e-99999999999999999999999",
        "1.1754943508222875e-38",
        "1.1754942807573643e-38",
        "1.17549428e-38",
        "1.175494350822287507968736537222245677819e-38",
        "1e-64",
        "1e-65",
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(texts); i++)
        check_text(texts[i]);
}

/* The digits of a huge text count, however far behind the point they stand: `start`, zeros up to
 * a hundred thousand characters, `end`. */
static void check_long(const char *start, const char *end)
{
    enum { LENGTH = 100000 };
    char *text = malloc(LENGTH + 64);

    assert_non_null(text);
    memset(text, '0', LENGTH);
    for (size_t i = 0; start[i] != '\0'; i++)
        text[i] = start[i];
    snprintf(text + LENGTH, 64, "%s", end);
    check_text(text);
    free(text);
}

static void test_long_texts(void **state)
{
    (void)state;
    check_long("0.", "125e100001");
    check_long("1", "e-99999");
    check_long("1", ".5e-99960");
    check_long("1", "e1");
    check_long("0.", "1e40");
    check_long("16777217.", ""); /* a midpoint, and one digit long after it */
    check_long("16777217.", "1");
    check_long("16777219.", "1");
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",     "-",   "+1",  ".5", "-.5", "1.", "1.e5", "1e",   "1e+", "1e-",  "NaN",
        "-NaN", "inf", "abc", "-a", "e5",  " 1", "0.",   "0.e1", "--1", "1.-5", "Infinity"};
    size_t used = 0;
    float value = 0;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(texts); i++) {
        if (read_text(texts[i], strlen(texts[i]), &value, &used) != MOED_E_MALFORMED || used != 0)
            fail_msg("\"%s\" is not refused", texts[i]);
    }
}

/* The number ends where the grammar ends it; what follows is the caller's to judge. */
static void test_ends(void **state)
{
    static const struct {
        const char *text;
        size_t used;
    } cases[] = {{"01", 1},    {"-01", 2},   {"0x10", 1},      {"1,2", 1},
                 {"1.5.5", 3}, {"1e5e5", 3}, {"12345678]", 8}, {"1234567812345678 ", 16},
                 {"1_000", 1}, {"1f", 1}};
    size_t used = 0;
    float value = 0;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &value, &used), 0);
        assert_int_equal(used, cases[i].used);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),  cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_ends),
        cmocka_unit_test(test_boundaries), cmocka_unit_test(test_random),
    };

    count = random_count(argc, argv);
    return cmocka_run_group_tests_name("read_float", tests, NULL, NULL);
}
