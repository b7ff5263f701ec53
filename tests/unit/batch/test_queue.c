/* The queue's rules alone, without threads: what is admitted, what is taken, in which order. */
#include "fixture.h"

#include "src/batch/queue.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 16, BATCH_ROWS = 8 };

struct bench {
    struct fixture f;
    struct moed_queue queue;
    struct moed_part parts[MAX_PARTS];
    struct moed_batch batch;
    struct moed_job jobs[8];
};

static void start(struct bench *b, uint32_t delay_us)
{
    const struct moed_batcher_options options = {.max_batch_rows = BATCH_ROWS,
                                                 .max_batch_delay_us = delay_us,
                                                 .max_queue_rows = 40,
                                                 .max_queue_requests = 6};

    memset(b, 0, sizeof(*b));
    fixture_init(&b->f, BATCH_ROWS);
    b->batch.parts = b->parts;
    assert_int_equal(moed_queue_init(&b->queue, &b->f.model, &options), 0);
}

static void stop(struct bench *b)
{
    moed_queue_fini(&b->queue);
    fixture_fini(&b->f);
}

static struct moed_job *push(struct bench *b, uint32_t i, uint32_t place, uint32_t rows)
{
    struct moed_job *job = &b->jobs[i];

    *job = (struct moed_job){.place = place, .rows = rows, .slots = USED, .submitted_ns = 100 + i};
    moed_queue_push(&b->queue, job, 100 + i);
    return job;
}

/* Takes from the layer that pick names; asserts that there is one. */
static struct moed_job *take(struct bench *b, uint64_t now)
{
    uint64_t wake;
    uint32_t place;

    assert_true(moed_queue_pick(&b->queue, now, &place, &wake));
    return moed_queue_take(&b->queue, place, now, &b->batch);
}

static void assert_part(const struct bench *b, uint32_t part, uint32_t job, uint32_t first,
                        uint32_t rows)
{
    assert_true(part < b->batch.n_parts);
    assert_ptr_equal(b->parts[part].job, &b->jobs[job]);
    assert_int_equal(b->parts[part].first, first);
    assert_int_equal(b->parts[part].rows, rows);
}

static void merges_all_that_waits(void **state)
{
    struct bench b;

    (void)state;
    start(&b, 0);
    push(&b, 0, 1, 1);
    push(&b, 1, 1, 3);
    push(&b, 2, 1, 4);
    assert_null(take(&b, 200));
    assert_int_equal(b.batch.place, 1);
    assert_int_equal(b.batch.rows, 8);
    assert_int_equal(b.batch.n_parts, 3);
    assert_part(&b, 0, 0, 0, 1);
    assert_part(&b, 1, 1, 0, 3);
    assert_part(&b, 2, 2, 0, 4);
    assert_int_equal(b.queue.rows, 0);
    assert_int_equal(b.queue.requests, 0);
    assert_false(b.jobs[2].queued);
    assert_int_equal(b.jobs[1].queue_ns, 200 - 101);
    stop(&b);
}

static void keeps_whole_what_fits_a_batch(void **state)
{
    struct bench b;

    (void)state;
    start(&b, 0);
    push(&b, 0, 0, 3);
    push(&b, 1, 0, 6);
    take(&b, 200);
    assert_int_equal(b.batch.n_parts, 1);
    assert_int_equal(b.queue.rows, 6);
    take(&b, 200);
    assert_int_equal(b.batch.n_parts, 1);
    assert_part(&b, 0, 1, 0, 6);
    stop(&b);
}

static void small_ones_overtake_a_large_one(void **state)
{
    struct bench b;

    (void)state;
    start(&b, 0);
    push(&b, 0, 0, 19);
    push(&b, 1, 0, 1);
    push(&b, 2, 0, 2);
    take(&b, 200);
    assert_int_equal(b.batch.n_parts, 1);
    assert_part(&b, 0, 0, 0, 8);
    assert_true(b.jobs[0].queued);
    assert_int_equal(b.queue.requests, 3);
    assert_int_equal(b.queue.rows, 14);

    take(&b, 201); /* the small ones first, the rest filled with the large one */
    assert_int_equal(b.batch.n_parts, 3);
    assert_part(&b, 0, 1, 0, 1);
    assert_part(&b, 1, 2, 0, 2);
    assert_part(&b, 2, 0, 8, 5);

    take(&b, 202);
    assert_int_equal(b.batch.n_parts, 1);
    assert_part(&b, 0, 0, 13, 6);
    assert_int_equal(b.queue.requests, 0);
    assert_int_equal(b.jobs[0].taken, 19);
    assert_int_equal(b.jobs[0].queue_ns, 100);
    stop(&b);
}

