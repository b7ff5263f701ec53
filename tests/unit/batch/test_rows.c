/* What goes into a batch and comes out: types, flags, supplied and chosen routing, logits. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

static const struct moed_batcher_options one_worker = {.workers = 1, .max_batch_rows = 8};

struct rows {
    struct fixture f;
    struct test_job *plug;
};

static void start(struct rows *r)
{
    fixture_init(&r->f, 8);
    fixture_start(&r->f, &one_worker);
    r->plug = fixture_plug(&r->f);
}

/* Lets all jobs through, in one batch after the plug. */
static void run(struct rows *r, uint32_t jobs)
{
    fake_open(&r->f.backend);
    fixture_wait(&r->f, jobs + 1);
    assert_int_equal(r->f.backend.n_calls, 2);
    assert_int_equal(r->f.backend.calls[1].jobs, jobs);
}

static void stop(struct rows *r)
{
    job_destroy(r->plug);
    fixture_fini(&r->f);
}

/* A job's rows in another type, at an odd address. */
struct typed {
    struct test_job *job;
    uint8_t *in, *out;
    size_t n;
};

static struct typed typed_create(struct fixture *f, enum moed_dtype in, enum moed_dtype out)
{
    struct typed t = {.job = job_create(f, 1, 3), .n = (size_t)3 * HIDDEN};

    t.in = malloc(t.n * sizeof(float) + 1);
    t.out = malloc(t.n * sizeof(float) + 1);
    assert_non_null(t.in);
    assert_non_null(t.out);
    moed_dtype_from_f32(in, t.job->hidden, t.in + 1, t.n);
    t.job->job.hidden_dtype = in;
    t.job->job.output_dtype = out;
    t.job->job.hidden = t.in + 1;
    t.job->job.output = t.out + 1;
    return t;
}

static void typed_finish(struct typed *t)
{
    moed_dtype_to_f32(t->job->job.output_dtype, t->out + 1, t->job->output, t->n);
    job_assert_right(t->job);
    free(t->in);
    free(t->out);
    job_destroy(t->job);
}

static void types_share_a_batch(void **state)
{
    struct rows r;
    struct typed jobs[2];

    (void)state;
    for (uint32_t in = 0; in < MOED_DTYPE_COUNT; in++) {
        start(&r);
        for (uint32_t out = 0; out < 2; out++) { /* 6 rows of a batch's 8 */
            jobs[out] = typed_create(&r.f, in, (in + out) % MOED_DTYPE_COUNT);
            job_submit(jobs[out].job);
        }
        run(&r, 2);
        typed_finish(&jobs[0]);
        typed_finish(&jobs[1]);
        stop(&r);
    }
}

static void cut_jobs_convert_at_the_right_place(void **state)
{
    struct fixture f;
    struct typed job;

    (void)state;
    fixture_init(&f, 2);
    fixture_start(&f, &(struct moed_batcher_options){.workers = 1});
    job = typed_create(&f, MOED_BF16, MOED_F16);
    job_submit(job.job);
    fixture_wait(&f, 1);
    assert_int_equal(f.backend.n_calls, 2);
    typed_finish(&job);
    fixture_fini(&f);
}

/* Who is alone in a batch and asks in float32 has its rows computed where they are; all others'
 * are copied. */
static void rows_alone_stay_in_place(void **state)
{
    struct rows r;
    struct test_job *jobs[2];
    struct typed odd;
    const struct fake_call *call = &r.f.backend.calls[1];

    (void)state;
    for (uint32_t n = 1; n <= 2; n++) {
        start(&r);
        for (uint32_t i = 0; i < n; i++) {
            jobs[i] = job_create(&r.f, 1, 2);
            job_submit(jobs[i]);
        }
        run(&r, n);
        assert_int_equal(call->in == jobs[0]->hidden, n == 1);
        assert_int_equal(call->out == jobs[0]->output, n == 1);
        for (uint32_t i = 0; i < n; i++) {
            job_assert_right(jobs[i]);
            job_destroy(jobs[i]);
        }
        stop(&r);
    }
    for (uint32_t in = 0; in < MOED_DTYPE_COUNT; in++) {
        start(&r);
        odd = typed_create(&r.f, in, in);
        job_submit(odd.job);
        run(&r, 1);
        assert_false((const void *)call->in == odd.job->job.hidden);
        assert_false((const void *)call->out == odd.job->job.output);
        typed_finish(&odd);
        stop(&r);
    }
}

