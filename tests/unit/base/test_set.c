/* Sets: their runs, and their text where there is room and where there is not. */
#include "src/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool in_text(const void *of, uint32_t number)
{
    return ((const char *)of)[number] == 'x';
}

static struct moed_set set_of(const char *text)
{
    return (struct moed_set){in_text, text, (uint32_t)strlen(text)};
}

static void runs_come_in_order(void **state)
{
    const struct moed_set set = set_of(".xx..x.xxx");
    static const uint32_t expected[][2] = {{1, 2}, {5, 5}, {7, 9}};
    uint32_t first = 0, last = 0;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(expected); i++, first = last + 1) {
        assert_true(moed_set_run(&set, &first, &last));
        assert_int_equal(first, expected[i][0]);
        assert_int_equal(last, expected[i][1]);
    }
    assert_false(moed_set_run(&set, &first, &last));
}

static void texts(void **state)
{
    static const struct {
        const char *set, *text;
    } cases[] = {
        {"", ""}, {"....", ""}, {"x", "0"}, {"xxxx", "0-3"}, {"x.xx....x", "0, 2-3, 8"},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        const struct moed_set set = set_of(cases[i].set);

        moed_set_print(&set, out, sizeof out);
        assert_string_equal(out, cases[i].text);
    }
}

static void a_long_text_is_cut(void **state)
{
    const struct moed_set set = set_of(
        "x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x."
        "x");
    char out[65];

    (void)state;
    memset(out, '!', sizeof out);
    moed_set_print(&set, out, 64);
    assert_true(strlen(out) < 64);
    assert_string_equal(out + strlen(out) - strlen(", …"), ", …");
    assert_memory_equal(out, "0, 2, 4, 6, ", 12);
    assert_int_equal(out[64], '!');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_come_in_order),
        cmocka_unit_test(texts),
        cmocka_unit_test(a_long_text_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
