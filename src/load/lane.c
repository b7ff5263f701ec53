/* lane.c: clients of lanes, each a thread that keeps some requests in flight, waits for the oldest
 * and sends the next in its place. Rows are written into shared memory before the clock starts, as
 * HTTP's requests are made beforehand, and answers are compared where they stand. */
#include "lane.h"

#include "run.h"

#include "src/base/base.h"

#include <moed/client.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A request and the answer that it got alone. */
struct question {
    uint32_t layer, hidden, rows;
    enum moed_dtype dtype;
    void *in, *expected;
};

struct questions {
    const struct moed_load_options *options;
    struct question *at;
    uint32_t n, n_layers;
};

/* A request in flight. */
struct flight {
    const struct question *question;
    struct moed_call call; /* placed, once it was sent */
    uint64_t due_ns;
};

struct asker {
    pthread_t thread;
    const struct questions *questions;
    struct moed_client *client;
    struct moed_load_result *result;
    struct moed_random random;
    uint64_t end_ns;
    int rc;
    struct moed_error error;
};

bool lane_is_url(const char *url)
{
    return strncmp(url, "lane:", 5) == 0;
}

/* ---- what is asked ---- */
static size_t bytes_of(const struct question *question)
{
    return (size_t)question->rows * question->hidden * moed_dtype_size(question->dtype);
}

static const enum moed_client_dtype dtypes[] = {
    [MOED_F32] = MOED_CLIENT_F32, [MOED_F16] = MOED_CLIENT_F16, [MOED_BF16] = MOED_CLIENT_BF16};

static struct moed_call call_of(const struct question *question, void *out)
{
    return (struct moed_call){.layer = question->layer,
                              .rows = question->rows,
                              .hidden_dtype = dtypes[question->dtype],
                              .output_dtype = dtypes[question->dtype],
                              .hidden = question->in,
                              .output = out};
}

static int make_question(const struct questions *all, uint32_t i,
                         const struct moed_client_layer *layers, struct moed_random *random,
                         struct question *out)
{
    const struct moed_load_options *o = all->options;
    size_t values;
    float *rows;

    if (all->n_layers == 0 || o->n_rows == 0 || o->n_dtypes == 0)
        return MOED_E_USAGE;
    out->layer = layers[i % all->n_layers].layer;
    out->hidden = layers[i % all->n_layers].hidden;
    i /= all->n_layers;
    out->rows = o->rows[i % o->n_rows];
    out->dtype = o->dtypes[i / o->n_rows % o->n_dtypes];
    values = (size_t)out->rows * out->hidden;
    rows = moed_aligned_alloc(values, sizeof(float));
    out->in = moed_aligned_alloc(bytes_of(out), 1);
    out->expected = moed_aligned_alloc(bytes_of(out), 1);
    if (rows != NULL && out->in != NULL && out->expected != NULL) {
        o->fill(random, rows, out->rows, out->hidden);
        moed_dtype_from_f32(out->dtype, rows, out->in, values);
    }
    free(rows);
    return out->in != NULL && out->expected != NULL ? 0 : MOED_E_NO_MEMORY;
}

static int learn(struct moed_client *client, const struct question *question,
                 struct moed_error *err)
{
    struct moed_call call = call_of(question, question->expected);
    int rc;

    do
        rc = moed_client_forward(client, &call, err);
    while (rc == MOED_E_QUEUE_FULL); /* somebody else's load */
    return rc;
}

/* The layers that are asked for, of those that the server has. */
static uint32_t choose_layers(const struct moed_load_options *o, struct moed_client *client,
                              struct moed_client_layer out[MOED_LOAD_LIST_MAX])
{
    uint32_t n, found = 0;
    const struct moed_client_layer *layers = moed_client_layers(client, &n);

    for (uint32_t i = 0; i < n && found < MOED_LOAD_LIST_MAX; i++) {
        bool wanted = o->n_layers == 0;

        for (uint32_t j = 0; j < o->n_layers; j++)
            wanted = wanted || o->layers[j] == layers[i].layer;
        if (wanted)
            out[found++] = layers[i];
    }
    return found;
}

