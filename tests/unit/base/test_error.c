/* Errors: the table, messages that fit and can be printed, context put in front. */
#include "src/base/error.h"

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

/* Numbers that programs were compiled with, and that lanes send: a row may be appended, none may
 * change. */
static void test_numbers_are_pinned(void **state)
{
    static const struct {
        int code, number;
        const char *name;
    } pinned[] = {
        {MOED_E_MALFORMED, -1, "malformed"},
        {MOED_E_SHAPE, -2, "wrong_shape"},
        {MOED_E_UNAUTHORIZED, -3, "unauthorized"},
        {MOED_E_NOT_FOUND, -4, "not_found"},
        {MOED_E_METHOD, -5, "method_not_allowed"},
        {MOED_E_BODY_TIMEOUT, -6, "body_timeout"},
        {MOED_E_LENGTH_REQUIRED, -7, "length_required"},
        {MOED_E_TOO_LARGE, -8, "too_large"},
        {MOED_E_MEDIA_TYPE, -9, "unsupported_media_type"},
        {MOED_E_NOT_SERVED, -10, "layer_not_served"},
        {MOED_E_NO_EXPERT, -11, "expert_not_served"},
        {MOED_E_UNPROCESSABLE, -12, "unprocessable"},
        {MOED_E_NOT_FINITE, -13, "not_finite"},
        {MOED_E_QUEUE_FULL, -14, "queue_full"},
        {MOED_E_CONNECTIONS, -15, "too_many_connections"},
        {MOED_E_CANCELLED, -16, "cancelled"},
        {MOED_E_INTERNAL, -17, "internal"},
        {MOED_E_WEIGHTS, -18, "weights_not_finite"},
        {MOED_E_NO_MEMORY, -19, "out_of_memory"},
        {MOED_E_IO, -20, "io_error"},
        {MOED_E_BAD_FILE, -21, "bad_file"},
        {MOED_E_UNSUPPORTED, -22, "unsupported"},
        {MOED_E_USAGE, -23, "usage"},
        {MOED_E_LEFT_OUT, -24, "not_implemented"},
        {MOED_E_LOADING, -25, "loading"},
        {MOED_E_DEVICE, -26, "device_failed"},
        {MOED_E_DRAINING, -27, "draining"},
        {MOED_E_STUCK, -28, "stuck"},
        {MOED_E_DEADLINE, -29, "deadline"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
        assert_int_equal(pinned[i].code, pinned[i].number);
        assert_string_equal(moed_error_name(pinned[i].number), pinned[i].name);
    }
    assert_int_equal(MOED_ERROR_COUNT, 1 + sizeof pinned / sizeof pinned[0]); /* pin new ones */
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
        cmocka_unit_test(test_table),         cmocka_unit_test(test_numbers_are_pinned),
        cmocka_unit_test(test_unknown_codes), cmocka_unit_test(test_fail),
        cmocka_unit_test(test_long_message),  cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
