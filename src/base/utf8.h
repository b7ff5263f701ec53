/* utf8: text from outside, made fit for one line of a message or a log. Furniture of base. */
#ifndef MOED_BASE_UTF8_H
#define MOED_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed UTF-8 sequence at `s` (RFC 3629: no overlong forms, no surrogates),
 * or 0 if it is malformed. `s` is NUL-terminated and *s is not NUL. */
size_t moed_utf8_length(const char *s);

/* Whether the sequence at `s` is a control character: C0, DEL, or C1, which begins an escape
 * sequence in one code point. */
bool moed_utf8_is_control(const char *s);

#endif
