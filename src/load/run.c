/* run.c: the loop that sends and receives, and what it counts. */
#include "run.h"

#include "lane.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EVENTS = 256, SPARE_FILES = 64, LOOK_TICKS = 100 };

static const uint64_t second_ns = 1000000000, tick_ns = 1000000000 / CROWD_TURNS;

static void count_answer(struct run *run, const struct connection *client)
{
    struct moed_load_result *result = run->result;
    const struct planned *request = client->request;
    const unsigned status = moed_answer_status(client->answer);
    const uint64_t took = moed_now_ns() - client->due_ns;
    const uint64_t compute = moed_answer_timing(client->answer, "compute");
    char what[96];

    result->status[status < MOED_LOAD_STATUSES ? status : 0]++;
    if (status != 200) {
        moed_latency_add(&result->refused, took);
        return;
    }
    result->rows += request->rows;
    moed_latency_add(&result->answered, took);
    moed_latency_add(&result->queued, moed_answer_timing(client->answer, "queue"));
    moed_latency_add(&result->computed, compute);
    moed_latency_add(&result->added, took > compute ? took - compute : 0);
    result->compared += request->expected != NULL;
    result->differ += client->differs;
    if (client->differs && result->first_fault.code == 0)
        moed_fail(&result->first_fault, MOED_E_INTERNAL,
                  "%s: %zu bytes of the answer are those of the first answer, the next differ",
                  planned_describe(request, what), client->compared);
}

static void count_loss(struct run *run, const struct connection *client)
{
    char what[96];

    run->result->broken++;
    if (run->result->first_fault.code == 0)
        moed_fail(&run->result->first_fault, client->fault.code, "%s: %s",
                  planned_describe(client->request, what), client->fault.message);
}

static void count_unreached(struct run *run, const struct connection *client)
{
    if (run->result->unreached++ == 0)
        run->result->first_unreached = client->fault;
}

static void open_client(struct run *run, struct connection *client)
{
    if (connection_open(client, &run->plan) == CONNECTION_UNREACHED)
        count_unreached(run, client);
}

static void reopen(struct run *run, struct connection *client)
{
    if (moed_now_ns() >= run->end_ns)
        return;
    run->result->connects++;
    open_client(run, client);
}

static void list_idle(struct run *run, struct connection *client)
{
    if (client->listed)
        return;
    client->listed = true;
    client->next = run->idle;
    run->idle = client;
}

/* Counts what became of a client and makes it ready for its next request. One that was hung up on
 * connects at the next tick: a server that is gone must not be asked as fast as we can. */
static void settle(struct run *run, struct connection *client, enum connection_outcome outcome)
{
    switch (outcome) {
    case CONNECTION_ANSWERED:
        run->n_busy--;
        count_answer(run, client);
        break;
    case CONNECTION_ABANDONED:
        run->n_busy--;
        run->result->abandoned++;
        break;
    case CONNECTION_LOST:
        run->n_busy--;
        count_loss(run, client);
        return;
    case CONNECTION_UNREACHED:
        count_unreached(run, client);
        return;
    case CONNECTION_CAN_SEND:
        break;
    case CONNECTION_WAITS:
    case CONNECTION_ENDED:
        return;
    }
    if (client->state == CONNECTION_IDLE)
        list_idle(run, client);
    else
        reopen(run, client);
}

void run_send(struct run *run, struct connection *client, uint64_t due_ns)
{
    const struct planned *request =
        &run->plan.requests[moed_random_below(&run->random, run->plan.n)];
    const bool abandon = run->options->abandon_percent > 0 &&
                         moed_random_below(&run->random, 100) < run->options->abandon_percent;
    enum connection_outcome outcome;

    run->n_busy++;
    client->due_ns = due_ns;
    client->sent_ns = moed_now_ns();
    if (abandon)
        outcome = connection_abandon(client, request,
                                     moed_random_below(&run->random, (uint32_t)request->size + 1));
    else
        outcome = connection_send(client, request);
    settle(run, client, outcome);
}

/* What no event comes for: answers that do not come, connections to be made anew. */
static void tick(struct run *run, uint64_t now)
{
    const uint64_t patience = (uint64_t)run->options->timeout_ms * 1000000;

    if (run->crowd.n > 0) {
        crowd_turn(&run->crowd);
        if (run->ticks++ % LOOK_TICKS != 0)
            return;
    }
    for (uint32_t i = 0; i < run->options->clients; i++) {
        struct connection *client = &run->clients[i];

        if (client->state == CONNECTION_BUSY && now > client->sent_ns + patience) {
            run->result->timed_out++;
            run->n_busy--;
            connection_close(client);
        }
        if (client->state == CONNECTION_CLOSED)
            reopen(run, client);
    }
}

