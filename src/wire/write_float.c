/* write_float: the shortest decimal that reads back to the same float32, and of those of that
 * length the closest: the method of Raffaello Giulietti, "The Schubfach way to render doubles"
 * (2020), worked out for binary32.
 *
 * A float v = c 2^q is what every decimal in the interval [(c - 1/2) 2^q, (c + 1/2) 2^q] rounds to
 * (ends included when c is even; the lower half is half as wide when c is a power of two). With k
 * the largest power for which 10^k fits the interval's width, at least one multiple of 10^k lies
 * in it, and at most one of 10^(k+1), which is shorter if it exists. All comparisons happen in
 * quarters of 10^k, on integers: a bound x becomes floor(4 x 10^-k), its lowest bit set if that
 * was not exact ("round to odd"), which keeps every order that matters. */
#include "src/wire/wire.h"
#include <string.h>

#define MIN_POWER (-31) /* of the table: -k for the largest float32 and the least */
#define MAX_POWER 45

/* floor(10^p 2^-(floor(log2 10^p) - 63)) + 1 for p = -31 ... 45; tests compute it again. */
const uint64_t moed_wire_powers_of_ten[MAX_POWER - MIN_POWER + 1] = {
    0x81ceb32c4b43fcf5, 0xa2425ff75e14fc32, 0xcad2f7f5359a3b3f, 0xfd87b5f28300ca0e,
    0x9e74d1b791e07e49, 0xc612062576589ddb, 0xf79687aed3eec552, 0x9abe14cd44753b53,
    0xc16d9a0095928a28, 0xf1c90080baf72cb2, 0x971da05074da7bef, 0xbce5086492111aeb,
    0xec1e4a7db69561a6, 0x9392ee8e921d5d08, 0xb877aa3236a4b44a, 0xe69594bec44de15c,
    0x901d7cf73ab0acda, 0xb424dc35095cd810, 0xe12e13424bb40e14, 0x8cbccc096f5088cc,
    0xafebff0bcb24aaff, 0xdbe6fecebdedd5bf, 0x89705f4136b4a598, 0xabcc77118461cefd,
    0xd6bf94d5e57a42bd, 0x8637bd05af6c69b6, 0xa7c5ac471b478424, 0xd1b71758e219652c,
    0x83126e978d4fdf3c, 0xa3d70a3d70a3d70b, 0xcccccccccccccccd, 0x8000000000000001,
    0xa000000000000001, 0xc800000000000001, 0xfa00000000000001, 0x9c40000000000001,
    0xc350000000000001, 0xf424000000000001, 0x9896800000000001, 0xbebc200000000001,
    0xee6b280000000001, 0x9502f90000000001, 0xba43b74000000001, 0xe8d4a51000000001,
    0x9184e72a00000001, 0xb5e620f480000001, 0xe35fa931a0000001, 0x8e1bc9bf04000001,
    0xb1a2bc2ec5000001, 0xde0b6b3a76400001, 0x8ac7230489e80001, 0xad78ebc5ac620001,
    0xd8d726b7177a8001, 0x878678326eac9001, 0xa968163f0a57b401, 0xd3c21bcecceda101,
    0x84595161401484a1, 0xa56fa5b99019a5c9, 0xcecb8f27f4200f3b, 0x813f3978f8940985,
    0xa18f07d736b90be6, 0xc9f2c9cd04674edf, 0xfc6f7c4045812297, 0x9dc5ada82b70b59e,
    0xc5371912364ce306, 0xf684df56c3e01bc7, 0x9a130b963a6c115d, 0xc097ce7bc90715b4,
    0xf0bdc21abb48db21, 0x96769950b50d88f5, 0xbc143fa4e250eb32, 0xeb194f8e1ae525fe,
    0x92efd1b8d0cf37bf, 0xb7abc627050305ae, 0xe596b7b0c643c71a, 0x8f7e32ce7bea5c70,
    0xb35dbf821ae4f38c,
};

/* digits x 10^exponent */
struct decimal {
    uint32_t digits;
    int exponent;
};

/* floor(log2 10^e), floor(log10 2^e), floor(log10 (3/4 2^e)) for every e that comes up here. */
static int floor_log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}

static int floor_log10_pow2(int e)
{
    return (e * 1262611) >> 22;
}

static int floor_log10_three_quarters_pow2(int e)
{
    return (e * 1262611 - 524031) >> 22;
}

/* floor(g x / 2^64), made odd if anything is cut off. g is too large by less than 1, so a product
 * that should end in 64 zero bits ends in less than 2^32. */
static uint32_t multiply_round_to_odd(uint64_t g, uint32_t x)
{
    const unsigned __int128 product = (unsigned __int128)g * x;
    const uint32_t cut = (uint32_t)((uint64_t)product >> 32);

    return (uint32_t)(product >> 64) | (cut > 1);
}

