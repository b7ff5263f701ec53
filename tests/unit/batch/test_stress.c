/* Many submitters at once, each checking its own answers: nothing lost, doubled or mixed. */
#include "fixture.h"

#include "kernels/random.h"

#include <math.h>
#include <stdlib.h>

enum { SUBMITTERS = 8, ROUNDS = 250, WINDOW = 8 }; /* 8 × 250 × 8 = 16000 jobs */

struct submitter {
    struct fixture *f;
    uint64_t seed;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t pending; /* under the mutex */
    uint32_t right, refused, dropped, not_finite, wrong;
};

/* Instead of the fixture's: each submitter waits for its own jobs. */
static void answer(struct moed_job *job)
{
    struct submitter *s = job->context;

    pthread_mutex_lock(&s->mutex);
    ((struct test_job *)job)->done++;
    s->pending--;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

/* Some jobs are large, some have a row that is not finite, some are cancelled or late. */
static struct test_job *submit(struct submitter *s, struct moed_random *random)
{
    const uint32_t kind = moed_random_below(random, 16);
    const uint32_t rows = kind == 0 ? 100 : moed_random_below(random, 6);
    struct test_job *t = job_create(s->f, moed_random_below(random, LAYERS), rows);

    t->job.client = s;
    t->job.done = answer;
    t->job.context = s;
    if (kind == 1 && rows > 0) {
        t->hidden[(size_t)moed_random_below(random, rows) * HIDDEN + 2] = NAN;
    } else if (kind == 2) {
        t->job.deadline_ns = moed_now_ns() + moed_random_below(random, 200000);
    }
    pthread_mutex_lock(&s->mutex);
    s->pending++;
    pthread_mutex_unlock(&s->mutex);
    if (moed_batcher_submit(s->f->batcher, &t->job, NULL) != 0) {
        pthread_mutex_lock(&s->mutex);
        s->pending--;
        pthread_mutex_unlock(&s->mutex);
        s->refused++;
        s->wrong += t->done != 0;
        job_destroy(t);
        return NULL;
    }
    if (kind == 3) {
        atomic_store(&t->job.cancelled, true);
    }
    return t;
}

static bool is_right(const struct test_job *t)
{
    for (size_t i = 0; i < (size_t)t->job.rows * HIDDEN; i++) {
        if (t->output[i] != fake_output(t->hidden[i], t->job.layer, 0)) {
            return false;
        }
    }
    return true;
}

static void judge(struct submitter *s, const struct test_job *t)
{
    s->wrong += t->done != 1;
    if (t->job.status == 0 && is_right(t)) {
        s->right++;
    } else if (t->job.status == MOED_E_DEADLINE || t->job.status == MOED_E_CANCELLED) {
        s->dropped++;
    } else if (t->job.status == MOED_E_NOT_FINITE) {
        s->not_finite++;
    } else {
        s->wrong++;
    }
}

static void *run(void *argument)
{
    struct submitter *s = argument;
    struct moed_random random;

    moed_random_seed(&random, s->seed);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct test_job *jobs[WINDOW];

        for (uint32_t i = 0; i < WINDOW; i++) {
            jobs[i] = submit(s, &random);
        }
        pthread_mutex_lock(&s->mutex);
        while (s->pending > 0) {
            pthread_cond_wait(&s->changed, &s->mutex);
        }
        pthread_mutex_unlock(&s->mutex);
        for (uint32_t i = 0; i < WINDOW; i++) {
            if (jobs[i] != NULL) {
                judge(s, jobs[i]);
                job_destroy(jobs[i]);
            }
        }
    }
    return NULL;
}

static void storm(const struct moed_batcher_options *options)
{
    struct submitter submitters[SUBMITTERS] = {0};
    pthread_t threads[SUBMITTERS];
    struct fixture f;
    uint32_t total = 0, right = 0, not_finite = 0;

    fixture_init(&f, 32);
    fixture_start(&f, options);
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        submitters[i].f = &f;
        submitters[i].seed = i;
        pthread_mutex_init(&submitters[i].mutex, NULL);
        pthread_cond_init(&submitters[i].changed, NULL);
        assert_int_equal(pthread_create(&threads[i], NULL, run, &submitters[i]), 0);
    }
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        const struct submitter *s = &submitters[i];

        pthread_join(threads[i], NULL);
        assert_int_equal(s->wrong, 0);
        total += s->right + s->refused + s->dropped + s->not_finite;
        right += s->right;
        not_finite += s->not_finite;
    }
    assert_int_equal(total, SUBMITTERS * ROUNDS * WINDOW);
    assert_true(right > 0);
    assert_true(not_finite > 0);
    assert_true(fixture_metric(&f, "moed_queue_rows") == 0);
    assert_true(fixture_metric(&f, "moed_queue_requests") == 0);
    fixture_fini(&f);
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        pthread_mutex_destroy(&submitters[i].mutex);
        pthread_cond_destroy(&submitters[i].changed);
    }
}

static void one_worker(void **state)
{
    (void)state;
    storm(&(struct moed_batcher_options){.workers = 1});
}

static void three_workers(void **state)
{
    (void)state;
    storm(&(struct moed_batcher_options){.workers = 3, .max_batch_rows = 16});
}

static void with_a_delay(void **state)
{
    (void)state;
    storm(&(struct moed_batcher_options){.workers = 2, .max_batch_delay_us = 50});
}

static void with_workers_that_look_out(void **state)
{
    (void)state;
    storm(&(struct moed_batcher_options){.workers = 2, .spin_us = 30});
}

static void with_a_small_queue(void **state)
{
    (void)state;
    storm(&(struct moed_batcher_options){.workers = 2, .max_queue_rows = 120});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker),         cmocka_unit_test(three_workers),
        cmocka_unit_test(with_a_delay),       cmocka_unit_test(with_workers_that_look_out),
        cmocka_unit_test(with_a_small_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