/* Each part of a job that is cut, too. */
static void cut_rows_stay_in_place(void **state)
{
    struct test_job *job;
    struct fixture f;

    (void)state;
    fixture_init(&f, 2);
    fixture_start(&f, &(struct moed_batcher_options){.workers = 1});
    job = job_create(&f, 1, 5);
    job_submit(job);
    fixture_wait(&f, 1);
    assert_int_equal(f.backend.n_calls, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(f.backend.calls[i].in, job->hidden + 2 * i * HIDDEN);
        assert_ptr_equal(f.backend.calls[i].out, job->output + 2 * i * HIDDEN);
    }
    job_assert_right(job);
    job_destroy(job);
    fixture_fini(&f);
}

static void routing_is_given_back(void **state)
{
    struct rows r;
    struct test_job *job, *silent;
    int32_t ids[3 * USED];
    float weights[3 * USED], logits[3 * EXPERTS];

    (void)state;
    start(&r);
    silent = job_create(&r.f, 1, 2);
    job = job_create(&r.f, 1, 3);
    job->job.expert_ids = ids;
    job->job.expert_weights = weights;
    job->job.logits = logits;
    job_submit(silent);
    job_submit(job);
    run(&r, 2);
    job_assert_right(job);
    job_assert_right(silent);
    assert_true(r.f.backend.calls[1].logits);
    assert_false(r.f.backend.calls[0].logits);
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t s = 0; s < USED; s++) {
            assert_int_equal(ids[i * USED + s], fake_id(job->tag, (float)i, s, EXPERTS));
            assert_true(weights[i * USED + s] == fake_weight(s));
        }
        for (uint32_t e = 0; e < EXPERTS; e++) {
            assert_true(logits[i * EXPERTS + e] == job->tag + (float)e);
        }
    }
    job_destroy(job);
    job_destroy(silent);
    stop(&r);
}

static void route_only_leaves_the_output(void **state)
{
    struct rows r;
    struct test_job *job;
    int32_t ids[USED] = {-5, -5};

    (void)state;
    start(&r);
    job = job_create(&r.f, 1, 1);
    job->job.flags = MOED_ROW_ROUTE_ONLY;
    job->job.expert_ids = ids;
    job->output[0] = 123;
    job_submit(job);
    run(&r, 1);
    assert_int_equal(job->job.status, 0);
    assert_true(job->output[0] == 123);
    assert_int_equal(ids[1], fake_id(job->tag, 0, 1, EXPERTS));
    job_destroy(job);
    stop(&r);
}

/* Supplied rows of 1 and 4 slots and a routed one in one batch: each uses its own slots only. */
static void supplied_rows_are_padded(void **state)
{
    struct rows r;
    struct test_job *narrow, *wide, *routed;
    int32_t narrow_ids[2] = {3, 4}, wide_ids[4] = {1, -1, 2, 15}, routed_ids[USED];
    float narrow_weights[2] = {1, 2}, wide_weights[4] = {1, 1000, 3, 0.5F};

    (void)state;
    start(&r);
    narrow = job_create(&r.f, 1, 2);
    narrow->job.flags = MOED_ROW_SUPPLIED;
    narrow->job.slots = 1;
    narrow->job.expert_ids = narrow_ids;
    narrow->job.expert_weights = narrow_weights;
    wide = job_create(&r.f, 1, 1);
    wide->job.flags = MOED_ROW_SUPPLIED;
    wide->job.slots = 4;
    wide->job.expert_ids = wide_ids;
    wide->job.expert_weights = wide_weights;
    routed = job_create(&r.f, 1, 1);
    routed->job.expert_ids = routed_ids;
    job_submit(narrow);
    job_submit(wide);
    job_submit(routed);
    run(&r, 3);
    assert_int_equal(r.f.backend.calls[1].slots, 4);
    assert_true(narrow->output[3] == fake_output(3, 5, 1 * 4));
    assert_true(narrow->output[HIDDEN + 3] == fake_output(3, 5, 2 * 5));
    assert_true(wide->output[3] == fake_output(3, 5, 1 * 2 + 3 * 3 + 0.5F * 16));
    job_assert_right(routed);
    assert_int_equal(routed_ids[1], fake_id(routed->tag, 0, 1, EXPERTS));
    assert_int_equal(wide_ids[1], -1);
    job_destroy(narrow);
    job_destroy(wide);
    job_destroy(routed);
    stop(&r);
}

