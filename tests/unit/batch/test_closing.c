/* The end of a batcher, which waits for nothing but what is computed. */
#include "fixture.h"

/* A layer has another client: it waits for company from now on. */
static void make_company(struct fixture *f)
{
    struct test_job *job = job_create(f, 1, 1);

    job->job.client = f;
    job_submit(job);
    fixture_wait(f, 1);
    job_destroy(job);
}

static void closing_ends_the_delay(void **state)
{
    const struct moed_batcher_options options = {.workers = 2, .max_batch_delay_us = 3600000000U};
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &options);
    make_company(&f);
    job = job_create(&f, 1, 1);
    job_submit(job);
    moed_batcher_close(f.batcher);
    fixture_wait(&f, 2); /* before the hour has passed */
    job_assert_right(job);
    job_destroy(job);
    fixture_fini(&f);
}

/* The end does not wait until workers that look out for work have looked for long enough. */
static void the_end_is_not_kept_by_spinning(void **state)
{
    const struct moed_batcher_options options = {.workers = 2, .spin_us = 3600000000U};
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &options);
    job = job_create(&f, 1, 1);
    job_submit(job);
    fixture_wait(&f, 1);
    fixture_stop(&f);
    job_assert_right(job);
    job_destroy(job);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_ends_the_delay),
        cmocka_unit_test(the_end_is_not_kept_by_spinning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