static int make_questions(struct questions *all, struct moed_client *client, struct moed_error *err)
{
    const struct moed_load_options *o = all->options;
    struct moed_client_layer layers[MOED_LOAD_LIST_MAX];
    struct moed_random random;
    int rc = 0;

    all->n_layers = choose_layers(o, client, layers);
    if (all->n_layers == 0)
        return moed_fail(err, MOED_E_NOT_SERVED, "none of the layers asked for is served");
    all->n = all->n_layers * o->n_rows * o->n_dtypes;
    while (o->distinct == 0 && all->n < o->clients)
        all->n += all->n_layers * o->n_rows * o->n_dtypes;
    if (o->distinct > 0)
        all->n = o->distinct;
    all->at = moed_calloc(all->n, sizeof *all->at);
    if (all->at == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u requests", all->n);
    moed_random_seed(&random, o->seed);
    for (uint32_t i = 0; rc == 0 && i < all->n; i++) {
        rc = make_question(all, i, layers, &random, &all->at[i]);
        if (rc != 0)
            return moed_fail(err, rc, "no memory for a request");
        rc = learn(client, &all->at[i], err);
    }
    return rc;
}

static void free_questions(struct questions *all)
{
    for (uint32_t i = 0; all->at != NULL && i < all->n; i++) {
        free(all->at[i].in);
        free(all->at[i].expected);
    }
    free(all->at);
}

/* ---- asking ---- */
static void count(struct asker *asker, const struct flight *flight, int rc,
                  const struct moed_error *err)
{
    struct moed_load_result *result = asker->result;
    const uint64_t took = moed_now_ns() - flight->due_ns;
    const struct moed_call *call = &flight->call;
    const int status = rc == 0 ? 200 : moed_error_info(rc)->http;

    if (rc == MOED_E_IO) {
        result->broken++;
        result->first_fault = *err;
        return;
    }
    result->status[status > 0 && status < MOED_LOAD_STATUSES ? status : 0]++;
    if (rc != 0) {
        moed_latency_add(&result->refused, took);
        return;
    }
    result->rows += call->rows;
    result->compared++;
    moed_latency_add(&result->answered, took);
    moed_latency_add(&result->queued, call->queue_ns);
    moed_latency_add(&result->computed, call->compute_ns);
    moed_latency_add(&result->added, took > call->compute_ns ? took - call->compute_ns : 0);
    if (memcmp(call->output, flight->question->expected, bytes_of(flight->question)) == 0)
        return;
    if (result->differ++ == 0)
        moed_fail(&result->first_fault, MOED_E_INTERNAL,
                  "layer %u, %u rows of %s: an answer "
                  "differs from the first",
                  call->layer, call->rows, moed_dtype_name(flight->question->dtype));
}

static int send_next(struct asker *asker, struct flight *flight)
{
    const struct questions *all = asker->questions;
    const struct question *question = &all->at[moed_random_below(&asker->random, all->n)];
    void *hidden;
    int rc;

    moed_client_release(asker->client, &flight->call);
    flight->question = question;
    flight->call = call_of(question, NULL);
    rc = moed_client_place(asker->client, &flight->call, MOED_WANT_OUTPUT, &hidden, &asker->error);
    if (rc != 0)
        return rc;
    memcpy(hidden, question->in, bytes_of(question));
    flight->due_ns = moed_now_ns();
    return moed_client_submit(asker->client, &flight->call, &asker->error);
}

/* Takes the oldest answer and sends the next request in its place, until the time is over and all
 * are answered. */
static void turn(struct asker *asker, struct flight *flights, uint32_t n)
{
    uint32_t sent = 0, oldest = 0;

    while (asker->rc == 0 && sent < n) {
        asker->rc = send_next(asker, &flights[sent]);
        sent += asker->rc == 0;
    }
    for (uint32_t left = sent; left > 0; oldest = (oldest + 1) % n) {
        struct flight *flight = &flights[oldest];
        struct moed_error err;
        const int rc = moed_client_wait(asker->client, &flight->call, &err);

        left--;
        count(asker, flight, rc, &err);
        if (rc == MOED_E_IO || moed_now_ns() >= asker->end_ns)
            continue;
        asker->rc = send_next(asker, flight);
        if (asker->rc != 0)
            return;
        left++;
    }
}

static void *ask(void *context)
{
    struct asker *asker = context;
    const uint32_t wanted = asker->questions->options->in_flight;
    const uint32_t slots = moed_client_slots(asker->client), n = wanted < slots ? wanted : slots;
    struct flight *flights = moed_calloc(n, sizeof *flights);

    if (flights != NULL)
        turn(asker, flights, n);
    else
        asker->rc = moed_fail(&asker->error, MOED_E_NO_MEMORY, "no memory for %u requests", n);
    free(flights);
    return NULL;
}

/* ---- all of it ---- */
static void add_latency(struct moed_latency *to, const struct moed_latency *from)
{
    to->count += from->count;
    if (from->max > to->max)
        to->max = from->max;
    for (uint32_t i = 0; i < MOED_LATENCY_BINS; i++)
        to->bins[i] += from->bins[i];
}

static void add_result(struct moed_load_result *to, const struct moed_load_result *from)
{
    for (uint32_t i = 0; i < MOED_LOAD_STATUSES; i++)
        to->status[i] += from->status[i];
    to->rows += from->rows;
    to->compared += from->compared;
    to->differ += from->differ;
    to->broken += from->broken;
    if (to->first_fault.code == 0)
        to->first_fault = from->first_fault;
    add_latency(&to->answered, &from->answered);
    add_latency(&to->queued, &from->queued);
    add_latency(&to->computed, &from->computed);
    add_latency(&to->added, &from->added);
    add_latency(&to->refused, &from->refused);
}

static int open_asker(struct asker *asker, const struct questions *questions, uint32_t i,
                      const struct moed_client_options *how, struct moed_error *err)
{
    asker->questions = questions;
    moed_random_seed(&asker->random, questions->options->seed + 1 + i);
    asker->result = moed_calloc(1, sizeof *asker->result);
    if (asker->result == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the measurements");
    return moed_client_open(questions->options->url, how, &asker->client, err);
}

static int run_askers(struct asker *askers, uint32_t n, struct moed_load_result *result,
                      struct moed_error *err)
{
    const double cpu = run_cpu_seconds(), seconds = askers->questions->options->seconds;
    const uint64_t begin_ns = moed_now_ns();
    uint32_t started = 0;
    int rc = 0;

    for (; rc == 0 && started < n; started++) {
        askers[started].end_ns = begin_ns + (uint64_t)(seconds * 1e9);
        if (pthread_create(&askers[started].thread, NULL, ask, &askers[started]) != 0) {
            rc = moed_fail(err, MOED_E_NO_MEMORY, "no thread for client %u", started);
            break;
        }
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(askers[i].thread, NULL);
        add_result(result, askers[i].result);
        if (askers[i].rc != 0 && result->first_fault.code == 0) {
            result->broken++;
            result->first_fault = askers[i].error;
        }
    }
    result->seconds = (double)(moed_now_ns() - begin_ns) * 1e-9;
    result->cpu_seconds = run_cpu_seconds() - cpu;
    return rc;
}

static int check_options(const struct moed_load_options *o, struct moed_error *err)
{
    if (o->rate > 0 || o->get != NULL || o->idle > 0 || o->slow > 0 || o->abandon_percent > 0 ||
        o->n_headers > (o->api_key != NULL) || o->n_formats > 1 || o->formats[0] != MOED_LOAD_RAW)
        return moed_fail(err, MOED_E_USAGE,
                         "a lane takes no --rate, --get, --idle, --slow, "
                         "--abandon, --header or --format");
    return 0;
}

int lane_run(const struct moed_load_options *options, struct moed_load_result *result,
             struct moed_error *err)
{
    struct questions questions = {.options = options};
    struct moed_client_options how = {.size = sizeof how,
                                      .api_key = options->api_key,
                                      .slots = options->in_flight,
                                      .spin_us = options->spin_us,
                                      .timeout_ms = options->timeout_ms};
    struct asker *askers = moed_calloc(options->clients, sizeof *askers);
    int rc = check_options(options, err);

    *result = (struct moed_load_result){0};
    if (askers == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u clients", options->clients);
    for (uint32_t i = 0; i < options->n_rows; i++)
        if (options->rows[i] > how.max_rows)
            how.max_rows = options->rows[i];
    for (uint32_t i = 0; rc == 0 && i < options->clients; i++)
        rc = open_asker(&askers[i], &questions, i, &how, err);
    if (rc == 0)
        rc = make_questions(&questions, askers[0].client, err);
    if (rc == 0)
        rc = run_askers(askers, options->clients, result, err);
    result->distinct = questions.n;
    result->n_layers = questions.n_layers;
    for (uint32_t i = 0; i < options->clients; i++) {
        moed_client_close(askers[i].client);
        free(askers[i].result);
    }
    free(askers);
    free_questions(&questions);
    return rc;
}
