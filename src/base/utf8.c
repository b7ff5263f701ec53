/* utf8: the one place that knows which byte sequences are UTF-8. */
#include "utf8.h"

#include "src/base/base.h"

#include <stdint.h>

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
