/* The life of a job through real workers: batches, limits, deadlines, cancelling, draining. */
#include "fixture.h"

#include <string.h>

static const struct moed_batcher_options one_worker = {
    .workers = 1, .max_batch_rows = 8, .max_queue_rows = 64, .max_queue_requests = 8};

/* One worker, held at the gate by a plug. */
static struct test_job *start_held(struct fixture *f)
{
    fixture_init(f, 8);
    fixture_start(f, &one_worker);
    return fixture_plug(f);
}

static void a_job_comes_back(void **state)
{
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    job = job_create(&f, 2, 5);
    job_submit(job);
    fixture_wait(&f, 1);
    job_assert_right(job);
    assert_int_equal(job->job.batch_rows, 5);
    assert_true(job->job.compute_ns > 0);
    job_destroy(job);
    fixture_fini(&f);
}

static void waiting_jobs_share_a_batch(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *jobs[3];

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        jobs[i] = job_create(&f, 1, i + 1);
        job_submit(jobs[i]);
    }
    fake_open(&f.backend);
    fixture_wait(&f, 4);
    assert_int_equal(f.backend.n_calls, 2);
    assert_int_equal(f.backend.calls[1].rows, 6);
    assert_int_equal(f.backend.calls[1].jobs, 3);
    for (uint32_t i = 0; i < 3; i++) {
        job_assert_right(jobs[i]);
        assert_int_equal(jobs[i]->job.batch_rows, 6);
        job_destroy(jobs[i]);
    }
    job_assert_right(plug);
    job_destroy(plug);
    fixture_fini(&f);
}

static void a_large_job_lets_small_ones_pass(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *large = job_create(&f, 0, 30);
    struct test_job *small = job_create(&f, 0, 1);

    (void)state;
    job_submit(large);
    job_submit(small);
    fake_open(&f.backend);
    fixture_wait(&f, 3);
    job_assert_right(plug);
    job_assert_right(large);
    job_assert_right(small);
    assert_true(small->order < large->order);
    assert_int_equal(f.backend.n_calls, 1 + 4); /* 8, 1 + 7, 8 and 7 rows */
    assert_true(f.backend.calls[2].first == small->tag);
    assert_int_equal(large->job.batch_rows, 8);
    job_destroy(plug);
    job_destroy(large);
    job_destroy(small);
    fixture_fini(&f);
}

static void workers_share_a_large_job(void **state)
{
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &(struct moed_batcher_options){.workers = 2, .max_batch_rows = 8});
    fake_hold(&f.backend);
    job = job_create(&f, 0, 40);
    job_submit(job);
    fake_wait_at_gate(&f.backend, 2); /* both hold a part of it */
    assert_int_equal(job->done, 0);
    fake_open(&f.backend);
    fixture_wait(&f, 1);
    job_assert_right(job);
    job_destroy(job);
    fixture_fini(&f);
}

/* By age, but the layer of the batch that was just computed comes after those that had none. */
static void layers_are_served_by_age(void **state)
{
    static const uint32_t order[] = {0, 1, 3, 2};
    struct fixture f;
    struct test_job *jobs[4];

    (void)state;
    jobs[0] = start_held(&f);
    jobs[1] = job_create(&f, 2, 1);
    jobs[2] = job_create(&f, 0, 1);
    jobs[3] = job_create(&f, 1, 1);
    for (uint32_t i = 1; i < 4; i++) {
        job_submit(jobs[i]);
    }
    fake_open(&f.backend);
    fixture_wait(&f, 4);
    for (uint32_t i = 0; i < 4; i++) {
        job_assert_right(jobs[i]);
        assert_int_equal(f.backend.calls[i].layer, jobs[order[i]]->job.layer);
    }
    for (uint32_t i = 0; i < 4; i++)
        job_destroy(jobs[i]);
    fixture_fini(&f);
}

static void full_queues_refuse(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *jobs[9];
    struct moed_error err;

    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        jobs[i] = job_create(&f, i % LAYERS, 2);
        job_submit(jobs[i]);
    }
    jobs[8] = job_create(&f, 0, 1);
    assert_int_equal(job_refused(jobs[8], "8 requests are queued, the limit is 8"),
                     MOED_E_QUEUE_FULL);
    assert_int_equal(moed_batcher_admits(f.batcher, 1, &err), MOED_E_QUEUE_FULL);
    assert_true(fixture_metric(&f, "moed_queue_rows") == 16);
    assert_true(fixture_metric(&f, "moed_queue_requests") == 8);
    fake_open(&f.backend);
    fixture_wait(&f, 9);
    assert_int_equal(moed_batcher_admits(f.batcher, 64, &err), 0);
    assert_int_equal(moed_batcher_admits(f.batcher, 65, &err), MOED_E_TOO_LARGE);
    for (uint32_t i = 0; i < 9; i++) {
        job_destroy(jobs[i]);
    }
    job_destroy(plug);
    fixture_fini(&f);
}

