/* What a supplied routing may say, and how its faults are named. */
#include "src/moe/moe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { E = 70, ROWS = 2, SLOTS = 3 };

static int check(const int32_t ids[6], const float weights[6], struct moed_error *err)
{
    const struct moed_supplied routing = {
        .experts = E, .slots = SLOTS, .rows = ROWS, .ids = ids, .weights = weights};

    return moed_check_routing(&routing, err);
}

static void good_ones_pass(void **state)
{
    static const int32_t ids[6] = {0, 69, -1, 69, -1, -1}; /* an id may return in the next row */
    static const float weights[6] = {0.5F, -2, 0, 1, 0, 0};
    const struct moed_supplied none = {.experts = E, .slots = SLOTS};

    (void)state;
    assert_int_equal(check(ids, weights, NULL), 0);
    assert_int_equal(moed_check_routing(&none, NULL), 0);
}

static void bad_ids_are_named(void **state)
{
    static const struct {
        uint32_t at;
        int32_t id;
        const char *message;
    } cases[] = {
        {2, 70, "row 0, slot 2: expert id 70 is not one of 0 to 69"},
        {3, -2, "row 1, slot 0: expert id -2 is not one of"},
        {5, INT32_MAX, "row 1, slot 2: expert id 2147483647"},
        {0, INT32_MIN, "row 0, slot 0: expert id -2147483648"},
        {2, 64, "row 0, slot 2: expert id 64 was given already"},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        int32_t ids[6] = {0, 64, -1, 64, -1, 0};
        static const float weights[6] = {0};
        struct moed_error err;

        ids[cases[i].at] = cases[i].id;
        assert_int_equal(check(ids, weights, &err), MOED_E_UNPROCESSABLE);
        assert_non_null(strstr(err.message, cases[i].message));
    }
}

static void bad_weights_are_named(void **state)
{
    static const int32_t ids[6] = {0, 1, 2, 0, -1, 2};
    static const float bad[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad); i++) {
        float weights[6] = {0};
        struct moed_error err;

        weights[4] = bad[i]; /* of a slot that is skipped, even so */
        assert_int_equal(check(ids, weights, &err), MOED_E_UNPROCESSABLE);
        assert_non_null(strstr(err.message, "row 1, slot 1: the weight"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_pass),
        cmocka_unit_test(bad_ids_are_named),
        cmocka_unit_test(bad_weights_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
