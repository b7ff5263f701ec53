/* What makes a run good or bad. */
#include "src/load/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct moed_load_result *result = moed_calloc(1, sizeof *result);

    *state = result;
    if (result != NULL)
        result->status[200] = 7;
    return result == NULL;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void check_bad(const struct moed_load_result *result, const char *message)
{
    struct moed_error err = {0};

    assert_int_equal(moed_load_judge(result, &err), MOED_E_INTERNAL);
    assert_non_null(strstr(err.message, message));
}

static void test_good(void **state)
{
    struct moed_load_result *result = *state;
    struct moed_error err;

    assert_int_equal(moed_load_judge(result, &err), 0);
    result->status[429] = result->status[503] = result->status[504] = 1;
    result->abandoned = result->late = result->connects = 3;
    assert_int_equal(moed_load_judge(result, &err), 0);
}

static void test_different(void **state)
{
    struct moed_load_result *result = *state;

    result->differ = 2;
    moed_fail(&result->first_fault, MOED_E_INTERNAL, "layer 3: so and so");
    check_bad(result, "2 answers differ and 0 are broken; the first: layer 3: so and so");
}

static void test_broken(void **state)
{
    struct moed_load_result *result = *state;

    result->broken = 1;
    check_bad(result, "0 answers differ and 1 are broken");
}

static void test_unreached(void **state)
{
    struct moed_load_result *result = *state;

    result->unreached = 3;
    moed_fail(&result->first_unreached, MOED_E_IO, "connecting: Connection refused");
    check_bad(result, "3 attempts to connect failed; the first: connecting: Connection refused");
}

static void test_timed_out(void **state)
{
    struct moed_load_result *result = *state;

    result->timed_out = 4;
    check_bad(result, "4 requests were not answered in time");
}

static void test_unexpected_status(void **state)
{
    struct moed_load_result *result = *state;

    result->status[500] = 5;
    check_bad(result, "found 5 of 500");
}

static void test_nothing(void **state)
{
    struct moed_load_result *result = *state;

    result->status[200] = 0;
    result->status[429] = 9;
    check_bad(result, "not one request");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_different, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreached, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timed_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unexpected_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
