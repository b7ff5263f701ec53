/* utf8: the one place that knows which byte sequences are UTF-8. */
#include "utf8.h"

#include "src/base/base.h"

#include <stdint.h>
#include <string.h>

/* Lowest code point that needs a sequence of this many bytes. */
static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};

size_t moed_utf8_length(const char *s)
{
    const unsigned char first = (unsigned char)s[0];
    size_t length;
    uint32_t point;

    if (first < 0x80)
        return 1;
    if (first >= 0xC0 && first < 0xE0) {
        length = 2;
        point = first & 0x1FU;
    } else if (first >= 0xE0 && first < 0xF0) {
        length = 3;
        point = first & 0x0FU;
    } else if (first >= 0xF0 && first < 0xF8) {
        length = 4;
        point = first & 0x07U;
    } else {
        return 0;
    }

    /* A NUL is no continuation byte, so this never walks past the end. */
    for (size_t i = 1; i < length; i++) {
        const unsigned char next = (unsigned char)s[i];

        if ((next & 0xC0U) != 0x80U)
            return 0;
        point = (point << 6) | (next & 0x3FU);
    }
    if (point < lowest[length] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
        return 0;
    return length;
}

bool moed_is_utf8(const char *text)
{
    size_t length;

    while (*text != '\0' && (length = moed_utf8_length(text)) > 0)
        text += length;
    return *text == '\0';
}

bool moed_utf8_is_control(const char *s)
{
    const unsigned char first = (unsigned char)s[0];

    return first < 0x20 || first == 0x7F || (first == 0xC2 && (unsigned char)s[1] < 0xA0);
}

static bool is_space(char c)
{
    return c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

/* Bytes of a sequence that ends before `end` and is fit to be shown, or 0. */
static size_t shown_length(const char *s, const char *end)
{
    char whole[5] = {0}; /* the text may end without a NUL, and have one within */
    const size_t left = (size_t)(end - s);
    size_t length;

    memcpy(whole, s, left < 4 ? left : 4);
    length = whole[0] != '\0' ? moed_utf8_length(whole) : 0;
    return length > 0 && !moed_utf8_is_control(whole) ? length : 0;
}

size_t moed_clean_text(char *dst, const char *src, size_t length)
{
    static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
    const char *end = src + length;
    char *at = dst;

    while (src < end) {
        const size_t good = shown_length(src, end);

        if (good > 0) {
            memcpy(at, src, good);
            at += good;
        } else if (is_space(*src)) {
            *at++ = ' ';
        } else {
            memcpy(at, replacement, 3);
            at += 3;
        }
        src += good > 0 ? good : 1;
    }
    *at = '\0';
    return (size_t)(at - dst);
}
