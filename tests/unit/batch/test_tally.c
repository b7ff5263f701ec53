/* Statistics of experts, and the metrics that the room exports. */
#include "fixture.h"

#include <math.h>

static const struct moed_batcher_options options = {
    .workers = 2, .max_batch_rows = 8, .per_expert_metrics = true};

/* Answers `rows` rows which all go to the experts given. */
static void send(struct fixture *f, uint32_t rows, uint8_t flags, const int32_t ids[3],
                 const float weights[3])
{
    const uint32_t answered = f->answered; /* by now: no other job is on its way */
    struct test_job *job = job_create(f, 1, rows);
    int32_t all_ids[3 * 16];
    float all_weights[3 * 16];

    for (uint32_t i = 0; i < 3 * rows; i++) {
        all_ids[i] = ids[i % 3];
        all_weights[i] = weights[i % 3];
    }
    job->job.flags = (uint8_t)(flags | MOED_ROW_SUPPLIED);
    job->job.slots = 3;
    job->job.expert_ids = all_ids;
    job->job.expert_weights = all_weights;
    job_submit(job);
    fixture_wait(f, answered + 1);
    assert_int_equal(job->job.status, 0);
    job_destroy(job);
}

static void near(double found, double expected)
{
    if (fabs(found - expected) > 1e-12) {
        fail_msg("%.17g is not %.17g", found, expected);
    }
}

static void experts_are_counted(void **state)
{
    struct fixture f;
    struct moed_expert_load load;
    uint64_t rows[EXPERTS];
    double mass[EXPERTS];

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &options);
    assert_int_equal(moed_batcher_expert_load(f.batcher, 4, &load, NULL, NULL), MOED_E_NOT_SERVED);
    assert_int_equal(moed_batcher_expert_load(f.batcher, 5, &load, NULL, NULL), 0);
    assert_int_equal(load.rows, 0);
    near(load.jain, 1);
    near(load.max_over_mean, 1);

    send(&f, 3, 0, (int32_t[]){2, -1, 7}, (float[]){0.5F, 9, 0.25F});
    send(&f, 1, 0, (int32_t[]){2, -1, -1}, (float[]){2, 0, 0});
    send(&f, 5, MOED_ROW_ONLY_SHARED, (int32_t[]){1, 2, 3}, (float[]){1, 1, 1});
    send(&f, 5, MOED_ROW_ROUTE_ONLY, (int32_t[]){1, 2, 3}, (float[]){1, 1, 1});
    assert_int_equal(moed_batcher_expert_load(f.batcher, 5, &load, rows, mass), 0);
    assert_int_equal(load.rows, 4);
    assert_int_equal(rows[2], 4);
    assert_int_equal(rows[7], 3);
    assert_int_equal(rows[1], 0);
    near(mass[2], 3.5);
    near(mass[7], 0.75);
    near(load.jain, 49.0 / (16 * 25));
    near(load.max_over_mean, 4 * 16 / 7.0);
    assert_int_equal(moed_batcher_expert_load(f.batcher, 9, &load, NULL, NULL), 0);
    assert_int_equal(load.rows, 0);
    fixture_fini(&f);
}

static void even_load_is_fair(void **state)
{
    struct fixture f;
    struct moed_expert_load load;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &options);
    for (int32_t e = 0; e < EXPERTS; e++) {
        send(&f, 2, 0, (int32_t[]){e, -1, -1}, (float[]){1, 0, 0});
    }
    assert_int_equal(moed_batcher_expert_load(f.batcher, 5, &load, NULL, NULL), 0);
    near(load.jain, 1);
    near(load.max_over_mean, 1);
    fixture_fini(&f);
}

static void reset_starts_again(void **state)
{
    struct fixture f;
    struct moed_expert_load load;
    uint64_t rows[EXPERTS];
    double mass[EXPERTS];

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &options);
    send(&f, 3, 0, (int32_t[]){2, 3, 4}, (float[]){1, 1, 1});
    moed_batcher_reset_load(f.batcher);
    send(&f, 2, 0, (int32_t[]){3, -1, -1}, (float[]){0.5F, 0, 0});
    assert_int_equal(moed_batcher_expert_load(f.batcher, 5, &load, rows, mass), 0);
    assert_int_equal(load.rows, 2);
    assert_int_equal(rows[2], 0);
    assert_int_equal(rows[3], 2);
    near(mass[3], 1);
    near(load.max_over_mean, 16);
    /* a counter may not go back */
    near(fixture_metric(&f, "moed_expert_rows_total{layer=\"5\",expert=\"3\"}"), 5);
    near(fixture_metric(&f, "moed_expert_load_imbalance_ratio{layer=\"5\"}"), 16);
    fixture_fini(&f);
}

