/* The printer: every float reads back to itself, in the fewest digits, and the closest of those. */
#include "cmocka_all.h"

#include "src/wire/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "floats.h"

extern const uint64_t moed_wire_powers_of_ten[];

static uint64_t count;

static void print(float value, char text[MOED_WIRE_F32_MAX + 1])
{
    const size_t size = moed_wire_write_f32(value, text);

    assert_in_range(size, 1, MOED_WIRE_F32_MAX);
    text[size] = '\0';
}

/* By the reader and by C's: the two must not only agree with each other. */
static void check_round_trip(float value)
{
    char text[MOED_WIRE_F32_MAX + 1];
    const char *at = text;
    float back = 0;

    print(value, text);
    if (moed_wire_read_f32(&at, text + strlen(text), &back) != 0 || *at != '\0' ||
        bits_of_float(back) != bits_of_float(value) ||
        bits_of_float(strtof(text, NULL)) != bits_of_float(value))
        fail_msg("%08x is printed as %s, which reads as %08x", bits_of_float(value), text,
                 bits_of_float(back));
}

static int significant_digits(const char *text)
{
    int digits = 0, zeros = 0;

    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (*text == '0' && digits == 0))
            continue;
        digits++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return digits - zeros;
}

/* C's own text with n digits is the closest of that length: the first n that reads back is the
 * fewest possible, and its text is the closest unless several of that length read back. */
static void check_shortest(float value)
{
    char ours[MOED_WIRE_F32_MAX + 1], theirs[40];
    int n = 1;

    print(value, ours);
    for (; n < 9; n++) {
        snprintf(theirs, sizeof(theirs), "%.*e", n - 1, (double)value);
        if (strtof(theirs, NULL) == value)
            break;
    }
    snprintf(theirs, sizeof(theirs), "%.*e", n - 1, (double)value);
    /* Near a power of two the closest text may lie outside while a longer way round is inside:
     * then ours has n digits or fewer, and is never longer. */
    if (significant_digits(ours) > n ||
        (significant_digits(ours) == n && value != 0 && strtod(theirs, NULL) != strtod(ours, NULL)))
        fail_msg("%08x is printed as %s, %%.%de gives %s", bits_of_float(value), ours, n - 1,
                 theirs);
}

static void test_known(void **state)
{
    static const struct {
        uint32_t bits;
        const char *text;
    } known[] = {
        {0x00000000, "0"},
        {0x80000000, "-0.0"},
        {0x3dcccccd, "0.1"},
        {0xc0400000, "-3"},
        {0x00000001, "1e-45"},
        {0x7f7fffff, "3.4028235e38"},
        {0x3f800000, "1"},
        {0x3f800001, "1.0000001"},
        {0x4b800000, "16777216"},
        {0x00800000, "1.1754944e-38"},
        {0x007fffff, "1.1754942e-38"},
        {0x501502f9, "1e10"},
        {0x4cbebc20, "100000000"},
        {0x4e6e6b28, "1e9"},
        {0x38d1b717, "0.0001"},
        {0x3727c5ac, "0.00001"},
        {0x358637bd, "1e-6"},
        {0x3eaaaaab, "0.33333334"},
        {0x42f6e979, "123.456"},
        {0xff7fffff, "-3.4028235e38"},
        {0x00000002, "3e-45"},
    };
    char text[MOED_WIRE_F32_MAX + 1];

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(known); i++) {
        print(float_of_bits(known[i].bits), text);
        assert_string_equal(text, known[i].text);
    }
}

static void test_boundaries(void **state)
{
    (void)state;
    for_each_boundary(check_round_trip);
    for_each_boundary(check_shortest);
}

static void test_random(void **state)
{
    (void)state;
    for_each_random(count, check_round_trip);
    for_each_random(count / 50, check_shortest);
}

/* ---- the table, computed again: floor(10^p 2^-(floor(log2 10^p) - 63)) + 1 ---- */

/* 64 leading bits of 10^p for p >= 0, by 256-bit integers; of 2^n / 10^-p for p < 0. */
static uint64_t leading_bits(int p)
{
    uint32_t words[8] = {1}; /* little-endian; p >= 0: 10^p, else 2^255 divided down */
    int top = 255;

    if (p < 0)
        words[0] = 0, words[7] = 0x80000000U;
    for (int i = 0; i < (p < 0 ? -p : p); i++) {
        uint64_t carry = 0;

        for (int w = 0; w < 8 && p > 0; w++) {
            carry += (uint64_t)words[w] * 10;
            words[w] = (uint32_t)carry;
            carry >>= 32;
        }
        for (int w = 7; w >= 0 && p < 0; w--) {
            carry = carry << 32 | words[w];
            words[w] = (uint32_t)(carry / 10);
            carry %= 10;
        }
    }
    while ((words[top / 32] >> (top % 32) & 1) == 0)
        top--;

    uint64_t bits = 0;

    for (int i = 0; i < 64; i++)
        bits = bits << 1 | (top - i >= 0 ? words[(top - i) / 32] >> ((top - i) % 32) & 1 : 0);
    return bits;
}

static void test_table(void **state)
{
    (void)state;
    for (int p = -31; p <= 45; p++)
        assert_int_equal(moed_wire_powers_of_ten[p + 31], leading_bits(p) + 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_random),
    };

    count = random_count(argc, argv);
    return cmocka_run_group_tests_name("write_float", tests, NULL, NULL);
}
