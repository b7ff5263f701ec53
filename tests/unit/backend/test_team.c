/* The team: every item once, phases in order, and nobody waits for a thread that has claimed
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/backend/team.h"

#define ITEMS 1000

struct counted {
    atomic_uint calls[ITEMS];
    atomic_uint ranks[64]; /* items a thread did */
};

static void count(void *context, uint32_t i)
{
    struct counted *c = context;

    atomic_fetch_add(&c->calls[i], 1);
    atomic_fetch_add(&c->ranks[team_rank()], 1);
}

static struct team *create(uint32_t threads)
{
    struct moed_error err;
    struct team *team;

    if (team_create(threads, &team, &err) != MOED_OK)
        fail_msg("%s", err.message);
    return team;
}

static void every_item_once(void **state)
{
    static const uint32_t threads[] = {1, 2, 3, 8, 64};
    static const uint32_t sizes[] = {0, 1, 2, 3, 63, ITEMS};
    static const uint32_t grains[] = {1, 2, 7, ITEMS, ITEMS + 1};

    (void)state;
    for (size_t t = 0; t < MOED_ARRAY_LEN(threads); t++) {
        struct team *team = create(threads[t]);

        for (size_t s = 0; s < MOED_ARRAY_LEN(sizes); s++)
            for (size_t g = 0; g < MOED_ARRAY_LEN(grains); g++) {
                struct counted c = {0};

                team_for(team, sizes[s], grains[g], count, &c);
                for (uint32_t i = 0; i < ITEMS; i++)
                    assert_int_equal(c.calls[i], i < sizes[s] ? 1 : 0);
                for (uint32_t r = threads[t]; r < 64; r++)
                    assert_int_equal(c.ranks[r], 0);
            }
        team_destroy(team);
    }
}

/* A phase adds to what the phase before it left, without atomics: each sees all of the other. */
struct sums {
    uint64_t from[ITEMS], to[ITEMS];
};

static void shift(void *context, uint32_t i)
{
    struct sums *s = context;

    s->to[i] = s->from[(i + 1) % ITEMS] + 1;
}

static void unshift(void *context, uint32_t i)
{
    struct sums *s = context;

    s->from[i] = s->to[(i + ITEMS - 1) % ITEMS] + 1;
}

static void phases_in_order(void **state)
{
    struct team *team = create(3);
    struct sums *s = calloc(1, sizeof *s);

    (void)state;
    for (uint32_t round = 0; round < 300; round++) {
        team_for(team, ITEMS, 1 + round % 50, shift, s);
        team_for(team, ITEMS, 1 + round % 31, unshift, s);
    }
    for (uint32_t i = 0; i < ITEMS; i++)
        assert_int_equal(s->from[i], 600);
    free(s);
    team_destroy(team);
}

/* ---- a thread that another program keeps from its processor ---- */

static int held[2]; /* a pipe: who reads from it stands still until something is written */
static sem_t stands;
static _Atomic pthread_t other;
static atomic_bool seen;

static void stand_still(int signal)
{
    char byte;

    (void)signal;
    sem_post(&stands);
    while (read(held[0], &byte, 1) < 0)
        ;
}

static void remember_other(void *context, uint32_t i)
{
    (void)context;
    (void)i;
    if (team_rank() == 1) {
        atomic_store(&other, pthread_self());
        atomic_store(&seen, true);
    }
    while (team_rank() == 0 && !atomic_load(&seen)) /* until the other one has come */
        ;
}

/* The other thread stands still between two tasks; the caller does everything, however often. With
 * a barrier that every thread has to reach it would wait for ever. */
static void nobody_waits_for_who_claimed_nothing(void **state)
{
    const struct sigaction action = {.sa_handler = stand_still};
    struct team *team = create(2);

    (void)state;
    assert_int_equal(pipe(held), 0);
    assert_int_equal(sem_init(&stands, 0, 0), 0);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    team_for(team, 2, 1, remember_other, NULL);
    assert_int_equal(pthread_kill(atomic_load(&other), SIGUSR1), 0);
    while (sem_wait(&stands) != 0)
        ;
    for (uint32_t round = 0; round < 100; round++) {
        struct counted c = {0};

        team_for(team, ITEMS, 10, count, &c);
        assert_int_equal(c.ranks[0], ITEMS);
        assert_int_equal(c.ranks[1], 0);
    }
    assert_int_equal(write(held[1], "x", 1), 1);
    team_destroy(team);
    close(held[0]);
    close(held[1]);
    sem_destroy(&stands);
}

static void child_of_a_fork_computes_alone(void **state)
{
    struct team *team = create(4);
    struct counted c = {0};
    int status;
    pid_t child;

    (void)state;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        team_for(team, ITEMS, 10, count, &c);
        team_destroy(team);
        _exit(c.ranks[0] == ITEMS ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    team_destroy(team);
}

/* ---- how many ---- */

static void absurd_sizes_are_refused(void **state)
{
    static const uint32_t absurd[] = {0, TEAM_MOST + 1, 99999, UINT32_MAX};
    struct moed_error err;
    struct team *team;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(absurd); i++) {
        char found[16];

        snprintf(found, sizeof found, "%u", absurd[i]);
        assert_int_equal(team_create(absurd[i], &team, &err), MOED_E_USAGE);
        assert_null(team);
        assert_non_null(strstr(err.message, found));
        assert_non_null(strstr(err.message, "1 to 1024"));
    }
}

/* A stack for each of so many threads does not fit under the limit. */
static void threads_that_cannot_be_are_an_error(void **state)
{
    const struct rlimit little = {(rlim_t)1 << 30, RLIM_INFINITY};
    struct rlimit before;
    struct moed_error err;
    struct team *team;
    void *beyond;
    int rc;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* sanitizers reserve more than any limit */
#endif
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
    beyond = mmap(NULL, little.rlim_cur, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (beyond != MAP_FAILED) { /* qemu says that it has set a limit, and keeps none */
        assert_int_equal(munmap(beyond, little.rlim_cur), 0);
        assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
        skip();
    }
    rc = team_create(TEAM_MOST, &team, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(rc, MOED_E_NO_MEMORY);
    assert_non_null(strstr(err.message, "a team of 1024 threads"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(phases_in_order),
        cmocka_unit_test(nobody_waits_for_who_claimed_nothing),
        cmocka_unit_test(child_of_a_fork_computes_alone),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(threads_that_cannot_be_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
