/* What goes wrong in a batch stays with those whom it concerns. */
#include "fixture.h"

#include <math.h>
#include <string.h>

static const struct moed_batcher_options one_worker = {.workers = 1, .max_batch_rows = 8};

static void a_row_that_is_not_finite_fails_its_job(void **state)
{
    struct fixture f;
    struct test_job *plug, *before, *bad, *after;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    plug = fixture_plug(&f);
    before = job_create(&f, 1, 2);
    bad = job_create(&f, 1, 4);
    after = job_create(&f, 1, 2);
    bad->hidden[2 * HIDDEN + 2] = NAN;
    bad->hidden[3 * HIDDEN + 2] = NAN;
    job_submit(before);
    job_submit(bad);
    job_submit(after);
    fake_open(&f.backend);
    fixture_wait(&f, 4);
    assert_int_equal(f.backend.calls[1].jobs, 3);
    job_assert_right(before);
    job_assert_right(after);
    job_assert_failed(bad, MOED_E_NOT_FINITE, "layer 5, row 2: the router's logits");
    job_destroy(plug);
    job_destroy(before);
    job_destroy(bad);
    job_destroy(after);
    fixture_fini(&f);
}

/* A row in the second part of a cut job is named by its number in the request, and the third part
 * is not computed any more. */
static void a_later_part_that_is_not_finite(void **state)
{
    struct fixture f;
    struct test_job *bad;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    bad = job_create(&f, 2, 24);
    bad->hidden[9 * HIDDEN + 2] = NAN;
    job_submit(bad);
    fixture_wait(&f, 1);
    job_assert_failed(bad, MOED_E_NOT_FINITE, "row 9:");
    assert_int_equal(f.backend.n_calls, 3);
    assert_int_equal(f.backend.calls[2].rows, 1); /* a row of zeros, to see whose fault it is */
    fixture_stop(&f);
    assert_int_equal(f.answered, 1);
    job_destroy(bad);
    fixture_fini(&f);
}

static void a_failed_batch_fails_its_jobs_alone(void **state)
{
    struct fixture f;
    struct test_job *plug, *bad[2], *good, *next;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    moed_log_configure(MOED_LOG_OFF, MOED_LOG_TEXT);
    plug = fixture_plug(&f);
    bad[0] = job_create(&f, 1, 2);
    bad[1] = job_create(&f, 1, 3);
    good = job_create(&f, 2, 1);
    job_submit(bad[0]);
    job_submit(bad[1]);
    job_submit(good);
    f.backend.fail_layer = layer_at(1);
    fake_open(&f.backend);
    fixture_wait(&f, 4);
    job_assert_right(plug);
    job_assert_right(good);
    for (uint32_t i = 0; i < 2; i++) {
        job_assert_failed(bad[i], MOED_E_INTERNAL,
                          "layer 5: a batch of 5 rows failed: the device has died");
        job_destroy(bad[i]);
    }
    fixture_stop(&f);

    f.backend.fail_layer = UINT32_MAX;
    fixture_start(&f, &one_worker);
    next = job_create(&f, 1, 1);
    job_submit(next);
    fixture_wait(&f, 5);
    job_assert_right(next);
    job_destroy(plug);
    job_destroy(good);
    job_destroy(next);
    fixture_fini(&f);
}

static void a_failed_part_ends_a_cut_job(void **state)
{
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    f.backend.fail_layer = layer_at(0);
    job = job_create(&f, 0, 30);
    job_submit(job);
    fixture_wait(&f, 1);
    job_assert_failed(job, MOED_E_INTERNAL, "a batch of 8 rows failed");
    assert_int_equal(f.backend.n_calls, 1);
    assert_true(fixture_metric(&f, "moed_queue_rows") == 0);
    assert_true(fixture_metric(&f, "moed_queue_requests") == 0);
    job_destroy(job);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_that_is_not_finite_fails_its_job),
        cmocka_unit_test(a_later_part_that_is_not_finite),
        cmocka_unit_test(a_failed_batch_fails_its_jobs_alone),
        cmocka_unit_test(a_failed_part_ends_a_cut_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
