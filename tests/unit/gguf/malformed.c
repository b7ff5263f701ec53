/* malformed: runs a table of files that must be refused. */
#include "malformed.h"

#include <stdlib.h>

static void refuses(void **state)
{
    const struct malformed *wrong = *state;
    struct build b = {0};
    struct moed_gguf *gguf = NULL;
    struct moed_error err = {0};

    wrong->build(&b);
    const int rc = build_open(&b, &gguf, NULL, &err);
    build_free(&b);
    assert_int_equal(rc, wrong->code);
    assert_int_equal(err.code, wrong->code);
    assert_null(gguf);
    assert_non_null(strstr(err.message, "found"));
    assert_non_null(strstr(err.message, "expected"));
    check_words(err.message, wrong->words);
}

int run_malformed(const char *group, const struct malformed *cases, size_t n)
{
    struct CMUnitTest *tests = calloc(n, sizeof(*tests));
    int failed = 1;

    if (tests == NULL)
        return failed;
    for (size_t i = 0; i < n; i++) {
        struct malformed *state = malloc(sizeof(*state)); /* cmocka wants it writable */
        if (state != NULL)
            *state = cases[i];
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = refuses, .initial_state = state};
    }
    failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        free(tests[i].initial_state);
    free(tests);
    return failed;
}