/* c and q as above, c > 0. */
static struct decimal shortest(uint32_t c, int q, bool power_of_two)
{
    const int k = power_of_two ? floor_log10_three_quarters_pow2(q) : floor_log10_pow2(q);
    const int h = q + floor_log2_pow10(-k) + 1;
    const uint64_t g = moed_wire_powers_of_ten[-k - MIN_POWER];
    const uint32_t open = c & 1; /* an odd c does not own the ends of its interval */
    const uint32_t low = multiply_round_to_odd(g, (4 * c - (power_of_two ? 1 : 2)) << h) + open;
    const uint32_t mid = multiply_round_to_odd(g, (4 * c) << h);
    const uint32_t high = multiply_round_to_odd(g, (4 * c + 2) << h) - open;
    const uint32_t s = mid / 4; /* s 10^k <= v < (s + 1) 10^k */

    if (s >= 10) {
        const uint32_t tens = s / 10;
        const bool below = low <= 40 * tens;
        const bool above = 40 * tens + 40 <= high;

        if (below != above)
            return (struct decimal){.digits = tens + above, .exponent = k + 1};
    }

    const bool below = low <= 4 * s;
    const bool above = 4 * s + 4 <= high;
    const uint32_t half = 4 * s + 2;

    if (below != above)
        return (struct decimal){.digits = s + above, .exponent = k};
    return (struct decimal){.digits = s + (mid > half || (mid == half && (s & 1))), .exponent = k};
}

/* `digits` < 10^9 right-aligned in nine characters; returns how many of them are zeros in front. */
static unsigned write_digits(uint32_t digits, char out[9])
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324"
        "25262728293031323334353637383940414243444546474849"
        "50515253545556575859606162636465666768697071727374"
        "75767778798081828384858687888990919293949596979899";
    const uint32_t high = digits / 10000, low = digits % 10000;
    const uint32_t top = high / 10000, middle = high % 10000;
    unsigned zeros = 0;

    out[0] = (char)('0' + top);
    memcpy(out + 1, pairs + (size_t)2 * (middle / 100), 2);
    memcpy(out + 3, pairs + (size_t)2 * (middle % 100), 2);
    memcpy(out + 5, pairs + (size_t)2 * (low / 100), 2);
    memcpy(out + 7, pairs + (size_t)2 * (low % 100), 2);
    while (zeros < 8 && out[zeros] == '0')
        zeros++;
    return zeros;
}

/* 1.2e10: `n` digits, the point after the first of `point` that stand before it. */
static size_t write_scientific(const char *digits, int n, int point, char *out)
{
    const int exponent = point - 1, magnitude = exponent < 0 ? -exponent : exponent;
    char *p = out;

    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)(n - 1));
        p += n - 1;
    }
    *p++ = 'e';
    if (exponent < 0)
        *p++ = '-';
    if (magnitude >= 10)
        *p++ = (char)('0' + magnitude / 10);
    *p++ = (char)('0' + magnitude % 10);
    return (size_t)(p - out);
}

/* 0.00012, 1.2 or 120 */
static size_t write_plain(const char *digits, int n, int point, char *out)
{
    if (point <= 0) {
        const int zeros = 2 - point; /* "0." among them */

        memset(out, '0', (size_t)zeros);
        out[1] = '.';
        memcpy(out + zeros, digits, (size_t)n);
        return (size_t)zeros + (size_t)n;
    }
    if (point >= n) {
        memcpy(out, digits, (size_t)n);
        memset(out + n, '0', (size_t)(point - n));
        return (size_t)point;
    }
    memcpy(out, digits, (size_t)point);
    out[point] = '.';
    memcpy(out + point + 1, digits + point, (size_t)(n - point));
    return (size_t)n + 1;
}

/* Plain for 10^-5 <= value < 10^9. */
static size_t write_decimal(struct decimal d, char *out)
{
    char text[9];

    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }

    const char *first = text + write_digits(d.digits, text);
    const int n = (int)(text + sizeof text - first);
    const int point = n + d.exponent; /* digits before the decimal point */

    return point < -4 || point > 9 ? write_scientific(first, n, point, out)
                                   : write_plain(first, n, point, out);
}

size_t moed_wire_write_f32(float value, char *out)
{
    uint32_t bits;
    size_t sign = 0;

    memcpy(&bits, &value, sizeof bits);

    const uint32_t fraction = bits & 0x7fffff;
    const int exponent = (int)(bits >> 23 & 0xff);

    if (bits >> 31)
        out[sign++] = '-';
    if (exponent == 0 && fraction == 0) {
        /* Readers that take "-0" for an integer would lose the sign. */
        memset(out + sign, '0', 3);
        out[sign + 1] = '.';
        return sign + (sign == 0 ? 1 : 3);
    }

    const struct decimal d = exponent == 0 ? shortest(fraction, -149, false)
                                           : shortest(fraction | 0x800000, exponent - 150,
                                                      fraction == 0 && exponent > 1);

    return sign + write_decimal(d, out + sign);
}
