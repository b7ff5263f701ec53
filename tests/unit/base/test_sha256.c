/* sha256: the examples of FIPS 180-4, and any way of cutting the input into updates. */
#include "src/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const void *data, size_t size, const char *expected)
{
    struct moed_sha256 hash;
    char hex[65];

    moed_sha256_init(&hash);
    moed_sha256_update(&hash, data, size);
    moed_sha256_final(&hash, hex);
    assert_string_equal(hex, expected);
}

static void test_examples(void **state)
{
    char *many = malloc(1000000);

    (void)state;
    assert_non_null(many);
    memset(many, 'a', 1000000);
    check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check(many, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(many);
}

/* Every length around the block's edges, whole and byte by byte and in sevens. */
static void test_pieces(void **state)
{
    uint8_t data[200];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 37);
    }
    for (size_t size = 0; size <= sizeof(data); size++) {
        char whole[65];
        struct moed_sha256 hash;

        moed_sha256_init(&hash);
        moed_sha256_update(&hash, data, size);
        moed_sha256_final(&hash, whole);
        for (size_t piece = 1; piece <= 7; piece += 6) {
            char pieces[65];

            moed_sha256_init(&hash);
            for (size_t at = 0; at < size; at += piece) {
                moed_sha256_update(&hash, data + at, size - at < piece ? size - at : piece);
            }
            moed_sha256_final(&hash, pieces);
            assert_string_equal(pieces, whole);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
