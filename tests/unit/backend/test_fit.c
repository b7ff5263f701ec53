/* Weights that no machine has memory for are refused before they are read. */
#include "src/backend/fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct moed_layer layer = {.hidden = 2048, .experts = 128, .used = 8, .routed.width = 768};
static const struct moed_model model = {.n_layers = 1, .layers = &layer};
static const struct moed_backend_options options = {.threads = 2, .teams = 1, .max_rows = 64};

static void what_fits_is_fine(void **state)
{
    struct moed_error err;

    (void)state;
    assert_int_equal(fit_check(&model, &options, 1 << 20, &err), 0);
}

static void what_cannot_fit_is_said(void **state)
{
    struct moed_error err;

    (void)state;
    assert_int_equal(fit_check(&model, &options, UINT64_C(1) << 60, &err), MOED_E_NO_MEMORY);
    assert_non_null(strstr(err.message, "weights take 1152921504.607 GB"));
    assert_non_null(strstr(err.message, "GB of memory free ("));
}

/* Batches of a million rows for a thousand workers. */
static void workspaces_count(void **state)
{
    struct moed_backend_options absurd = options;
    struct moed_error err;

    (void)state;
    absurd.teams = 1024;
    absurd.max_rows = 1 << 20;
    assert_int_equal(fit_check(&model, &absurd, 0, &err), MOED_E_NO_MEMORY);
    assert_non_null(strstr(err.message, "workspaces about"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_fine),
        cmocka_unit_test(what_cannot_fit_is_said),
        cmocka_unit_test(workspaces_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
