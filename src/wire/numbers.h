/* numbers: arrays of numbers as JSON text, written number by number into one buffer. */
#ifndef MOED_WIRE_NUMBERS_H
#define MOED_WIRE_NUMBERS_H

#include "src/wire/wire.h"

#include "text.h"

/* "[0.5,-3]", brackets included. Floats must be finite; `data` of floats at any alignment. */
void text_floats(struct text *text, enum moed_dtype dtype, const void *data, size_t count);
void text_ints(struct text *text, const int32_t *data, size_t count);

#endif
