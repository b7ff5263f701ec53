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

static void some_layers_need_supplied_routing(void **state)
{
    const char *const words = "routing must be supplied: it reads the stars";
    struct supplied s;

    (void)state;
    start(&s);
    s.f.layers[1].router.refuses_routing = "it reads the stars";
    job_submit(s.job);
    fixture_wait(&s.f, 1);
    assert_int_equal(s.job->job.status, 0);
    stop(&s);

    start(&s);
    s.f.layers[1].router.refuses_routing = "it reads the stars";
    s.job->job.slots = USED;
    s.job->job.flags = 0;
    assert_int_equal(job_refused(s.job, words), MOED_E_UNPROCESSABLE);
    s.job->job.flags = MOED_ROW_ROUTE_ONLY;
    assert_int_equal(job_refused(s.job, words), MOED_E_UNPROCESSABLE);
    s.job->job.flags = MOED_ROW_ONLY_SHARED; /* but the choice is wanted */
    assert_int_equal(job_refused(s.job, words), MOED_E_UNPROCESSABLE);
    s.job->job.expert_ids = NULL;
    s.job->job.expert_weights = NULL;
    job_submit(s.job);
    fixture_wait(&s.f, 1);
    stop(&s);
}

static void blocks_that_a_layer_cannot_be_are_refused(void **state)
{
    struct supplied s;
    struct moed_layer *layer = &s.f.layers[1];

    (void)state;
    start(&s);
    s.job->job.flags |= MOED_ROW_NORM | MOED_ROW_RESIDUAL;
    layer->block.refuses_residual = "it adds elsewhere";
    assert_int_equal(job_refused(s.job,
                                 "layer 5: block: the layer does not take "
                                 "\"norm_ffn_residual\": it adds elsewhere"),
                     MOED_E_UNPROCESSABLE);
    layer->block.refuses_norm = "it has none";
    s.job->job.flags = MOED_ROW_SUPPLIED | MOED_ROW_NORM;
    assert_int_equal(job_refused(s.job, "takes only \"ffn\": it has none"), MOED_E_UNPROCESSABLE);
    s.job->job.flags = MOED_ROW_SUPPLIED | MOED_ROW_ONLY_SHARED;
    layer->shared.width = 0;
    assert_int_equal(job_refused(s.job, "the layer has no shared expert"), MOED_E_UNPROCESSABLE);
    stop(&s);
}

static void a_checked_job_is_not_looked_at_again(void **state)
{
    struct supplied s;
    struct moed_error err;

    (void)state;
    start(&s);
    s.ids[3] = 7;
    assert_int_equal(moed_batcher_check(s.f.batcher, &s.job->job, &err), MOED_E_UNPROCESSABLE);
    assert_non_null(strstr(err.message, "layer 5: row 1, slot 2: expert id 7 was given already"));
    assert_int_equal(job_refused(s.job, "row 1, slot 2"), MOED_E_UNPROCESSABLE);
    s.ids[3] = -1;
    assert_int_equal(moed_batcher_check(s.f.batcher, &s.job->job, &err), 0);
    s.ids[3] = 7;
    job_submit(s.job);
    fixture_wait(&s.f, 1);
    assert_int_equal(moed_batcher_submit(s.f.batcher, &s.job->job, &err), MOED_E_UNPROCESSABLE);
    stop(&s);
}

/* A shard without expert 0 has neither the shared expert nor the whole sum that a norm wants. */
static void another_shard_leads(void **state)
{
    static const struct moed_gguf_tensor tensor = {.name = "post"};
    struct moed_layer *layer;
    struct supplied s;

    (void)state;
    start(&s);
    layer = &s.f.layers[1];
    layer->primary = false;
    layer->held = EXPERTS / 2;
    assert_int_equal(job_refused(s.job, "layer 5: the shared expert is served where expert 0 is"),
                     MOED_E_NO_EXPERT);
    layer->post_norm.tensor = &tensor;
    s.job->job.flags = MOED_ROW_SUPPLIED | MOED_ROW_NORM | MOED_ROW_RESIDUAL;
    s.job->job.skip_missing = true;
    assert_int_equal(job_refused(s.job, "norms the whole sum here"), MOED_E_UNPROCESSABLE);
    s.job->job.flags = MOED_ROW_SUPPLIED | MOED_ROW_NORM;
    job_submit(s.job);
    fixture_wait(&s.f, 1);
    s.job->job.flags = MOED_ROW_SUPPLIED | MOED_ROW_NO_SHARED;
    s.job->job.skip_missing = false;
    job_submit(s.job);
    fixture_wait(&s.f, 2);
    stop(&s);
}

static void unserved_layers_are_refused(void **state)
{
    struct supplied s;

    (void)state;
    start(&s);
    s.job->job.layer = 4;
    assert_int_equal(job_refused(s.job, "layer 4"), MOED_E_NOT_SERVED);
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
        cmocka_unit_test(some_layers_need_supplied_routing),
        cmocka_unit_test(blocks_that_a_layer_cannot_be_are_refused),
        cmocka_unit_test(a_checked_job_is_not_looked_at_again),
        cmocka_unit_test(another_shard_leads),
        cmocka_unit_test(unserved_layers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