static void takes_the_layer_that_waits_longest(void **state)
{
    struct bench b;

    (void)state;
    start(&b, 0);
    push(&b, 0, 2, 9);
    push(&b, 1, 0, 1);
    push(&b, 2, 1, 1);
    push(&b, 3, 0, 1);
    take(&b, 200);
    assert_int_equal(b.batch.place, 2);
    take(&b, 201); /* what is left of the cut one is the youngest now */
    assert_int_equal(b.batch.place, 0);
    assert_int_equal(b.batch.n_parts, 2);
    take(&b, 202);
    assert_int_equal(b.batch.place, 1);
    take(&b, 203);
    assert_int_equal(b.batch.place, 2);
    assert_part(&b, 0, 0, 8, 1);
    stop(&b);
}

static void wide_rows_make_smaller_batches(void **state)
{
    struct bench b;

    (void)state;
    start(&b, 0);
    push(&b, 0, 0, 2);
    push(&b, 1, 0, 4)->slots = 8; /* 8 rows × K 2 = 16 slots: no more than 2 rows of 8 */
    take(&b, 200);
    assert_int_equal(b.batch.n_parts, 1);
    assert_int_equal(b.batch.slots, USED);
    push(&b, 2, 0, 1);
    take(&b, 200);
    assert_int_equal(b.batch.rows, 2);
    assert_int_equal(b.batch.slots, 8);
    take(&b, 200); /* the narrow one shares the wide batch */
    assert_int_equal(b.batch.n_parts, 1);
    assert_part(&b, 0, 2, 0, 1);
    assert_int_equal(b.batch.slots, USED);
    take(&b, 200);
    assert_part(&b, 0, 1, 2, 2);
    stop(&b);
}

static void one_row_of_all_experts_fits(void **state)
{
    struct bench b;

    (void)state;
    start(&b, 0);
    push(&b, 0, 0, 2)->slots = EXPERTS;
    take(&b, 200);
    assert_int_equal(b.batch.rows, 1);
    assert_int_equal(b.batch.slots, EXPERTS);
    take(&b, 200);
    assert_part(&b, 0, 0, 1, 1);
    stop(&b);
}

/* As if a layer had had another client at time 1. */
static void had_company(struct bench *b, uint32_t place)
{
    b->queue.layers[place].other_ns = 1;
}

static void delay_waits_for_company(void **state)
{
    struct bench b;
    uint64_t wake;
    uint32_t place;

    (void)state;
    start(&b, 1);
    had_company(&b, 1);
    had_company(&b, 2);
    assert_false(moed_queue_pick(&b.queue, 100, &place, &wake));
    assert_int_equal(wake, 0);
    push(&b, 0, 1, 1);
    push(&b, 1, 1, 2);
    push(&b, 2, 2, 1);
    assert_false(moed_queue_pick(&b.queue, 1099, &place, &wake));
    assert_int_equal(wake, 1100);
    assert_true(moed_queue_pick(&b.queue, 1100, &place, &wake));
    assert_int_equal(place, 1);
    assert_int_equal(wake, 1102);
    stop(&b);
}

static void delay_ends_when_a_batch_is_full(void **state)
{
    struct bench b;
    uint64_t wake;
    uint32_t place;

    (void)state;
    start(&b, 1);
    had_company(&b, 1);
    had_company(&b, 2);
    push(&b, 0, 1, 1);
    push(&b, 1, 2, 10);
    assert_true(moed_queue_pick(&b.queue, 110, &place, &wake));
    assert_int_equal(place, 2);
    moed_queue_take(&b.queue, place, 1150, &b.batch);
    assert_true(moed_queue_pick(&b.queue, 1150, &place, &wake)); /* its rest waits no more */
    assert_int_equal(place, 1);
    stop(&b);
}

