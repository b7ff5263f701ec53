/* A second form of every decoder, by element index, written from the format tables alone. */
#ifndef SECOND_DECODER_H
#define SECOND_DECODER_H

#include <stdint.h>

/* The value of element i of a block of the type with this id; stops the test for other ids. */
float second_decode(uint32_t id, const uint8_t *block, int i);

#endif
