/* What a watchdog can see of the workers. */
#include "fixture.h"

#include <sched.h>
#include <string.h>

/* A watchdog sees who computes, what, and since when; and of several the one that began first. */
static void the_oldest_batch_is_known(void **state)
{
    const struct moed_batcher_options options = {.workers = 2};
    struct moed_worker_at_work first, oldest;
    struct fixture f;
    struct test_job *jobs[2];

    (void)state;
    fixture_init(&f, 64);
    fixture_start(&f, &options);
    assert_false(moed_batcher_oldest(f.batcher, &oldest));
    fake_hold(&f.backend);
    for (uint32_t place = 0; place < 2; place++) {
        jobs[place] = job_create(&f, place, 1);
        job_submit(jobs[place]);
        fake_wait_at_gate(&f.backend, place + 1);
        assert_true(moed_batcher_oldest(f.batcher, &oldest));
        if (place == 0)
            first = oldest;
        assert_memory_equal(&oldest, &first, sizeof(first));
    }
    assert_int_equal(first.layer, layer_at(0));
    assert_in_range(first.since_ns, 1, moed_now_ns());
    fake_open(&f.backend);
    fixture_wait(&f, 2);
    while (moed_batcher_oldest(f.batcher, &oldest)) /* a worker is done a little after `done` */
        sched_yield();
    for (uint32_t i = 0; i < 2; i++) {
        job_assert_right(jobs[i]);
        job_destroy(jobs[i]);
    }
    fixture_fini(&f);
}

static void nobody_computes(void **state)
{
    struct moed_worker_at_work oldest;
    struct fixture f;

    (void)state;
    fixture_init(&f, 8);
    fixture_start(&f, &(struct moed_batcher_options){.workers = 3});
    assert_false(moed_batcher_oldest(f.batcher, &oldest));
    assert_int_equal(oldest.since_ns, 0);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_computes),
        cmocka_unit_test(the_oldest_batch_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