static void those_who_were_answered_are_waited_for(void **state)
{
    struct bench b;
    uint64_t wake;
    uint32_t place;

    (void)state;
    start(&b, 1);
    had_company(&b, 1);
    push(&b, 0, 1, 1); /* at 100 */
    moed_queue_answered(&b.queue, 1, 5000);
    moed_queue_answered(&b.queue, 2, 9000); /* another layer's clients are not its company */
    assert_false(moed_queue_pick(&b.queue, 5999, &place, &wake));
    assert_int_equal(wake, 6000);
    assert_true(moed_queue_pick(&b.queue, 6000, &place, &wake));
    assert_int_equal(place, 1);
    stop(&b);
}

static void the_rest_of_a_request_is_not_kept_waiting(void **state)
{
    struct bench b;
    uint64_t wake;
    uint32_t place;

    (void)state;
    start(&b, 1);
    had_company(&b, 1);
    had_company(&b, 1);
    push(&b, 0, 1, BATCH_ROWS + 3);
    assert_true(moed_queue_pick(&b.queue, 200, &place, &wake));
    moed_queue_take(&b.queue, place, 200, &b.batch);
    assert_int_equal(b.batch.rows, BATCH_ROWS);
    moed_queue_answered(&b.queue, 1, 5000);
    assert_true(moed_queue_pick(&b.queue, 5000, &place, &wake));
    stop(&b);
}

/* Pushes a job of a client at a time, asks whether it would be taken 1 ns later, and takes it. */
static bool goes_at_once(struct bench *b, const void *client, uint64_t now)
{
    struct moed_job *job = &b->jobs[0];
    uint64_t wake;
    uint32_t place;
    bool at_once;

    *job = (struct moed_job){
        .place = 1, .rows = 1, .slots = USED, .client = client, .submitted_ns = now};
    moed_queue_push(&b->queue, job, now);
    at_once = moed_queue_pick(&b->queue, now + 1, &place, &wake);
    moed_queue_take(&b->queue, 1, now + 1, &b->batch);
    return at_once;
}

static void delay_is_for_layers_with_other_clients(void **state)
{
    const uint64_t ms = 1000000;
    const char me = 'm', you = 'y';
    struct bench b;

    (void)state;
    start(&b, 1000);
    for (uint64_t i = 1; i < 5; i++)
        assert_true(goes_at_once(&b, &me, i * ms)); /* nobody else: nothing to wait for */
    assert_false(goes_at_once(&b, &you, 5 * ms));
    assert_false(goes_at_once(&b, &me, 6 * ms));
    assert_false(goes_at_once(&b, &me, 204 * ms)); /* still of late */
    assert_true(goes_at_once(&b, &me, 206 * ms));  /* the other one has left */
    assert_false(goes_at_once(&b, &you, 207 * ms));
    stop(&b);
}

static void bounds_rows_and_requests(void **state)
{
    struct bench b;
    struct moed_error err;

    (void)state;
    start(&b, 0);
    push(&b, 0, 0, 20);
    push(&b, 1, 1, 15);
    assert_int_equal(moed_queue_admit(&b.queue, 5, &err), 0);
    assert_int_equal(moed_queue_admit(&b.queue, 6, &err), MOED_E_QUEUE_FULL);
    assert_non_null(strstr(err.message, "35 rows"));
    assert_non_null(strstr(err.message, "limit is 40"));
    assert_int_equal(moed_queue_admit(&b.queue, 41, &err), MOED_E_TOO_LARGE);
    assert_non_null(strstr(err.message, "41 rows"));
    for (uint32_t i = 2; i < 6; i++) {
        push(&b, i, 2, 1);
    }
    assert_int_equal(moed_queue_admit(&b.queue, 1, &err), MOED_E_QUEUE_FULL);
    assert_non_null(strstr(err.message, "6 requests"));
    assert_non_null(strstr(err.message, "limit is 6"));
    take(&b, 200); /* eight rows, but the request waits on */
    assert_int_equal(moed_queue_admit(&b.queue, 1, &err), MOED_E_QUEUE_FULL);
    take(&b, 200);
    stop(&b);
}

