/* Text from outside: what is left as it is, and what U+FFFD takes the place of. */
#include "src/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define FFFD "\xEF\xBF\xBD"

static void cleaned(const char *text, size_t length, const char *expected)
{
    char out[256], whole[64];

    /* Not terminated: the text ends where its length says. */
    memset(whole, 'x', sizeof whole);
    memcpy(whole, text, length);
    assert_int_equal(moed_clean_text(out, whole, length), strlen(expected));
    assert_string_equal(out, expected);
    assert_true(moed_is_utf8(out));
}

#define CLEANED(text, expected) cleaned(text, sizeof(text) - 1, expected)

static void text_stays(void **state)
{
    (void)state;
    CLEANED("", "");
    CLEANED("Qwen3 30B", "Qwen3 30B");
    CLEANED("\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x99\x82", "\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x99\x82");
}

static void malformed_bytes_are_replaced(void **state)
{
    (void)state;
    CLEANED("a\xFFz", "a" FFFD "z");
    CLEANED("\x80\xBF", FFFD FFFD);
    CLEANED("\xC0\xAF", FFFD FFFD);               /* overlong */
    CLEANED("\xED\xA0\x80", FFFD FFFD FFFD);      /* a surrogate */
    CLEANED("ab\xE6\x97", "ab" FFFD FFFD);        /* cut short by the end */
    CLEANED("\xF0\x9F\x99!", FFFD FFFD FFFD "!"); /* cut short by text */
}

static void controls_are_replaced(void **state)
{
    (void)state;
    CLEANED("a\0b", "a" FFFD "b");
    CLEANED("\x1B]0;title\x07", FFFD "]0;title" FFFD);
    CLEANED("\x7F", FFFD);
    CLEANED(
        "\xC2\x9B"
        "31m",
        FFFD FFFD "31m"); /* CSI in one code point */
    CLEANED("\xC2\xA0", "\xC2\xA0");
    CLEANED("two\nlines\tand\r", "two lines and ");
}

/* Messages hold what is quoted in them, and must not move the cursor either. */
static void messages_hold_no_escapes(void **state)
{
    struct moed_error err;

    (void)state;
    moed_fail(&err, MOED_E_USAGE, "%s",
              "a\x1B[2J\xC2\x9B"
              "2Jz");
    assert_string_equal(err.message, "a?[2J??2Jz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stays),
        cmocka_unit_test(malformed_bytes_are_replaced),
        cmocka_unit_test(controls_are_replaced),
        cmocka_unit_test(messages_hold_no_escapes),
    };

    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