/* Layer 5 as a shard that holds experts 0 to 3 of 16, but for those that a test moves. */
static void hold_four(struct fixture *f, int32_t place[EXPERTS])
{
    for (int32_t e = 0; e < EXPERTS; e++)
        place[e] = e < 4 ? e : -1;
    f->layers[1].routed.place = place;
    f->layers[1].held = 4;
}

static struct test_job *supplied_job(struct fixture *f, int32_t *ids, float *weights)
{
    struct test_job *job = job_create(f, 1, 2);

    job->job.flags = MOED_ROW_SUPPLIED;
    job->job.slots = 2;
    job->job.expert_ids = ids;
    job->job.expert_weights = weights;
    return job;
}

/* Of one batch, each job gets what it asked for: an error, its part, or all that there is. */
static void experts_elsewhere(void **state)
{
    int32_t place[EXPERTS], some[4] = {1, 9, 15, -1}, all[4] = {3, 2, -1, 0};
    float weights[4] = {1, 1, 1, 1};
    struct test_job *strict, *skips, *fits;
    struct rows r;

    (void)state;
    start(&r);
    hold_four(&r.f, place);
    strict = supplied_job(&r.f, some, weights);
    skips = supplied_job(&r.f, some, weights);
    skips->job.skip_missing = true;
    fits = supplied_job(&r.f, all, weights);
    job_submit(strict);
    job_submit(skips);
    job_submit(fits);
    run(&r, 3);
    job_assert_failed(strict, MOED_E_NO_EXPERT,
                      "layer 5, row 0: expert 9 is not served here; served: 0-3");
    assert_int_equal(skips->job.status, 0);
    assert_int_equal(skips->job.missing_slots, 2);
    assert_int_equal(fits->job.status, 0);
    assert_int_equal(fits->job.missing_slots, 0);
    job_destroy(strict);
    job_destroy(skips);
    job_destroy(fits);
    stop(&r);
}

/* Whoever only asks where a row goes needs no expert to be here. */
static void routing_needs_no_experts(void **state)
{
    int32_t place[EXPERTS], ids[USED];
    struct test_job *job;
    struct rows r;

    (void)state;
    start(&r);
    hold_four(&r.f, place);
    for (int e = 0; e < EXPERTS; e++)
        place[e] = -1;
    job = job_create(&r.f, 1, 1);
    job->job.flags = MOED_ROW_ROUTE_ONLY;
    job->job.expert_ids = ids;
    job_submit(job);
    run(&r, 1);
    assert_int_equal(job->job.status, 0);
    assert_int_equal(ids[0], fake_id(job->tag, 0, 0, EXPERTS));
    job_destroy(job);
    stop(&r);
}

/* A cut job's missing slots are those of all its parts. */
static void parts_of_a_job_are_summed(void **state)
{
    int32_t place[EXPERTS], ids[6] = {9, 9, 9, 0, 1, 9};
    float weights[6] = {1, 1, 1, 1, 1, 1};
    struct test_job *job;
    struct fixture f;

    (void)state;
    fixture_init(&f, 2);
    fixture_start(&f, &(struct moed_batcher_options){.workers = 1});
    hold_four(&f, place);
    job = job_create(&f, 1, 6);
    job->job.flags = MOED_ROW_SUPPLIED;
    job->job.slots = 1;
    job->job.expert_ids = ids;
    job->job.expert_weights = weights;
    job->job.skip_missing = true;
    job_submit(job);
    fixture_wait(&f, 1);
    assert_int_equal(f.backend.n_calls, 3);
    assert_int_equal(job->job.missing_slots, 4);
    job_destroy(job);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_share_a_batch),
        cmocka_unit_test(cut_jobs_convert_at_the_right_place),
        cmocka_unit_test(rows_alone_stay_in_place),
        cmocka_unit_test(cut_rows_stay_in_place),
        cmocka_unit_test(routing_is_given_back),
        cmocka_unit_test(route_only_leaves_the_output),
        cmocka_unit_test(supplied_rows_are_padded),
        cmocka_unit_test(experts_elsewhere),
        cmocka_unit_test(routing_needs_no_experts),
        cmocka_unit_test(parts_of_a_job_are_summed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
