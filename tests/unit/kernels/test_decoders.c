/* Every decoder gives, bit for bit, what the second form gives, on random blocks. */
#include "kernels/formats.h"
#include "kernels/grids.h"
#include "second_decoder.h"

#include "src/base/base.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCKS = 3000, CHUNK = 3, MAX_BLOCK = 256, MAX_BYTES = 210 };

static bool same(float a, float b)
{
    uint32_t bits[2];

    memcpy(&bits[0], &a, sizeof(a));
    memcpy(&bits[1], &b, sizeof(b));
    return (isnan(a) && isnan(b)) || bits[0] == bits[1];
}

static void random_bytes(struct moed_random *random, uint8_t *dst, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        dst[i] = (uint8_t)moed_random_below(random, 256);
    }
}

/* Several blocks a call, at an odd address: a decoder must find the next block, and needs no
 * alignment. Random scales include infinities, NaN and subnormals. */
static void check_format(const struct second_format *second, struct moed_random *random)
{
    const struct moed_format *format = moed_format_by_id(second->id);
    uint8_t bytes[1 + CHUNK * MAX_BYTES];
    float values[CHUNK * MAX_BLOCK];
    const uint32_t n = format->block;

    assert_true(n <= MAX_BLOCK && format->bytes <= MAX_BYTES);
    for (int round = 0; round < BLOCKS / CHUNK; round++) {
        random_bytes(random, bytes, sizeof(bytes));
        format->decode(bytes + 1, values, (size_t)CHUNK * n);
        for (uint32_t i = 0; i < CHUNK * n; i++) {
            const uint8_t *block = bytes + 1 + (size_t)(i / n) * format->bytes;
            const float expected = second->value(block, (int)(i % n));

            if (!same(values[i], expected)) {
                fail_msg("%s: element %u of a random block is %a, the second form says %a",
                         format->name, i % n, (double)values[i], (double)expected);
            }
        }
    }
}

static void test_all_formats(void **state)
{
    struct moed_random random;

    (void)state;
    moed_random_seed(&random, 20);
    for (const struct second_format *second = second_formats; second->name != NULL; second++) {
        if (second->value != NULL) {
            check_format(second, &random);
        }
    }
}

/* All scale bytes of the two formats with scales of one byte, each with all codes. */
static void test_byte_scales(void **state)
{
    (void)state;
    for (const struct second_format *second = second_formats; second->name != NULL; second++) {
        const struct moed_format *format = moed_format_by_id(second->id);
        const size_t scales = second->id == 39 ? 1 : second->id == 40 ? 4 : 0;
        uint8_t block[MAX_BYTES];
        float values[MAX_BLOCK];

        for (size_t i = 0; i < MAX_BYTES; i++) {
            block[i] = (uint8_t)(i * 0x11);
        }
        for (int scale = 0; scales > 0 && scale < 256; scale++) {
            memset(block, scale, scales);
            format->decode(block, values, format->block);
            for (uint32_t i = 0; i < format->block; i++) {
                assert_true(same(values[i], second->value(block, (int)i)));
            }
        }
    }
}

static void check_grid(const uint16_t *grid, size_t entries, int bits, const int8_t *levels,
                       const char *expected)
{
    struct moed_sha256 hash;
    char hex[65];

    moed_sha256_init(&hash);
    for (size_t e = 0; e < entries; e++) {
        for (int j = 0; j < (bits == 2 ? 8 : 4); j++) {
            moed_sha256_update(&hash, &levels[(grid[e] >> (bits * j)) & ((1 << bits) - 1)], 1);
        }
    }
    moed_sha256_final(&hash, hex);
    assert_string_equal(hex, expected);
}

/* The hashes are of the published code books, one byte a value, in order. */
static void test_grids(void **state)
{
    static const int8_t iq1[4] = {-1, 0, 1, 99};
    static const int8_t iq2[4] = {8, 25, 43, 99};
    static const int8_t iq3_xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    static const int8_t iq3_s[8] = {1, 3, 5, 7, 9, 11, 13, 15};

    (void)state;
    check_grid(moed_grid_iq2_xxs, 256, 2, iq2,
               "05826b5d3e472a3a78f196be62ac78acf81df0f909626e12ab9fa2a5d490dd54");
    check_grid(moed_grid_iq2_xs, 512, 2, iq2,
               "06e47aaca60b4dc1d9b5a3f34540437058a6b142b4d7a59d5ded769b4d1bf1de");
    check_grid(moed_grid_iq2_s, 1024, 2, iq2,
               "e1aa1473412b0552c2174c30ef22ab4073f6a181b85a17056e8249bd2932fd88");
    check_grid(moed_grid_iq3_xxs, 256, 3, iq3_xxs,
               "46e35f5a997efdee6c99ce57854c8a0d4f0ff8ca57e5e8a60c0793ea580acf5d");
    check_grid(moed_grid_iq3_s, 512, 3, iq3_s,
               "bd1af4945a1717c65610b0284e4628b9a1ba3b306fae3a06f6e5f597356e349f");
    check_grid(moed_grid_iq1_s, 2048, 2, iq1,
               "07540ffc1aeaf6ad4d97e96b0fcc765aae39671d4ae4a27bbd0e796fde167c6a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_formats),
        cmocka_unit_test(test_byte_scales),
        cmocka_unit_test(test_grids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
