/* Bodies that came compressed: what zlib wrote, and what a stranger might. */
#include "src/wire/coding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#include <cmocka.h>

enum { PACKED_MAX = 4 << 20, LARGE = 3 << 20 };
enum { ZLIB = 15, RAW = -15, GZIP = 15 + 16 }; /* zlib's "window bits" */

static struct moed_error err;
static uint8_t packed[PACKED_MAX];
static size_t packed_size;
static char *out;
static size_t out_size;

/* Compresses into `packed`, from `at` on. */
static void pack(int bits, const void *data, size_t size, size_t at)
{
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = data;
    z.avail_in = (uInt)size;
    z.next_out = packed + at;
    z.avail_out = (uInt)(sizeof packed - at);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed_size = at + z.total_out;
    deflateEnd(&z);
}

static int unpack(enum moed_coding coding, size_t limit)
{
    const struct moed_inflate how = {.coding = coding, .limit = limit};

    free(out);
    out = NULL;
    return moed_wire_inflate(&how, packed, packed_size, &out, &out_size, &err);
}

static int forget(void **state)
{
    (void)state;
    free(out);
    out = NULL;
    return 0;
}

static char *numbers(size_t size)
{
    char *text = malloc(size);
    unsigned seed = 1;

    assert_non_null(text);
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1103515245U + 12345U;
        text[i] = (char)('0' + (seed >> 16) % 10);
    }
    return text;
}

static void names(void **state)
{
    static const struct {
        const char *name;
        enum moed_coding coding;
    } good[] = {{"gzip", MOED_CODING_GZIP},       {"GZip", MOED_CODING_GZIP},
                {"x-gzip", MOED_CODING_GZIP},     {"deflate", MOED_CODING_DEFLATE},
                {"DEFLATE", MOED_CODING_DEFLATE}, {"identity", MOED_CODING_IDENTITY}};
    static const char *const bad[] = {"",         "br",         "zstd",      "gzip ",
                                      "compress", "gzip, gzip", "x-deflate", "gzipped"};
    enum moed_coding coding;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(good); i++) {
        assert_true(moed_coding_from_name(good[i].name, &coding));
        assert_int_equal(coding, good[i].coding);
    }
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad); i++)
        assert_false(moed_coding_from_name(bad[i], &coding));
}

static void each_format_of_each_size(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, LARGE};
    static const int formats[] = {GZIP, ZLIB, RAW};
    char *text = numbers(LARGE);

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(sizes); i++) {
        for (size_t f = 0; f < MOED_ARRAY_LEN(formats); f++) {
            pack(formats[f], text, sizes[i], 0);
            assert_int_equal(
                unpack(formats[f] == GZIP ? MOED_CODING_GZIP : MOED_CODING_DEFLATE, sizes[i]), 0);
            assert_int_equal(out_size, sizes[i]);
            assert_memory_equal(out, text, sizes[i]);
        }
    }
    free(text);
}

static void gzip_members_follow_each_other(void **state)
{
    (void)state;
    pack(GZIP, "one ", 4, 0);
    pack(GZIP, "", 0, packed_size);
    pack(GZIP, "two", 3, packed_size);
    assert_int_equal(unpack(MOED_CODING_GZIP, 7), 0);
    assert_int_equal(out_size, 7);
    assert_memory_equal(out, "one two", 7);
    assert_int_equal(unpack(MOED_CODING_GZIP, 6), MOED_E_TOO_LARGE); /* of all together */
    pack(ZLIB, "one", 3, 0);
    pack(ZLIB, "two", 3, packed_size);
    assert_int_equal(unpack(MOED_CODING_DEFLATE, 7), MOED_E_MALFORMED);
}

static void a_limit_is_kept_to_the_byte(void **state)
{
    static const size_t sizes[] = {1, 65536, 65537, LARGE};
    char *text = numbers(LARGE);

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(sizes); i++) {
        char expected[32];

        pack(GZIP, text, sizes[i], 0);
        assert_int_equal(unpack(MOED_CODING_GZIP, sizes[i]), 0);
        assert_int_equal(unpack(MOED_CODING_GZIP, sizes[i] - 1), MOED_E_TOO_LARGE);
        snprintf(expected, sizeof expected, " %zu bytes", sizes[i] - 1);
        assert_non_null(strstr(err.message, expected));
        assert_null(out);
    }
    free(text);
}

struct budget {
    size_t left, asked;
};

static int take(void *context, size_t more, struct moed_error *error)
{
    struct budget *budget = context;

    budget->asked++;
    if (more > budget->left)
        return moed_fail(error, MOED_E_QUEUE_FULL, "no room for %zu", more);
    budget->left -= more;
    return 0;
}

