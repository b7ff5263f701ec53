/* What submit refuses by a request's values, and how it names the fault. */
#include "fixture.h"

#include <math.h>
#include <string.h>

struct supplied {
    struct fixture f;
    struct test_job *job;
    int32_t ids[6];
    float weights[6];
};

/* Two rows of three slots that are in order. */
static void start(struct supplied *s)
{
    static const int32_t ids[6] = {0, 15, -1, -1, -1, 7};
    static const float weights[6] = {0.5F, -2, 0, 0, 0, 1};

    fixture_init(&s->f, 64);
    fixture_start(&s->f, &(struct moed_batcher_options){.workers = 1});
    memcpy(s->ids, ids, sizeof(ids));
    memcpy(s->weights, weights, sizeof(weights));
    s->job = job_create(&s->f, 1, 2);
    s->job->job.flags = MOED_ROW_SUPPLIED;
    s->job->job.slots = 3;
    s->job->job.expert_ids = s->ids;
    s->job->job.expert_weights = s->weights;
}

static void stop(struct supplied *s)
{
    job_destroy(s->job);
    fixture_fini(&s->f);
}

static void good_routing_is_taken(void **state)
{
    struct supplied s;

    (void)state;
    start(&s);
    job_submit(s.job);
    fixture_wait(&s.f, 1);
    assert_int_equal(s.job->job.status, 0);
    stop(&s);
}

static void bad_ids_are_named(void **state)
{
    static const struct {
        uint32_t at;
        int32_t id;
        const char *message;
    } cases[] = {
        {2, 16, "layer 5: row 0, slot 2: expert id 16 is not one of 0 to 15"},
        {3, -2, "row 1, slot 0: expert id -2 is not one of"},
        {5, INT32_MAX, "row 1, slot 2: expert id 2147483647"},
        {0, INT32_MIN, "row 0, slot 0: expert id -2147483648"},
        {2, 15, "row 0, slot 2: expert id 15 was given already"},
        {3, 7, "row 1, slot 2: expert id 7 was given already"},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        struct supplied s;

        start(&s);
        s.ids[cases[i].at] = cases[i].id;
        assert_int_equal(job_refused(s.job, cases[i].message), MOED_E_UNPROCESSABLE);
        stop(&s);
    }
}

static void an_id_may_return_in_the_next_row(void **state)
{
    struct supplied s;

    (void)state;
    start(&s);
    s.ids[4] = 15;
    s.ids[3] = 0;
    job_submit(s.job);
    fixture_wait(&s.f, 1);
    stop(&s);
}

static void bad_weights_are_named(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad); i++) {
        struct supplied s;

        start(&s);
        s.weights[4] = bad[i];
        assert_int_equal(job_refused(s.job, "row 1, slot 1: the weight"), MOED_E_UNPROCESSABLE);
        stop(&s);
    }
}

static void bad_slots_are_named(void **state)
{
    struct supplied s;

    (void)state;
    start(&s);
    s.job->job.slots = EXPERTS + 1;
    assert_int_equal(job_refused(s.job, "17 experts a row were given, the layer has 16"),
                     MOED_E_UNPROCESSABLE);
    s.job->job.slots = 3;
    s.job->job.expert_weights = NULL;
    assert_int_equal(job_refused(s.job, "found no weights"), MOED_E_UNPROCESSABLE);
    s.job->job.expert_ids = NULL;
    assert_int_equal(job_refused(s.job, "found no ids"), MOED_E_UNPROCESSABLE);
    s.job->job.flags = 0;
    assert_int_equal(job_refused(s.job, "3 experts a row were asked for, the router chooses 2"),
                     MOED_E_UNPROCESSABLE);
    stop(&s);
}

static void unserved_layers_are_refused(void **state)
{
    struct supplied s;

    (void)state;
    start(&s);
    s.job->job.layer = 4;
    assert_int_equal(job_refused(s.job, "layer 4"), MOED_E_NOT_SERVED);
    assert_true(fixture_metric(&s.f, "moed_rejected_total{reason=\"layer_not_served\"}") == 1);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_routing_is_taken),
        cmocka_unit_test(bad_ids_are_named),
        cmocka_unit_test(an_id_may_return_in_the_next_row),
        cmocka_unit_test(bad_weights_are_named),
        cmocka_unit_test(bad_slots_are_named),
        cmocka_unit_test(unserved_layers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
