/* team.c: a phase of work is a word that holds its number and how many of its tasks nobody has
 * claimed. Claiming decrements the word, so that who still has an older phase in mind claims
 * nothing of a newer one; the last task that is done ends the phase, whoever did it.
 *
 *   claim    63      phase number      32 31     unclaimed tasks      0
 *
 * OpenMP's own barriers would wait for threads that have claimed nothing, by a policy that the
 * environment sets before main(). So a region is entered once, by a thread of the team's own, and
 * left when the team ends. */
#include "team.h"
#include "src/backend/backend.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#define LINE 64 /* bytes of a cache line */

/* A thread without work looks for some for so long before it sleeps: to sleep and to be woken takes
 * a large part of what a small batch takes, and a client comes back within a millisecond. */
#define SPIN_NS UINT64_C(2000000)
/* The same while a neighbour wants the processors: less than it takes to sleep and be woken. */
#define CROWDED_SPIN_NS UINT64_C(5000)
/* A thread that was kept from its processor for so long has a neighbour that computes: threads of
 * this process that pass requests on are done sooner. */
#define LOST_NS UINT64_C(500000)
/* It is expected to be there for as many times that long, and so long at most. */
#define CROWDED_FACTOR 64
#define CROWDED_NS     UINT64_C(200000000)

struct phase {
    uint32_t tasks, n, grain;
    void (*each)(void *context, uint32_t i);
    void *context;
};

struct team {
    _Alignas(LINE) _Atomic uint64_t claim;
    struct phase phase;                      /* written while nothing of it can be claimed */
    _Alignas(LINE) _Atomic uint32_t pending; /* tasks that are not done; a futex of the caller's */
    atomic_bool waiting;                     /* the caller sleeps, or is about to */
    _Alignas(LINE) _Atomic uint32_t bell;    /* a futex that others sleep on: rung by each phase */
    _Atomic uint32_t asleep;
    _Alignas(LINE) _Atomic uint64_t crowded_ns; /* until then others want the processors */
    atomic_bool stopping;
    uint32_t helpers; /* threads beside the caller */
    pthread_t host;   /* of the parallel region; itself the first helper */
    pid_t process;    /* whose threads they are: a child of it has none of them */
    cpu_set_t cpus;
    pthread_mutex_t mutex; /* guards the two below */
    pthread_cond_t changed;
    uint32_t running, expected; /* helpers that run; 0: not yet known how many will */
};

static _Thread_local uint32_t rank_of_thread;

uint32_t team_rank(void)
{
    return rank_of_thread;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, uint32_t threads)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* ---- neighbours ---- */

static bool crowded(const struct team *team, uint64_t now)
{
    return now < atomic_load_explicit(&team->crowded_ns, memory_order_relaxed);
}

static void note_neighbour(struct team *team, uint64_t now, uint64_t lost_ns)
{
    const uint64_t ns = lost_ns * CROWDED_FACTOR;

    atomic_store_explicit(&team->crowded_ns, now + (ns < CROWDED_NS ? ns : CROWDED_NS),
                          memory_order_relaxed);
}