static void a_bomb_costs_what_it_may(void **state)
{
    enum { BOMB = 256 << 20, LIMIT = 1 << 20 };
    struct budget budget = {.left = BOMB};
    struct moed_inflate how = {MOED_CODING_GZIP, LIMIT, take, &budget};
    char *zeros = calloc(BOMB, 1);

    (void)state;
    assert_non_null(zeros);
    pack(GZIP, zeros, BOMB, 0);
    free(zeros);
    assert_in_range(packed_size, 1, BOMB / 1000);
    assert_int_equal(moed_wire_inflate(&how, packed, packed_size, &out, &out_size, &err),
                     MOED_E_TOO_LARGE);
    assert_int_equal(BOMB - budget.left, LIMIT + 1);
    budget = (struct budget){.left = LIMIT / 2};
    assert_int_equal(moed_wire_inflate(&how, packed, packed_size, &out, &out_size, &err),
                     MOED_E_QUEUE_FULL);
    assert_string_equal(err.message, "no room for 524288");
    assert_int_equal(budget.asked, 5); /* 64, 64, 128, 256 KiB, and no more */
}

/* However it is cut. */
static void every_beginning_is_too_short(void **state)
{
    static const int formats[] = {GZIP, ZLIB, RAW};
    char *text = numbers(300);

    (void)state;
    for (size_t f = 0; f < MOED_ARRAY_LEN(formats); f++) {
        size_t whole;

        pack(formats[f], text, 300, 0);
        whole = packed_size;
        for (packed_size = 0; packed_size < whole; packed_size++) {
            assert_int_equal(
                unpack(formats[f] == GZIP ? MOED_CODING_GZIP : MOED_CODING_DEFLATE, 1000),
                MOED_E_MALFORMED);
            assert_non_null(strstr(err.message, "ends too early"));
        }
    }
    free(text);
}

static void what_follows_is_garbage(void **state)
{
    static const int formats[] = {GZIP, ZLIB, RAW};
    static const uint8_t garbage[] = {0, 'x', 0x1F};

    (void)state;
    for (size_t f = 0; f < MOED_ARRAY_LEN(formats); f++) {
        for (size_t g = 0; g < MOED_ARRAY_LEN(garbage); g++) {
            pack(formats[f], "text", 4, 0);
            memset(packed + packed_size, garbage[g], 20);
            packed_size += 20;
            assert_int_equal(
                unpack(formats[f] == GZIP ? MOED_CODING_GZIP : MOED_CODING_DEFLATE, 1000),
                MOED_E_MALFORMED);
        }
    }
    pack(GZIP, "text", 4, 0);
    packed[packed_size++] = 'x';
    assert_int_equal(unpack(MOED_CODING_GZIP, 1000), MOED_E_MALFORMED);
    assert_non_null(strstr(err.message, "goes on for 1 bytes after its end"));
}

/* Each bit turned round: an error, or by chance another text, and nothing worse. */
static void damage_is_noticed(void **state)
{
    char *text = numbers(300);
    size_t noticed = 0;

    (void)state;
    pack(GZIP, text, 300, 0);
    for (size_t bit = 0; bit < packed_size * 8; bit++) {
        int rc;

        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        rc = unpack(MOED_CODING_GZIP, 1000);
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (rc == 0)
            assert_memory_equal(out, text, 300); /* the time or the name of the file */
        else
            noticed++;
    }
    assert_true(noticed > packed_size * 7); /* of packed_size * 8 */
    free(text);
}

static void other_formats(void **state)
{
    (void)state;
    memcpy(packed, "{\"layer\": 0}", 12);
    packed_size = 12;
    assert_int_equal(unpack(MOED_CODING_GZIP, 1000), MOED_E_MALFORMED);
    assert_non_null(strstr(err.message, "damaged: incorrect header check"));
    assert_int_equal(unpack(MOED_CODING_DEFLATE, 1000), MOED_E_MALFORMED);
    pack(ZLIB, "text", 4, 0);
    assert_int_equal(unpack(MOED_CODING_GZIP, 1000), MOED_E_MALFORMED);
    memcpy(packed, "\x78\xbb\x00\x00\x00\x01\x03\x00", 8); /* zlib's header asks for a dictionary */
    packed_size = 8;
    assert_int_equal(unpack(MOED_CODING_DEFLATE, 1000), MOED_E_MALFORMED);
    assert_non_null(strstr(err.message, "dictionary"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test_teardown(each_format_of_each_size, forget),
        cmocka_unit_test_teardown(gzip_members_follow_each_other, forget),
        cmocka_unit_test_teardown(a_limit_is_kept_to_the_byte, forget),
        cmocka_unit_test_teardown(a_bomb_costs_what_it_may, forget),
        cmocka_unit_test_teardown(every_beginning_is_too_short, forget),
        cmocka_unit_test_teardown(what_follows_is_garbage, forget),
        cmocka_unit_test_teardown(damage_is_noticed, forget),
        cmocka_unit_test_teardown(other_formats, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
