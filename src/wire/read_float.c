/* read_float: decimal text to the nearest float32, ties to even, whatever the text.
 *
 * The text is mantissa x 10^exponent, with the first 19 significant digits in the mantissa. Its
 * product d in double is wrong by at most 3.01 units in d's last place (ulp): rounding the
 * mantissa, the table's power and the product cost 2^-53 of the value each, digits after the
 * 19th cost 10^-18, and 2^-53 of a value is at most 1 ulp. Rounding d to float32 goes the same
 * way as rounding the exact value unless a midpoint between two floats lies between them. In
 * float32's normal range midpoints are the doubles whose low 29 bits are 2^28, so when those bits
 * are 4 or more away from 2^28 the answer is proven; the others (9 of 2^29, and the subnormals)
 * go to strtof, which glibc and musl round exactly.
 *
 * The argument needs doubles without excess precision, rounding to nearest (C's defaults on every
 * target with SSE2 or NEON), and a compiler that rounds its literals correctly. */
#include "src/wire/wire.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(FLT_EVAL_METHOD == 0, "the error bound assumes that double arithmetic is double");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "eight digits are loaded at once");

#define MANTISSA_DIGITS 19 /* always fit 64 bits */
#define MIN_POWER       (-64)
#define MAX_POWER       38

static const double powers[MAX_POWER - MIN_POWER + 1] = {
    1e-64, 1e-63, 1e-62, 1e-61, 1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52,
    1e-51, 1e-50, 1e-49, 1e-48, 1e-47, 1e-46, 1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39,
    1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26,
    1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13,
    1e-12, 1e-11, 1e-10, 1e-9,  1e-8,  1e-7,  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,
    1e1,   1e2,   1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,   1e10,  1e11,  1e12,  1e13,
    1e14,  1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22,  1e23,  1e24,  1e25,  1e26,
    1e27,  1e28,  1e29,  1e30,  1e31,  1e32,  1e33,  1e34,  1e35,  1e36,  1e37,  1e38};

/* The parts of a number's text. */
struct decimal {
    bool negative;
    const char *digits, *digits_end; /* integer and fraction, the point among them */
    size_t n_digits;                 /* the point not counted, leading zeros counted */
    uint64_t mantissa;
    int64_t exponent; /* value = mantissa x 10^exponent, up to digits after the 19th */
};

/* Eight ASCII digits as a number, or false. The digits are paired, then the pairs, then the
 * fours: the first character is the low byte and the highest digit. */
static bool eight_digits(const char *text, uint64_t *out)
{
    uint64_t v;

    memcpy(&v, text, sizeof v);
    /* High nibbles are 3, and stay 3 when 6 is added to the low ones. */
    if ((v & 0xf0f0f0f0f0f0f0f0) != 0x3030303030303030 ||
        ((v + 0x0606060606060606) & 0xf0f0f0f0f0f0f0f0) != 0x3030303030303030)
        return false;
    v &= 0x0f0f0f0f0f0f0f0f;
    v = (v * 10 + (v >> 8)) & 0x00ff00ff00ff00ff;
    v = (v * 100 + (v >> 16)) & 0x0000ffff0000ffff;
    *out = (v * 10000 + (v >> 32)) & 0xffffffff;
    return true;
}

/* Passes digits and appends them to the mantissa, which wraps when they are many. */
static const char *read_digits(const char *p, const char *end, uint64_t *mantissa)
{
    uint64_t m = *mantissa, eight;

    while (end - p >= 8 && eight_digits(p, &eight)) {
        m = m * 100000000 + eight;
        p += 8;
    }
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        m = m * 10 + (uint64_t)(*p - '0');
    *mantissa = m;
    return p;
}

/* Stands after the e; NULL if there are no digits. Saturates far outside float32's range, yet
 * above what the digits of any body could make up for. */
static const char *read_exponent(const char *p, const char *end, int64_t *out)
{
    const int64_t limit = (int64_t)1 << 56;
    const bool negative = p < end && *p == '-';
    const char *first;
    int64_t value = 0;

    if (p < end && (*p == '-' || *p == '+'))
        p++;
    for (first = p; p < end && *p >= '0' && *p <= '9'; p++)
        value = value < limit ? value * 10 + (*p - '0') : value;
    *out = negative ? -value : value;
    return p == first ? NULL : p;
}

