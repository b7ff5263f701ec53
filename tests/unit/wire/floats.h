/* floats: bit patterns to try the float reader and printer on. */
#ifndef MOED_TEST_FLOATS_H
#define MOED_TEST_FLOATS_H

#include <stdint.h>

float float_of_bits(uint32_t bits);
uint32_t bits_of_float(float value);

/* How many random patterns a test takes: the program's argument, or a million. */
uint64_t random_count(int argc, char **argv);

/* Calls `check` on every float where something changes: zero, the subnormals' ends, each
 * exponent's first and last floats, each power of ten and its neighbours, the largest. */
void for_each_boundary(void (*check)(float value));
/* Calls `check` on `count` finite floats of random bits. */
void for_each_random(uint64_t count, void (*check)(float value));

#endif