/* How often the thread was made to leave its processor. */
static long switches(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

/* Waits until *word is no longer `value`; false: it still is, and the thread had better sleep. */
static bool spin(struct team *team, const _Atomic uint32_t *word, uint32_t value)
{
    const uint64_t begin = moed_now_ns();
    uint64_t now = begin;

    while (atomic_load_explicit(word, memory_order_acquire) == value) {
        const uint64_t last = now;

        if (now - begin >= (crowded(team, now) ? CROWDED_SPIN_NS : SPIN_NS))
            return false;
        for (int i = 0; i < 16 && atomic_load_explicit(word, memory_order_relaxed) == value; i++)
            relax();
        now = moed_now_ns();
        if (now - last > LOST_NS)
            note_neighbour(team, now, now - last);
    }
    return true;
}

/* ---- tasks ---- */

static bool claim_one(struct team *team, uint32_t *task)
{
    uint64_t word = atomic_load_explicit(&team->claim, memory_order_relaxed);

    while ((uint32_t)word > 0)
        if (atomic_compare_exchange_weak_explicit(&team->claim, &word, word - 1,
                                                  memory_order_acquire, memory_order_relaxed)) {
            *task = team->phase.tasks - (uint32_t)word;
            return true;
        }
    return false;
}

static void run_task(const struct phase *phase, uint32_t task)
{
    const uint32_t first = task * phase->grain;
    const uint32_t left = phase->n - first;
    const uint32_t n = left < phase->grain ? left : phase->grain;

    for (uint32_t i = first; i < first + n; i++)
        phase->each(phase->context, i);
}

/* Claims and does tasks of the current phase until none is left to claim. */
static void do_tasks(struct team *team)
{
    const long before = switches();
    const uint64_t begin = moed_now_ns();
    uint64_t now;
    uint32_t task;

    while (claim_one(team, &task)) {
        run_task(&team->phase, task);
        if (atomic_fetch_sub(&team->pending, 1) == 1 && atomic_load(&team->waiting))
            futex_wake(&team->pending, 1);
    }
    now = moed_now_ns();
    if (now - begin > LOST_NS && switches() != before)
        note_neighbour(team, now, now - begin);
}

/* ---- helpers ---- */

/* Until there may be something to claim, or the team ends. */
static void wait_for_bell(struct team *team, uint32_t heard)
{
    if (spin(team, &team->bell, heard))
        return;
    atomic_fetch_add(&team->asleep, 1);
    while (atomic_load(&team->bell) == heard)
        futex_wait(&team->bell, heard);
    atomic_fetch_sub(&team->asleep, 1);
}

static void report_running(struct team *team, uint32_t expected)
{
    pthread_mutex_lock(&team->mutex);
    team->running++;
    team->expected = expected;
    pthread_cond_signal(&team->changed);
    pthread_mutex_unlock(&team->mutex);
}

static void help(struct team *team, uint32_t rank, uint32_t helpers)
{
    rank_of_thread = rank;
    /* OpenMP may have been told to bind its threads, which knows nothing of other workers. */
    (void)sched_setaffinity(0, sizeof team->cpus, &team->cpus);
    (void)pthread_setname_np(pthread_self(), "team");
    report_running(team, helpers);
    while (!atomic_load(&team->stopping)) {
        const uint32_t heard = atomic_load(&team->bell);

        do_tasks(team);
        if (!atomic_load(&team->stopping))
            wait_for_bell(team, heard);
    }
}

/* OpenMP may make fewer threads than asked for, which then do all; without it there is one. */
/* OMP_PROC_BIND, OMP_PLACES and GOMP_CPU_AFFINITY have bound the main thread to its place before
 * main() began, and every thread that it makes inherits that. */
void moed_backend_unbind(void)
{
#ifdef _OPENMP
    cpu_set_t all;

    CPU_ZERO(&all);
    for (int place = 0; place < omp_get_num_places(); place++) {
        const int n = omp_get_place_num_procs(place);
        int *cpus = moed_calloc((uint64_t)(n > 0 ? n : 0) + 1, sizeof *cpus);

        if (cpus == NULL)
            return;
        omp_get_place_proc_ids(place, cpus);
        for (int i = 0; i < n; i++)
            if (cpus[i] >= 0 && cpus[i] < CPU_SETSIZE)
                CPU_SET((size_t)cpus[i], &all);
        free(cpus);
    }
    if (CPU_COUNT(&all) > 0)
        (void)sched_setaffinity(0, sizeof all, &all);
#endif
}

static void *host(void *argument)
{
    struct team *team = argument;

#ifdef _OPENMP
    omp_set_dynamic(0);
#pragma omp parallel num_threads(team->helpers)
    help(team, 1 + (uint32_t)omp_get_thread_num(), (uint32_t)omp_get_num_threads());
#else
    help(team, 1, 1);
#endif
    return NULL;
}

/* ---- start and end ---- */

static int start(struct team *team, struct moed_error *err)
{
    /* OpenMP ends the process where it cannot make one. */
    const uint32_t found = moed_threads_possible(team->helpers, 0);
    int rc;

    if (found < team->helpers)
        return moed_fail(err, MOED_E_NO_MEMORY,
                         "a team of %" PRIu32 " threads: only %" PRIu32
                         " more could be made; use fewer --threads, or raise the limit of threads",
                         team->helpers + 1, found);
    rc = pthread_create(&team->host, NULL, host, team);
    if (rc != 0)
        return moed_fail(err, MOED_E_NO_MEMORY, "a team's first thread: %s", strerror(rc));
    pthread_mutex_lock(&team->mutex);
    while (team->expected == 0 || team->running < team->expected)
        pthread_cond_wait(&team->changed, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
    return 0;
}

int team_create(uint32_t threads, struct team **out, struct moed_error *err)
{
    struct team *team;
    int rc;

    *out = NULL;
    if (threads < 1 || threads > TEAM_MOST)
        return moed_fail(err, MOED_E_USAGE, "%" PRIu32 " threads; a worker has 1 to %d", threads,
                         TEAM_MOST);
    if (threads == 1)
        return 0; /* team_for() needs none */
    team = moed_aligned_alloc(1, sizeof *team);
    if (team == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a team");
    memset(team, 0, sizeof *team);
    team->helpers = threads - 1;
    team->process = getpid();
    (void)sched_getaffinity(0, sizeof team->cpus, &team->cpus);
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->changed, NULL);
    rc = start(team, err);
    if (rc == 0)
        *out = team;
    else
        free(team);
    return rc;
}

static void ring(struct team *team, uint32_t threads)
{
    atomic_fetch_add(&team->bell, 1);
    if (atomic_load(&team->asleep) > 0)
        futex_wake(&team->bell, threads);
}

void team_destroy(struct team *team)
{
    if (team == NULL)
        return;
    atomic_store(&team->stopping, true);
    ring(team, team->helpers);
    if (team->process == getpid())
        pthread_join(team->host, NULL);
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->mutex);
    free(team);
}

/* ---- the caller ---- */

static void publish(struct team *team, const struct phase *phase)
{
    const uint64_t number = (atomic_load_explicit(&team->claim, memory_order_relaxed) >> 32) + 1;

    team->phase = *phase;
    atomic_store_explicit(&team->pending, phase->tasks, memory_order_relaxed);
    atomic_store_explicit(&team->claim, number << 32 | phase->tasks, memory_order_release);
    ring(team, phase->tasks - 1);
}

static void wait_for_all(struct team *team)
{
    uint32_t left;

    while ((left = atomic_load(&team->pending)) > 0) {
        if (spin(team, &team->pending, left))
            continue;
        atomic_store(&team->waiting, true);
        left = atomic_load(&team->pending);
        if (left > 0)
            futex_wait(&team->pending, left);
        atomic_store(&team->waiting, false);
    }
}

void team_for(struct team *team, uint32_t n, uint32_t grain,
              void (*each)(void *context, uint32_t i), void *context)
{
    const struct phase phase = {(n + grain - 1) / grain, n, grain, each, context};

    if (team == NULL || phase.tasks < 2) {
        for (uint32_t i = 0; i < n; i++)
            each(context, i);
        return;
    }
    publish(team, &phase);
    do_tasks(team);
    wait_for_all(team);
}
