/* base64: the vectors of RFC 4648, section 10, every byte, and what must be refused. */
#include "cmocka_all.h"

#include "src/wire/wire.h"
#include <stdlib.h>
#include <string.h>

static void test_vectors(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(pairs); i++) {
        const char *plain = pairs[i][0], *coded = pairs[i][1];
        char text[16] = "", bytes[16] = "";
        size_t size = 99;

        assert_int_equal(moed_base64_encoded_size(strlen(plain)), strlen(coded));
        moed_base64_encode(plain, strlen(plain), text);
        assert_memory_equal(text, coded, strlen(coded));
        assert_true(moed_base64_decode(coded, strlen(coded), bytes, &size));
        assert_int_equal(size, strlen(plain));
        assert_memory_equal(bytes, plain, size);
    }
}

static void test_every_byte_and_length(void **state)
{
    uint8_t bytes[256], back[258];
    char text[344];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 167 + 13);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        const size_t coded = moed_base64_encoded_size(n);
        size_t size = 0;

        moed_base64_encode(bytes, n, text);
        assert_true(moed_base64_decode(text, coded, back, &size));
        assert_int_equal(size, n);
        assert_memory_equal(back, bytes, n);
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "Z",    "Zg",   "Zg=",  "Zm9vY",    "====",     "Z===",   "=Zg=",    "Zg=g",  "Zh==",
        "Zm9=", "Zm 8", "Zm-_", "Zm8=Zm8=", "Zg==Zg==", "Zm9v\n", "Zm9\xc3", "Zm9\"", "Zm9,"};
    char bytes[16];
    size_t size;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(texts); i++)
        if (moed_base64_decode(texts[i], strlen(texts[i]), bytes, &size))
            fail_msg("\"%s\" is not refused", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_byte_and_length),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
