/* A row that is not finite is an error that says whose: an expert's weights, the router's, the
 * row's own numbers, or the type in which it was wanted. */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct moed_batcher_options one_worker = {.workers = 1, .max_batch_rows = 8};

static void check_counts(struct fixture *f, double weights, double rows)
{
    assert_true(fixture_metric(f, "moed_rows_not_finite_total{cause=\"weights\"}") == weights);
    assert_true(fixture_metric(f, "moed_rows_not_finite_total{cause=\"row\"}") == rows);
}

/* Of 8 rows in one batch, those that chose the expert fail, and are told which it was. */
static void weights_that_are_not_finite_are_the_servers_fault(void **state)
{
    struct fixture f;
    struct test_job *plug, *good, *bad;
    char message[96];

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    moed_log_configure(MOED_LOG_OFF, MOED_LOG_TEXT);
    plug = fixture_plug(&f);
    good = job_create(&f, 1, 2);
    bad = job_create(&f, 1, 6);
    f.backend.nan_expert = fake_id(bad->tag, 4, 1, EXPERTS); /* of rows 4 and 5 */
    job_submit(good);
    job_submit(bad);
    fake_open(&f.backend);
    fixture_wait(&f, 3);
    job_assert_right(good);
    snprintf(message, sizeof message, "layer 5, row 4: the output of expert %d is not finite",
             f.backend.nan_expert);
    job_assert_failed(bad, MOED_E_WEIGHTS, message);
    check_counts(&f, 2, 0);
    job_destroy(plug);
    job_destroy(good);
    job_destroy(bad);
    fixture_fini(&f);
}

static struct test_job *run_one(struct fixture *f, float value, enum moed_dtype dtype)
{
    struct test_job *job = job_create(f, 1, 3);
    const uint32_t before = f->answered;

    job->hidden[2 * HIDDEN + 3] = value;
    job->job.output_dtype = dtype;
    job_submit(job);
    fixture_wait(f, before + 1);
    return job;
}

/* The same weights are finite for zeros: the row is at fault. */
static void numbers_that_are_too_large_are_the_clients_fault(void **state)
{
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    job = run_one(&f, 3e38F, MOED_F32);
    job_assert_failed(job, MOED_E_NOT_FINITE, "layer 5, row 2: the output of expert");
    job_assert_failed(job, MOED_E_NOT_FINITE, "found numbers up to 3e+38");
    job_destroy(job);
    check_counts(&f, 0, 1);
    fixture_fini(&f);
}

static void a_type_may_be_too_narrow(void **state)
{
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    job = run_one(&f, 40000.0F, MOED_F16);
    job_assert_failed(job, MOED_E_NOT_FINITE, "row 2: found an output of 80");
    job_assert_failed(job, MOED_E_NOT_FINITE, "expected numbers that f16 can hold");
    job_destroy(job);
    job = run_one(&f, 40000.0F, MOED_BF16);
    assert_int_equal(job->job.status, 0);
    job_destroy(job);
    check_counts(&f, 0, 1);
    fixture_fini(&f);
}

static void a_router_may_be_broken_too(void **state)
{
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    moed_log_configure(MOED_LOG_OFF, MOED_LOG_TEXT);
    f.backend.nan_router = true;
    job = run_one(&f, 1, MOED_F32);
    job_assert_failed(job, MOED_E_WEIGHTS,
                      "layer 5, row 0: the router's logits are not finite, "
                      "whatever the row");
    job_destroy(job);
    check_counts(&f, 3, 0);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_that_are_not_finite_are_the_servers_fault),
        cmocka_unit_test(numbers_that_are_too_large_are_the_clients_fault),
        cmocka_unit_test(a_type_may_be_too_narrow),
        cmocka_unit_test(a_router_may_be_broken_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
