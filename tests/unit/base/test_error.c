/* Errors: the table, messages that fit and can be printed, context put in front. */
#include <moed/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(moed_error_info(MOED_E_QUEUE_FULL)->code, "queue_full");
    assert_int_equal(moed_error_info(MOED_E_QUEUE_FULL)->http, 429);
    assert_string_equal(moed_error_info(MOED_E_MALFORMED)->title, "Malformed request");
    assert_int_equal(moed_error_info(MOED_E_DEADLINE)->http, 504);
    assert_int_equal(moed_error_info(MOED_OK)->http, 200);
    for (int code = -1; code > -(int)MOED_ERROR_COUNT; code--) {
        assert_true(strlen(moed_error_info(code)->code) > 0);
        assert_in_range(moed_error_info(code)->http, 400, 504);
    }
}

static void test_unknown_codes(void **state)
{
    const int codes[] = {1, 200, -(int)MOED_ERROR_COUNT, -10000};

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_string_equal(moed_error_info(codes[i])->code, "internal");
    }
}

static void test_fail(void **state)
{
    struct moed_error err = {0};

    (void)state;
    assert_int_equal(moed_fail(&err, MOED_E_SHAPE, "found %d, expected %d", 3, 4), MOED_E_SHAPE);
    assert_int_equal(err.code, MOED_E_SHAPE);
    assert_string_equal(err.message, "found 3, expected 4");
    assert_int_equal(moed_fail(NULL, MOED_E_IO, "nobody listens"), MOED_E_IO);
}

static void test_long_message(void **state)
{
    struct moed_error err;
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    moed_fail(&err, MOED_E_IO, "%s", text);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);

    /* A character of two bytes across the cut does not leave half of itself. */
    memcpy(text + sizeof(err.message) - 2, "\xC3\xA9", 2);
    moed_fail(&err, MOED_E_IO, "%s", text);
    assert_int_equal(err.message[sizeof(err.message) - 2], '?');
}

static void test_hostile_names(void **state)
{
    static const struct {
        const char *name, *printed;
    } cases[] = {
        {"a\nb\tc\x1b[31m\x7f", "a?b?c?[31m?"},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"\xFFx\x80", "?x?"},
        {"\xC0\xAF", "??"},           /* overlong */
        {"\xE0\x80\x80", "???"},      /* overlong */
        {"\xED\xA0\x80", "???"},      /* surrogate */
        {"\xF4\x90\x80\x80", "????"}, /* past U+10FFFF */
        {"\xF8\x88\x80\x80\x80", "?????"},
        {"\xE2\x82", "??"}, /* cut short */
        {"\xC3(", "?("},
    };
    struct moed_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        moed_fail(&err, MOED_E_BAD_FILE, "%s", cases[i].name);
        assert_string_equal(err.message, cases[i].printed);
    }
}

static void test_prefix(void **state)
{
    struct moed_error err;
    char text[2000];

    (void)state;
    moed_fail(&err, MOED_E_BAD_FILE, "version 9, expected 2 or 3");
    assert_int_equal(moed_error_prefix(&err, "%s", "model.gguf"), MOED_E_BAD_FILE);
    assert_string_equal(err.message, "model.gguf: version 9, expected 2 or 3");
    assert_int_equal(err.code, MOED_E_BAD_FILE);

    memset(text, 'p', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    moed_error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    assert_true(moed_error_prefix(NULL, "nobody listens") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),         cmocka_unit_test(test_unknown_codes),
        cmocka_unit_test(test_fail),          cmocka_unit_test(test_long_message),
        cmocka_unit_test(test_hostile_names), cmocka_unit_test(test_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