/* More than 19 digits: leading zeros do not count, and what is left over is dropped. */
static void shorten(struct decimal *d)
{
    const char *p = d->digits;
    size_t taken = 0;

    for (; p < d->digits_end && (*p == '0' || *p == '.'); p++)
        d->n_digits -= *p == '0';
    if (d->n_digits <= MANTISSA_DIGITS)
        return; /* zeros in front did not make the mantissa wrap */
    for (d->mantissa = 0; taken < MANTISSA_DIGITS; p++) {
        if (*p == '.')
            continue;
        d->mantissa = d->mantissa * 10 + (uint64_t)(*p - '0');
        taken++;
    }
    d->exponent += (int64_t)(d->n_digits - MANTISSA_DIGITS);
}

/* The grammar of RFC 8259, section 6. The end of the number, or NULL if there is none. */
static const char *read_decimal(const char *p, const char *end, struct decimal *d)
{
    const char *point;
    int64_t exponent = 0;

    d->negative = p < end && *p == '-';
    p += d->negative;
    d->digits = p;
    d->mantissa = 0;
    d->exponent = 0;
    if (p < end && *p == '0')
        p++;
    else
        p = read_digits(p, end, &d->mantissa);
    d->n_digits = (size_t)(p - d->digits);
    if (d->n_digits == 0)
        return NULL;
    if (p < end && *p == '.') {
        point = p + 1;
        p = read_digits(point, end, &d->mantissa);
        if (p == point)
            return NULL;
        d->n_digits += (size_t)(p - point);
        d->exponent = point - p;
    }
    d->digits_end = p;
    if (d->n_digits > MANTISSA_DIGITS)
        shorten(d);
    if (p < end && (*p == 'e' || *p == 'E'))
        p = read_exponent(p + 1, end, &exponent);
    d->exponent += exponent;
    return p;
}

/* The proven way; false where the proof at the top of this file does not hold. */
static bool by_double(const struct decimal *d, float *out)
{
    uint64_t bits;
    double value;

    if (d->exponent < MIN_POWER || d->exponent > MAX_POWER)
        return false;
    value = (double)d->mantissa * powers[d->exponent - MIN_POWER];
    if (!(value >= (double)FLT_MIN && value <= (double)FLT_MAX))
        return false;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x1fffffff) - (0x10000000 - 4) <= 8)
        return false;
    *out = (float)value;
    return true;
}

/* The exact way. A midpoint between float32s has at most 113 significant digits, so of the digits
 * after the 120th it matters only whether any is not 0. The text for strtof has no point, hence
 * does not depend on the locale. */
static float by_strtof(const struct decimal *d)
{
    enum { KEPT = 120 };
    char text[KEPT + 32];
    const char *p = d->digits;
    const int64_t n_digits = (int64_t)d->n_digits;
    const int64_t dropped = n_digits > MANTISSA_DIGITS ? n_digits - MANTISSA_DIGITS : 0;
    int64_t exponent = d->exponent - dropped; /* of the last digit in the text */
    size_t n = 0;
    bool more = false;

    while (p < d->digits_end && (*p == '0' || *p == '.'))
        p++;
    for (; p < d->digits_end; p++) {
        if (*p == '.')
            continue;
        if (n < KEPT)
            text[n++] = *p;
        else {
            more = more || *p != '0';
            exponent++;
        }
    }
    /* The first digit is not 0: 10^(n + exponent - 1) <= value < 10^(n + exponent). */
    if ((int64_t)n + exponent > FLT_MAX_10_EXP + 1)
        return HUGE_VALF;
    if ((int64_t)n + exponent < -45) /* under 10^-46, and half the least subnormal is 7e-46 */
        return 0;
    if (more) {
        text[n++] = '1';
        exponent--;
    }
    snprintf(text + n, sizeof text - n, "e%d", (int)exponent);
    return strtof(text, NULL);
}

int moed_wire_read_f32(const char **at, const char *end, float *out)
{
    struct decimal d;
    const char *after = read_decimal(*at, end, &d);
    float value = 0;

    if (after == NULL)
        return MOED_E_MALFORMED;
    if (d.mantissa != 0 && !by_double(&d, &value))
        value = by_strtof(&d);
    if (isinf(value))
        return MOED_E_UNPROCESSABLE;
    *out = d.negative ? -value : value;
    *at = after;
    return 0;
}
