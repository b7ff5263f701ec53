/* base64: RFC 4648, section 4: the standard alphabet, padded. Decoding is strict: no spaces, no
 * missing padding, no bits set that do not reach a byte, so that a text has one meaning. */
#include "src/wire/wire.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a character plus 1; 0 for what is not in the alphabet. */
static const uint8_t values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64};

size_t moed_base64_encoded_size(size_t size)
{
    return (size / 3 + (size % 3 != 0)) * 4;
}

void moed_base64_encode(const void *data, size_t size, char *out)
{
    const uint8_t *in = data;

    for (; size >= 3; size -= 3, in += 3, out += 4) {
        const uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = alphabet[v >> 6 & 63];
        out[3] = alphabet[v & 63];
    }
    if (size == 0)
        return;

    const uint32_t v = (uint32_t)in[0] << 16 | (size == 2 ? (uint32_t)in[1] << 8 : 0);

    out[0] = alphabet[v >> 18];
    out[1] = alphabet[v >> 12 & 63];
    out[2] = (char)(size == 2 ? alphabet[v >> 6 & 63] : '=');
    out[3] = '=';
}

/* Four characters to 24 bits; false if one is not in the alphabet. */
static bool decode_four(const uint8_t *in, uint32_t *out)
{
    const uint32_t a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];

    *out = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
    return a != 0 && b != 0 && c != 0 && d != 0;
}

/* The last group, one or two bytes in it. */
static bool decode_padded(const uint8_t *in, uint8_t *out, size_t bytes)
{
    const uint8_t filled[4] = {in[0], in[1], bytes == 2 ? in[2] : 'A', 'A'};
    uint32_t v;

    if (!decode_four(filled, &v) || (v & (bytes == 2 ? 0xff : 0xffff)) != 0)
        return false;
    out[0] = (uint8_t)(v >> 16);
    if (bytes == 2)
        out[1] = (uint8_t)(v >> 8);
    return true;
}

bool moed_base64_decode(const char *text, size_t size, void *out, size_t *out_size)
{
    const uint8_t *in = (const uint8_t *)text;
    uint8_t *to = out;
    size_t padding = 0;

    *out_size = 0;
    if (size % 4 != 0)
        return false;
    if (size > 0 && in[size - 1] == '=')
        padding = in[size - 2] == '=' ? 2 : 1;
    for (size_t left = padding > 0 ? size - 4 : size; left > 0; left -= 4, in += 4, to += 3) {
        uint32_t v;

        if (!decode_four(in, &v))
            return false;
        to[0] = (uint8_t)(v >> 16);
        to[1] = (uint8_t)(v >> 8);
        to[2] = (uint8_t)v;
    }
    if (padding > 0 && !decode_padded(in, to, 3 - padding))
        return false;
    *out_size = size / 4 * 3 - padding;
    return true;
}