struct reading {
    struct fixture *f;
    atomic_bool over;
    bool wrong; /* a count came out larger than all that was sent */
};

enum { SENDS = 300, ROWS = 8 };

static void *read_all_the_time(void *argument)
{
    struct reading *r = argument;
    struct moed_expert_load load;
    uint64_t rows[EXPERTS];

    while (!atomic_load(&r->over)) {
        moed_batcher_expert_load(r->f->batcher, 5, &load, rows, NULL);
        r->wrong = r->wrong || load.rows > SENDS * ROWS;
        for (uint32_t e = 0; e < EXPERTS; e++) {
            r->wrong = r->wrong || rows[e] > SENDS * ROWS;
        }
    }
    return NULL;
}

static void *reset_all_the_time(void *argument)
{
    struct reading *r = argument;

    while (!atomic_load(&r->over)) {
        moed_batcher_reset_load(r->f->batcher);
    }
    return NULL;
}

static void a_reset_meanwhile_wraps_no_count(void **state)
{
    struct fixture f;
    struct reading reading = {.f = &f};
    pthread_t reader, resetter;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &options);
    pthread_create(&reader, NULL, read_all_the_time, &reading);
    pthread_create(&resetter, NULL, reset_all_the_time, &reading);
    for (uint32_t i = 0; i < SENDS; i++) {
        send(&f, ROWS, 0, (int32_t[]){2, 3, 4}, (float[]){1, 1, 1});
    }
    atomic_store(&reading.over, true);
    pthread_join(reader, NULL);
    pthread_join(resetter, NULL);
    assert_false(reading.wrong);
    fixture_fini(&f);
}

static void batches_are_counted(void **state)
{
    struct fixture f;
    struct test_job *jobs[3];

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &(struct moed_batcher_options){.workers = 1, .max_batch_rows = 8});
    jobs[0] = fixture_plug(&f);
    jobs[1] = job_create(&f, 1, 2);
    jobs[2] = job_create(&f, 1, 3);
    job_submit(jobs[1]);
    job_submit(jobs[2]);
    fake_open(&f.backend);
    fixture_wait(&f, 3);
    near(fixture_metric(&f, "moed_batches_total{layer=\"3\"}"), 1);
    near(fixture_metric(&f, "moed_batches_total{layer=\"5\"}"), 1);
    near(fixture_metric(&f, "moed_batches_total{layer=\"9\"}"), 0);
    near(fixture_metric(&f, "moed_rows_total{layer=\"5\"}"), 5);
    near(fixture_metric(&f, "moed_batch_rows_sum"), 6);
    near(fixture_metric(&f, "moed_batch_rows_count"), 2);
    near(fixture_metric(&f, "moed_batch_requests_sum"), 3);
    near(fixture_metric(&f, "moed_batch_active_experts_sum"), 4);
    near(fixture_metric(&f, "moed_batch_compute_seconds_count{layer=\"5\"}"), 1);
    near(fixture_metric(&f, "moed_queue_wait_seconds_count"), 3);
    near(fixture_metric(&f, "moed_expert_weight_bytes_total"), 2000);
    assert_true(fixture_metric(&f, "moed_worker_busy_seconds_total{worker=\"0\"}") > 0);
    near(fixture_metric(&f, "moed_expert_rows_total{layer=\"5\",expert=\"3\"}"), -1);
    for (uint32_t i = 0; i < 3; i++) {
        job_destroy(jobs[i]);
    }
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_are_counted), cmocka_unit_test(even_load_is_fair),
        cmocka_unit_test(reset_starts_again),  cmocka_unit_test(a_reset_meanwhile_wraps_no_count),
        cmocka_unit_test(batches_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
