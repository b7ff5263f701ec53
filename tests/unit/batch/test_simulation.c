/* Clients that ask again when they have their answer, a worker that takes time for each row, and no
 * clock: how long who waits, by the queue's rules alone. */
#include "fixture.h"

#include "src/batch/queue.h"

#include <string.h>

enum { BATCH_ROWS = 4096, MAX_CLIENTS = 8 };

#define MS           UINT64_C(1000000)
#define BOUND_MS     50
#define PASS_NS      MS /* of each batch, whatever its size */
#define ROW_NS       UINT64_C(300000)
#define THINK_NS     UINT64_C(200000) /* from an answer to the next request */
#define SIMULATED_NS (60000 * MS)

struct client {
    uint32_t rows, place;
    struct moed_job job;
    uint64_t asks_ns; /* next; UINT64_MAX while it waits for its answer */
    uint64_t worst_ns, answered_rows;
};

struct world {
    struct fixture f;
    struct moed_queue queue;
    struct moed_part parts[MAX_CLIENTS];
    struct moed_batch batch;
    struct client clients[MAX_CLIENTS];
    uint32_t n;
    uint64_t now, cut;
};

static void ask(struct world *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        struct client *c = &w->clients[i];

        if (c->asks_ns > w->now)
            continue;
        c->job = (struct moed_job){.place = c->place,
                                   .rows = c->rows,
                                   .slots = USED,
                                   .submitted_ns = c->asks_ns,
                                   .client = c};
        moed_queue_push(&w->queue, &c->job, c->asks_ns);
        c->asks_ns = UINT64_MAX;
    }
}

/* What was computed comes back; who has all its rows asks again a little later. */
static void answer(struct world *w)
{
    for (uint32_t i = 0; i < w->batch.n_parts; i++) {
        struct moed_job *job = w->parts[i].job;
        struct client *c = &w->clients[(const struct client *)job->client - w->clients];

        job->finished += w->parts[i].rows;
        c->answered_rows += w->parts[i].rows;
        if (!moed_job_is_over(job))
            continue;
        if (w->now - job->submitted_ns > c->worst_ns && job->submitted_ns > 10000 * MS)
            c->worst_ns = w->now - job->submitted_ns; /* once there are measurements */
        c->asks_ns = w->now + THINK_NS;
    }
}

static uint64_t next_request(const struct world *w)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < w->n; i++)
        next = w->clients[i].asks_ns < next ? w->clients[i].asks_ns : next;
    return next;
}

static void simulate(struct world *w, const struct client *clients, uint32_t n, uint32_t bound_ms)
{
    const struct moed_batcher_options options = {.max_batch_rows = BATCH_ROWS,
                                                 .max_batch_ms = bound_ms,
                                                 .max_queue_rows = 1 << 20,
                                                 .max_queue_requests = MAX_CLIENTS};

    memset(w, 0, sizeof *w);
    fixture_init(&w->f, BATCH_ROWS);
    assert_int_equal(moed_queue_init(&w->queue, &w->f.model, &options), 0);
    w->batch.parts = w->parts;
    memcpy(w->clients, clients, n * sizeof *clients);
    w->n = n;
    w->now = MS;
    for (uint32_t i = 0; i < n; i++)
        w->clients[i].asks_ns = MS;
    while (w->now < SIMULATED_NS) {
        uint64_t wake, took;
        uint32_t place;

        ask(w);
        if (!moed_queue_pick(&w->queue, w->now, &place, &wake)) {
            const uint64_t next = next_request(w);

            w->now = wake != 0 && wake < next ? wake : next;
            continue;
        }
        assert_null(moed_queue_take(&w->queue, place, w->now, &w->batch));
        assert_true(w->batch.rows > 0 && w->batch.rows <= BATCH_ROWS);
        took = PASS_NS + w->batch.rows * ROW_NS;
        w->cut += w->batch.cut;
        for (uint64_t end = w->now + took; w->now < end;) { /* requests come meanwhile */
            const uint64_t next = next_request(w);

            w->now = next < end ? next : end;
            ask(w);
        }
        moed_queue_answered(&w->queue, place, w->now);
        moed_queue_timed(&w->queue, place, w->batch.rows, took);
        answer(w);
    }
    moed_queue_fini(&w->queue);
    fixture_fini(&w->f);
}

static void a_row_waits_for_no_prefill(void **state)
{
    const struct client clients[] = {{.rows = 4096}, {.rows = 1}};
    const uint64_t alone = 4096 * (SIMULATED_NS / (PASS_NS + 4096 * ROW_NS + THINK_NS));
    static struct world w;

    (void)state;
    simulate(&w, clients, 2, BOUND_MS);
    assert_true(w.cut > 0);
    assert_true(w.clients[1].worst_ns <= BOUND_MS * MS * 3 / 2 + 2 * PASS_NS);
    assert_true((double)w.clients[0].answered_rows >= 0.85 * (double)alone);
    simulate(&w, clients, 2, 0);
    assert_true(w.clients[1].worst_ns > 1000 * MS);
    assert_int_equal(w.cut, 0);
}

static void alone_nothing_is_cut(void **state)
{
    const struct client clients[] = {{.rows = 4096}};
    static struct world w;

    (void)state;
    simulate(&w, clients, 1, BOUND_MS);
    assert_int_equal(w.cut, 0);
    assert_int_equal(w.clients[0].answered_rows % 4096, 0);
}

/* Two prefills take turns, however many rows they are, and rows go on between them. */
static void large_ones_take_turns(void **state)
{
    const struct client clients[] = {{.rows = 4096}, {.rows = 3000}, {.rows = 1}, {.rows = 4}};
    static struct world w;
    double share;

    (void)state;
    simulate(&w, clients, 4, BOUND_MS);
    share = (double)w.clients[0].answered_rows / (double)w.clients[1].answered_rows;
    assert_true(share > 0.7 && share < 1.4);
    for (uint32_t i = 2; i < 4; i++)
        assert_true(w.clients[i].worst_ns <= BOUND_MS * MS * 7 / 4 + 2 * PASS_NS);
}

/* Small requests that would fill every batch leave half of it to a large one. */
static void small_ones_do_not_starve_a_large_one(void **state)
{
    struct client clients[MAX_CLIENTS];
    static struct world w;

    (void)state;
    for (uint32_t i = 0; i < MAX_CLIENTS; i++)
        clients[i] = (struct client){.rows = i == 0 ? 2000 : 60};
    simulate(&w, clients, MAX_CLIENTS, BOUND_MS);
    assert_true(w.clients[0].answered_rows * 4 > SIMULATED_NS / ROW_NS);
}

/* A flood on one layer does not keep another layer's rows waiting. */
static void layers_take_turns(void **state)
{
    const struct client clients[] = {
        {.rows = 4096, .place = 0}, {.rows = 4096, .place = 0}, {.rows = 1, .place = 1}};
    static struct world w;

    (void)state;
    simulate(&w, clients, 3, BOUND_MS);
    assert_true(w.clients[2].worst_ns <= BOUND_MS * MS * 3 / 2 + 3 * PASS_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_waits_for_no_prefill),
        cmocka_unit_test(alone_nothing_is_cut),
        cmocka_unit_test(large_ones_take_turns),
        cmocka_unit_test(small_ones_do_not_starve_a_large_one),
        cmocka_unit_test(layers_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