static void too_many_rows_are_refused(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *first = job_create(&f, 1, 60);
    struct test_job *second = job_create(&f, 2, 5);

    (void)state;
    job_submit(first);
    assert_int_equal(job_refused(second,
                                 "layer 9: 60 rows are queued and 5 more were asked for, "
                                 "the limit is 64"),
                     MOED_E_QUEUE_FULL);
    fake_open(&f.backend);
    fixture_wait(&f, 2);
    job_assert_right(first);
    job_destroy(plug);
    job_destroy(first);
    job_destroy(second);
    fixture_fini(&f);
}

static void no_rows_are_done_at_once(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *job = job_create(&f, 0, 0);

    (void)state;
    job_submit(job);
    job_assert_right(job);
    fake_open(&f.backend);
    fixture_wait(&f, 2);
    assert_int_equal(f.backend.n_calls, 1);
    job_destroy(plug);
    job_destroy(job);
    fixture_fini(&f);
}

static void deadlines_on_submit_and_dequeue(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *late = job_create(&f, 0, 1);
    struct test_job *expires = job_create(&f, 0, 1);
    struct test_job *patient = job_create(&f, 0, 1);

    (void)state;
    late->job.deadline_ns = moed_now_ns();
    assert_int_equal(job_refused(late, "the deadline passed"), MOED_E_DEADLINE);
    expires->job.deadline_ns = moed_now_ns() + 20000000;
    patient->job.deadline_ns = moed_now_ns() + UINT64_C(3600000000000);
    job_submit(expires);
    job_submit(patient);
    while (moed_now_ns() < expires->job.deadline_ns) {
    }
    fake_open(&f.backend);
    fixture_wait(&f, 3);
    job_assert_failed(expires, MOED_E_DEADLINE, "0 of 1 rows were computed");
    job_assert_right(patient);
    job_destroy(plug);
    job_destroy(late);
    job_destroy(expires);
    job_destroy(patient);
    fixture_fini(&f);
}

static void the_dead_make_room(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *gone = job_create(&f, 0, 30), *late = job_create(&f, 1, 30);
    struct test_job *full = job_create(&f, 2, 50), *next = job_create(&f, 2, 10);
    struct moed_error err;

    (void)state;
    late->job.deadline_ns = moed_now_ns() + 20000000;
    job_submit(gone);
    job_submit(late);
    assert_int_equal(job_refused(full, "60 rows are queued"), MOED_E_QUEUE_FULL);
    atomic_store(&gone->job.cancelled, true);
    assert_int_equal(moed_batcher_admits(f.batcher, 20, &err), 0);
    job_assert_failed(gone, MOED_E_CANCELLED, "the client went away"); /* the worker is held */
    while (moed_now_ns() < late->job.deadline_ns) {
    }
    job_submit(full);
    job_assert_failed(late, MOED_E_DEADLINE, "0 of 30 rows were computed");
    job_submit(next);
    assert_true(fixture_metric(&f, "moed_queue_rows") == 60);
    fake_open(&f.backend);
    fixture_wait(&f, 5);
    job_assert_right(full);
    job_assert_right(next);
    job_destroy(plug);
    job_destroy(gone);
    job_destroy(late);
    job_destroy(full);
    job_destroy(next);
    fixture_fini(&f);
}

static void deadline_before_a_later_part(void **state)
{
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    fake_hold(&f.backend);
    job = job_create(&f, 0, 20);
    job->job.deadline_ns = moed_now_ns() + 50000000;
    job_submit(job);
    fake_wait_at_gate(&f.backend, 1);
    while (moed_now_ns() < job->job.deadline_ns) {
    }
    fake_open(&f.backend);
    fixture_wait(&f, 1);
    job_assert_failed(job, MOED_E_DEADLINE, "8 of 20 rows were computed");
    assert_int_equal(f.backend.n_calls, 1);
    job_destroy(job);
    fixture_fini(&f);
}

static void cancelled_jobs_are_skipped(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *gone = job_create(&f, 0, 1);
    struct test_job *stays = job_create(&f, 0, 1);

    (void)state;
    job_submit(gone);
    job_submit(stays);
    atomic_store(&gone->job.cancelled, true);
    atomic_store(&plug->job.cancelled, true); /* too late: it is being computed */
    fake_open(&f.backend);
    fixture_wait(&f, 3);
    job_assert_failed(gone, MOED_E_CANCELLED, "the client went away");
    job_assert_right(stays);
    job_assert_right(plug);
    assert_int_equal(f.backend.calls[1].rows, 1);
    job_destroy(plug);
    job_destroy(gone);
    job_destroy(stays);
    fixture_fini(&f);
}

static void abort_answers_what_waits(void **state)
{
    struct fixture f;
    struct test_job *large, *waits;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &one_worker);
    fake_hold(&f.backend);
    large = job_create(&f, 0, 20);
    waits = job_create(&f, 1, 1);
    job_submit(large);
    fake_wait_at_gate(&f.backend, 1);
    job_submit(waits);
    moed_batcher_abort(f.batcher, MOED_E_DRAINING, "the server is closing");
    job_assert_failed(waits, MOED_E_DRAINING, "the server is closing");
    assert_int_equal(large->done, 0); /* a worker still holds a part */
    fake_open(&f.backend);
    fixture_wait(&f, 2);
    job_assert_failed(large, MOED_E_DRAINING, "the server is closing");
    assert_int_equal(f.backend.n_calls, 1);
    job_destroy(large);
    job_destroy(waits);
    fixture_fini(&f);
}