/* Fetches what happened, waiting until a time at most: first awake, then asleep. */
static int fetch(const struct run *run, struct epoll_event *events, uint64_t until)
{
    const uint64_t begin = moed_now_ns(), spin_end = begin + run->options->spin_us * 1000ULL;
    struct pollfd any = {.fd = run->epoll, .events = POLLIN};
    int n = epoll_wait(run->epoll, events, EVENTS, 0);
    uint64_t now = begin;

    while (n == 0 && now < spin_end && now < until) {
        n = epoll_wait(run->epoll, events, EVENTS, 0);
        now = moed_now_ns();
    }
    if (n == 0 && now < until) { /* epoll_wait itself counts in milliseconds */
        const struct timespec left = {.tv_sec = (time_t)((until - now) / second_ns),
                                      .tv_nsec = (long)((until - now) % second_ns)};

        if (ppoll(&any, 1, &left, NULL) > 0)
            n = epoll_wait(run->epoll, events, EVENTS, 0);
    }
    return n > 0 ? n : 0;
}

/* How long answers that are on their way at the end are waited for: no longer than the run was, or
 * a server that never ends one would decide how long it takes. */
static uint64_t grace_ns(const struct moed_load_options *options)
{
    const uint64_t patience = (uint64_t)options->timeout_ms * 1000000;
    const uint64_t run_ns = (uint64_t)(options->seconds * 1e9);
    const uint64_t grace = run_ns > second_ns ? run_ns : second_ns;

    return grace < patience ? grace : patience;
}

static void turn(struct run *run)
{
    struct epoll_event events[EVENTS];
    uint64_t now = moed_now_ns(), next_tick = now;
    const uint64_t last = run->end_ns + grace_ns(run->options);

    while (now < last && (now < run->end_ns || run->n_busy > 0)) {
        uint64_t due = pace_send(run);
        int n;

        if (now >= next_tick) {
            tick(run, now);
            next_tick += run->crowd.n > 0 ? tick_ns : LOOK_TICKS * tick_ns;
        }
        n = fetch(run, events, due < next_tick ? due : next_tick);
        for (int i = 0; i < n; i++) {
            struct connection *client = events[i].data.ptr;

            settle(run, client, connection_advance(client, events[i].events));
            pace_send(run);
        }
        now = moed_now_ns();
    }
    run->result->timed_out += run->n_busy;
}

static int raise_file_limit(const struct moed_load_options *options, struct moed_error *err)
{
    const rlim_t need = (rlim_t)options->clients + options->idle + options->slow + SPARE_FILES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < need || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return moed_fail(err, MOED_E_IO, "%llu connections need %llu open files, the limit is %llu",
                         (unsigned long long)(need - SPARE_FILES), (unsigned long long)need,
                         (unsigned long long)limit.rlim_max);
    return 0;
}

static int open_clients(struct run *run, struct moed_error *err)
{
    int rc = 0;

    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    run->clients = moed_calloc(run->options->clients, sizeof *run->clients);
    if (run->epoll < 0 || run->clients == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u clients", run->options->clients);
    for (uint32_t i = 0; rc == 0 && i < run->options->clients; i++) {
        rc = connection_init(&run->clients[i], run->epoll, err);
        if (rc == 0)
            open_client(run, &run->clients[i]);
    }
    return rc;
}

double run_cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void measure(struct run *run)
{
    const double cpu = run_cpu_seconds();

    run->begin_ns = moed_now_ns();
    run->end_ns = run->begin_ns + (uint64_t)(run->options->seconds * 1e9);
    turn(run);
    run->result->late = pace_late(run);
    run->result->seconds = (double)(moed_now_ns() - run->begin_ns) * 1e-9;
    run->result->cpu_seconds = run_cpu_seconds() - cpu;
    run->result->distinct = run->plan.n;
    run->result->n_layers = run->plan.n_layers;
}

int moed_load_run(const struct moed_load_options *options, struct moed_load_result *result,
                  struct moed_error *err)
{
    struct run run = {.options = options, .result = result, .epoll = -1};
    int rc;

    if (lane_is_url(options->url))
        return lane_run(options, result, err);
    if (options->in_flight > 1)
        return moed_fail(err, MOED_E_USAGE, "--in-flight: found %u, expected 1 but for a lane",
                         options->in_flight);
    rc = raise_file_limit(options, err);

    *result = (struct moed_load_result){0};
    moed_random_seed(&run.random, options->seed + 1);
    if (rc == 0)
        rc = plan_init(&run.plan, options, err);
    if (rc == 0)
        rc = crowd_init(&run.crowd, &run.plan, err);
    if (rc == 0)
        rc = open_clients(&run, err);
    if (rc == 0)
        measure(&run);
    for (uint32_t i = 0; run.clients != NULL && i < options->clients; i++)
        connection_fini(&run.clients[i]);
    free(run.clients);
    if (run.epoll >= 0)
        close(run.epoll);
    crowd_fini(&run.crowd);
    plan_fini(&run.plan);
    return rc;
}
