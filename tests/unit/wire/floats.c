/* floats: where float32 changes its step, and everywhere else at random. */
#include "floats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/random.h"

#define EXPONENT 0x7f800000U

float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

uint32_t bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

uint64_t random_count(int argc, char **argv)
{
    return argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
}

static void both_signs(uint32_t bits, void (*check)(float value))
{
    if (bits < EXPONENT) {
        check(float_of_bits(bits));
        check(float_of_bits(bits | 0x80000000U));
    }
}

void for_each_boundary(void (*check)(float value))
{
    for (uint32_t exponent = 0; exponent < 255; exponent++)
        for (uint32_t near = 0; near < 8; near++) {
            both_signs(exponent << 23 | near, check);
            both_signs(exponent << 23 | (0x7fffff - near), check);
            both_signs(exponent << 23 | (0x400000 + near), check);
        }
    for (uint32_t bit = 0; bit < 23; bit++)
        both_signs(1U << bit, check);
    for (int power = -45; power <= 38; power++)
        for (int factor = 1; factor < 10; factor++) {
            const uint32_t bits = bits_of_float((float)(factor * pow(10, power)));

            for (uint32_t near = 0; near < 5; near++)
                both_signs(bits + near - (bits > 2 ? 2 : 0), check);
        }
    for (uint32_t integer = 0; integer < 70000; integer++)
        check((float)integer);
    for (uint32_t integer = (1 << 24) - 100; integer < (1 << 24) + 100; integer++)
        check((float)integer);
}

void for_each_random(uint64_t count, void (*check)(float value))
{
    struct moed_random random;

    moed_random_seed(&random, 42);
    while (count > 0) {
        const uint32_t bits = (uint32_t)moed_random_u64(&random);

        if ((bits & EXPONENT) == EXPONENT)
            continue;
        check(float_of_bits(bits));
        count--;
    }
}
