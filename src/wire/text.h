/* text: a buffer that a body is written into; grows geometrically, remembers a failure. */
#ifndef MOED_WIRE_TEXT_H
#define MOED_WIRE_TEXT_H

#include "src/base/base.h"

struct text {
    char *data;
    size_t size, capacity;
    bool failed; /* no memory: all later writes are dropped */
};

/* Room for `size` more bytes at the end, to be claimed with text_advance; NULL without memory. */
char *text_reserve(struct text *text, size_t size);
void text_advance(struct text *text, size_t size);

/* Bytes as they are. */
void text_put(struct text *text, const void *data, size_t size);
/* Envelope: short, formatted. */
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