static void drops_what_nobody_waits_for(void **state)
{
    struct bench b;
    struct moed_job *dropped;

    (void)state;
    start(&b, 0);
    push(&b, 0, 0, 1)->deadline_ns = 200;
    push(&b, 1, 0, 1)->deadline_ns = 201;
    atomic_store(&push(&b, 2, 0, 1)->cancelled, true);
    dropped = take(&b, 200);
    assert_int_equal(b.batch.n_parts, 1);
    assert_part(&b, 0, 1, 0, 1);
    assert_ptr_equal(dropped, &b.jobs[2]);
    assert_ptr_equal(dropped->next, &b.jobs[0]);
    assert_null(dropped->next->next);
    assert_int_equal(b.jobs[0].status, MOED_E_DEADLINE);
    assert_int_equal(b.jobs[2].status, MOED_E_CANCELLED);
    assert_int_equal(b.queue.requests, 0);
    assert_int_equal(b.queue.rows, 0);
    stop(&b);
}

static void part_in_flight_delays_the_answer(void **state)
{
    struct bench b;

    (void)state;
    start(&b, 0);
    push(&b, 0, 0, 10)->deadline_ns = 300;
    take(&b, 200);
    assert_null(take(&b, 300)); /* eight rows are still with a worker */
    assert_int_equal(b.batch.n_parts, 0);
    assert_int_equal(b.jobs[0].status, MOED_E_DEADLINE);
    assert_false(moed_job_is_over(&b.jobs[0]));
    b.jobs[0].finished = 8;
    assert_true(moed_job_is_over(&b.jobs[0]));
    stop(&b);
}

static void removes_from_anywhere(void **state)
{
    struct bench b;

    (void)state;
    start(&b, 0);
    for (uint32_t i = 0; i < 4; i++) {
        push(&b, i, 0, 1);
    }
    moed_queue_remove(&b.queue, &b.jobs[1]);
    moed_queue_remove(&b.queue, &b.jobs[3]);
    moed_queue_remove(&b.queue, &b.jobs[0]);
    push(&b, 4, 0, 1);
    take(&b, 200);
    assert_int_equal(b.batch.n_parts, 2);
    assert_part(&b, 0, 2, 0, 1);
    assert_part(&b, 1, 4, 0, 1);
    stop(&b);
}

static void abort_empties_all_layers(void **state)
{
    struct bench b;
    uint32_t count = 0;

    (void)state;
    start(&b, 0);
    push(&b, 0, 0, 10);
    take(&b, 200);
    push(&b, 1, 1, 1);
    push(&b, 2, 2, 1);
    for (struct moed_job *job = moed_queue_abort(&b.queue, MOED_E_DRAINING, "closing"); job != NULL;
         job = job->next) {
        count++;
    }
    assert_int_equal(count, 2);
    assert_int_equal(b.queue.rows, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(b.jobs[i].status, MOED_E_DRAINING);
        assert_string_equal(b.jobs[i].error.message, "closing");
    }
    stop(&b);
}

static void first_failure_is_reported(void **state)
{
    struct moed_job job = {0};

    (void)state;
    moed_job_fail(&job, MOED_E_DEADLINE, "row %d", 3);
    moed_job_fail(&job, MOED_E_CANCELLED, "row %d", 4);
    assert_int_equal(job.status, MOED_E_DEADLINE);
    assert_int_equal(job.error.code, MOED_E_DEADLINE);
    assert_string_equal(job.error.message, "row 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_all_that_waits),
        cmocka_unit_test(keeps_whole_what_fits_a_batch),
        cmocka_unit_test(small_ones_overtake_a_large_one),
        cmocka_unit_test(takes_the_layer_that_waits_longest),
        cmocka_unit_test(wide_rows_make_smaller_batches),
        cmocka_unit_test(one_row_of_all_experts_fits),
        cmocka_unit_test(delay_waits_for_company),
        cmocka_unit_test(delay_ends_when_a_batch_is_full),
        cmocka_unit_test(those_who_were_answered_are_waited_for),
        cmocka_unit_test(the_rest_of_a_request_is_not_kept_waiting),
        cmocka_unit_test(delay_is_for_layers_with_other_clients),
        cmocka_unit_test(bounds_rows_and_requests),
        cmocka_unit_test(drops_what_nobody_waits_for),
        cmocka_unit_test(part_in_flight_delays_the_answer),
        cmocka_unit_test(removes_from_anywhere),
        cmocka_unit_test(abort_empties_all_layers),
        cmocka_unit_test(first_failure_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