static void *destroy(void *argument)
{
    fixture_stop(argument);
    return NULL;
}

static void destroy_finishes_what_was_taken(void **state)
{
    struct fixture f;
    struct test_job *plug = start_held(&f);
    struct test_job *jobs[3];
    pthread_t thread;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        jobs[i] = job_create(&f, i, 12);
        job_submit(jobs[i]);
    }
    assert_int_equal(pthread_create(&thread, NULL, destroy, &f), 0);
    fake_open(&f.backend);
    pthread_join(thread, NULL);
    assert_int_equal(f.answered, 4);
    for (uint32_t i = 0; i < 3; i++) {
        job_assert_right(jobs[i]);
        job_destroy(jobs[i]);
    }
    job_destroy(plug);
    fixture_fini(&f);
}

/* A layer has another client: its batching window opens from now on. */
static void make_company(struct fixture *f)
{
    struct test_job *job = job_create(f, 1, 1);

    job->job.client = f;
    job_submit(job);
    fixture_wait(f, 1);
    job_destroy(job);
}

static void delay_collects_a_batch(void **state)
{
    const struct moed_batcher_options options = {
        .workers = 2, .max_batch_rows = 4, .max_batch_delay_us = 3600000000U};
    struct fixture f;
    struct test_job *jobs[5];

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &options);
    make_company(&f);
    for (uint32_t i = 0; i < 5; i++) {
        jobs[i] = job_create(&f, 1, 1);
        job_submit(jobs[i]);
    }
    fixture_wait(&f, 5); /* a full batch does not wait for the hour to pass */
    assert_int_equal(f.backend.n_calls, 2);
    assert_int_equal(f.backend.calls[1].rows, 4);
    fixture_stop(&f); /* nor does the end */
    for (uint32_t i = 0; i < 5; i++) {
        job_assert_right(jobs[i]);
        job_destroy(jobs[i]);
    }
    fixture_fini(&f);
}

static void delay_passes(void **state)
{
    const struct moed_batcher_options options = {.workers = 2, .max_batch_delay_us = 5000};
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &options);
    make_company(&f);
    job = job_create(&f, 1, 1);
    job_submit(job);
    fixture_wait(&f, 2);
    job_assert_right(job);
    assert_true(job->job.queue_ns >= 5000000);
    job_destroy(job);
    fixture_fini(&f);
}

static void startup_failure_is_reported(void **state)
{
    struct fixture f;
    struct moed_batcher_options options = {.workers = 3};
    struct moed_error err;

    (void)state;
    fixture_init(&f, 8);
    f.backend.create_status = MOED_E_UNSUPPORTED;
    assert_int_equal(
        moed_batcher_create(&f.model, &f.backend, f.metrics, &options, &f.batcher, &err),
        MOED_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, ": the fake has no workspace"));
    assert_null(f.batcher);
    f.backend.create_status = 0;
    options.max_batch_rows = 9;
    assert_int_equal(
        moed_batcher_create(&f.model, &f.backend, f.metrics, &options, &f.batcher, &err),
        MOED_E_USAGE);
    assert_non_null(strstr(err.message, "9 rows were asked for, the backend computes 8"));
    fixture_fini(&f);
}

static void defaults_are_filled_in(void **state)
{
    struct fixture f;
    struct test_job *job;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &(struct moed_batcher_options){0});
    assert_true(f.backend.workspaces >= 1);
    job = job_create(&f, 0, 100);
    job_submit(job);
    fixture_wait(&f, 1);
    job_assert_right(job);
    job_destroy(job);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_comes_back),
        cmocka_unit_test(waiting_jobs_share_a_batch),
        cmocka_unit_test(a_large_job_lets_small_ones_pass),
        cmocka_unit_test(workers_share_a_large_job),
        cmocka_unit_test(layers_are_served_by_age),
        cmocka_unit_test(full_queues_refuse),
        cmocka_unit_test(too_many_rows_are_refused),
        cmocka_unit_test(no_rows_are_done_at_once),
        cmocka_unit_test(deadlines_on_submit_and_dequeue),
        cmocka_unit_test(the_dead_make_room),
        cmocka_unit_test(deadline_before_a_later_part),
        cmocka_unit_test(cancelled_jobs_are_skipped),
        cmocka_unit_test(abort_answers_what_waits),
        cmocka_unit_test(destroy_finishes_what_was_taken),
        cmocka_unit_test(delay_collects_a_batch),
        cmocka_unit_test(delay_passes),
        cmocka_unit_test(startup_failure_is_reported),
        cmocka_unit_test(defaults_are_filled_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
