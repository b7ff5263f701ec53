/* client.c: <moed/client.h>: calls, and the slots that they are in flight in. */
#include "remote.h"

#include "src/base/base.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEFAULT_ROWS = 512, DEFAULT_TIMEOUT_MS = 30000 };

static const char prefix[] = "lane:";

/* ---- opening ---- */
/* Bytes of a slot that takes max_rows of any layer with everything that can be asked for. */
static uint64_t slot_bytes(const struct moed_client *client)
{
    const struct moed_lane_request most = {.kind = MOED_LANE_FORWARD,
                                           .rows = client->options.max_rows,
                                           .flags = MOED_LANE_WANT_ROUTING | MOED_LANE_WANT_LOGITS};
    uint64_t bytes = 1;

    for (uint32_t i = 0; i < client->n_layers; i++) {
        const struct moed_client_layer *layer = &client->layers[i];
        const struct moed_lane_arrays arrays =
            moed_lane_layout(&most, layer->hidden, layer->used, layer->experts);

        if (arrays.size > bytes)
            bytes = arrays.size;
    }
    return bytes;
}

static void take_options(struct moed_client *client, const struct moed_client_options *options)
{
    if (options != NULL)
        memcpy(&client->options, options,
               options->size > 0 && options->size < sizeof *options ? options->size
                                                                    : sizeof *options);
    if (client->options.max_rows == 0)
        client->options.max_rows = DEFAULT_ROWS;
    if (client->options.timeout_ms == 0)
        client->options.timeout_ms = DEFAULT_TIMEOUT_MS;
}

static void make_locks(struct moed_client *client)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&client->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&client->freed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int moed_client_open(const char *url, const struct moed_client_options *options,
                     struct moed_client **out, struct moed_error *err)
{
    struct moed_client *client;
    struct lane_wish wish;
    int rc;

    *out = NULL;
    if (strncmp(url, prefix, sizeof prefix - 1) != 0)
        return moed_fail(err, MOED_E_USAGE, "found \"%.200s\", expected lane:PATH", url);
    client = moed_calloc(1, sizeof *client);
    if (client == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a client");
    client->lane.fd = -1;
    make_locks(client);
    take_options(client, options);
    wish = (struct lane_wish){.path = url + sizeof prefix - 1,
                              .api_key = client->options.api_key,
                              .slots = client->options.slots,
                              .timeout_ms = client->options.timeout_ms};
    rc = client_describe(client, &wish, err);
    if (rc == 0) {
        wish.slot_bytes = slot_bytes(client);
        rc = lane_open(&client->lane, &wish, err);
    }
    if (rc != 0) {
        moed_client_close(client);
        return rc;
    }
    for (client->n_free = 0; client->n_free < client->lane.n_slots; client->n_free++)
        client->free[client->n_free] = client->n_free;
    *out = client;
    return 0;
}

void moed_client_close(struct moed_client *client)
{
    if (client == NULL)
        return;
    lane_close(&client->lane);
    pthread_mutex_destroy(&client->lock);
    pthread_cond_destroy(&client->freed);
    free(client->layers);
    free(client->info);
    free(client);
}

const struct moed_client_layer *moed_client_layers(const struct moed_client *client, uint32_t *n)
{
    *n = client->n_layers;
    return client->layers;
}

const char *moed_client_info(const struct moed_client *client)
{
    return client->info;
}

uint32_t moed_client_slots(const struct moed_client *client)
{
    return client->lane.n_slots;
}

/* ---- calls ---- */
/* moed_call_wants, by what the call has room for. */
static uint32_t wants_of(const struct moed_call *call)
{
    const bool routing = call->chosen_ids != NULL || call->chosen_weights != NULL;

    return (call->output != NULL ? MOED_WANT_OUTPUT : 0) | (routing ? MOED_WANT_ROUTING : 0) |
           (call->logits != NULL ? MOED_WANT_LOGITS : 0);
}

static void describe(const struct moed_call *call, uint32_t wants, struct moed_lane_request *out)
{
    *out = (struct moed_lane_request){
        .kind = (wants & MOED_WANT_OUTPUT) != 0 ? MOED_LANE_FORWARD : MOED_LANE_ROUTE,
        .layer = call->layer,
        .rows = call->rows,
        .experts = call->experts,
        .flags = call->flags,
        .hidden_dtype = call->hidden_dtype,
        .output_dtype = call->output_dtype,
        .deadline_us = call->deadline_us,
    };
    out->flags |= (wants & MOED_WANT_ROUTING) != 0 ? MOED_LANE_WANT_ROUTING : 0;
    out->flags |= (wants & MOED_WANT_LOGITS) != 0 ? MOED_LANE_WANT_LOGITS : 0;
}

/* Waits for a slot that no call is in flight in. */
static int take_slot(struct moed_client *client, uint32_t *slot, struct moed_error *err)
{
    struct timespec end;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += client->options.timeout_ms / 1000 + 1;
    pthread_mutex_lock(&client->lock);
    while (client->n_free == 0 && rc == 0)
        rc = pthread_cond_timedwait(&client->freed, &client->lock, &end);
    if (client->n_free > 0) {
        *slot = client->free[--client->n_free];
        rc = 0;
    }
    pthread_mutex_unlock(&client->lock);
    if (rc != 0)
        return moed_fail(err, MOED_E_DEADLINE, "all %u slots were in flight for %u ms",
                         client->lane.n_slots, client->options.timeout_ms);
    return 0;
}

/* Where the arrays of a call stand, or why no slot takes them. */
static int lay_out(const struct moed_client *client, const struct moed_call *call, uint32_t wants,
                   struct moed_lane_request *request, struct moed_lane_arrays *at,
                   struct moed_error *err)
{
    const struct moed_client_layer *layer = client_layer(client, call->layer);

    if (layer == NULL)
        return moed_fail(err, MOED_E_NOT_SERVED, "layer %u is not served by this server",
                         call->layer);
    describe(call, wants, request);
    *at = moed_lane_layout(request, layer->hidden, layer->used, layer->experts);
    if (at->size > client->lane.slot_bytes)
        return moed_fail(err, MOED_E_TOO_LARGE,
                         "%u rows need %llu bytes, a slot has %llu: open "
                         "the client with a larger max_rows",
                         call->rows, (unsigned long long)at->size,
                         (unsigned long long)client->lane.slot_bytes);
    return 0;
}

/* What already is where it belongs needs no copy. */
static void copy(void *to, const void *from, size_t bytes)
{
    if (to != from && bytes > 0)
        memcpy(to, from, bytes);
}

static void write_arrays(const struct moed_call *call, const struct moed_client_layer *layer,
                         const struct moed_lane_arrays *at, uint8_t *arrays)
{
    const size_t value = call->hidden_dtype == MOED_CLIENT_F32 ? 4 : 2;
    const size_t routing = (size_t)call->rows * call->experts * sizeof(int32_t);

    copy(arrays + at->hidden, call->hidden, (size_t)call->rows * layer->hidden * value);
    if (routing == 0)
        return;
    memcpy(arrays + at->ids, call->ids, routing);
    memcpy(arrays + at->weights, call->weights, routing);
}

int moed_client_place(struct moed_client *client, struct moed_call *call, uint32_t wants,
                      void **hidden, struct moed_error *err)
{
    struct moed_lane_request request;
    struct moed_lane_arrays at = {0};
    uint8_t *arrays;
    int rc = lay_out(client, call, wants, &request, &at, err);

    if (rc == 0)
        rc = take_slot(client, &call->slot, err);
    if (rc != 0)
        return rc;
    arrays = lane_arrays(&client->lane, call->slot);
    *hidden = arrays + at.hidden;
    call->hidden = *hidden;
    call->output = (wants & MOED_WANT_OUTPUT) != 0 ? arrays + at.output : NULL;
    call->chosen_ids = (wants & MOED_WANT_ROUTING) != 0 ? (void *)(arrays + at.out_ids) : NULL;
    call->chosen_weights =
        (wants & MOED_WANT_ROUTING) != 0 ? (void *)(arrays + at.out_weights) : NULL;
    call->logits = (wants & MOED_WANT_LOGITS) != 0 ? (void *)(arrays + at.logits) : NULL;
    call->placed = true;
    return 0;
}

int moed_client_submit(struct moed_client *client, struct moed_call *call, struct moed_error *err)
{
    struct moed_lane_request request;
    struct moed_lane_arrays at = {0};
    int rc = lay_out(client, call, wants_of(call), &request, &at, err);

    if (rc != 0)
        return rc;
    if (call->rows > 0 && (call->hidden == NULL ||
                           (call->experts > 0 && (call->ids == NULL || call->weights == NULL))))
        return moed_fail(err, MOED_E_USAGE, "a call without hidden rows, ids or weights");
    rc = call->placed ? 0 : take_slot(client, &call->slot, err);
    if (rc != 0)
        return rc;
    lane_slot(&client->lane, call->slot)->request = request;
    write_arrays(call, client_layer(client, call->layer), &at,
                 lane_arrays(&client->lane, call->slot));
    pthread_mutex_lock(&client->lock);
    lane_submit(&client->lane, call->slot);
    pthread_mutex_unlock(&client->lock);
    return 0;
}

static bool is_answered(struct moed_client *client, const void *context)
{
    const struct moed_call *call = context;

    return lane_is_answered(&client->lane, call->slot);
}

bool moed_client_poll(struct moed_client *client, const struct moed_call *call)
{
    return is_answered(client, call);
}

static void read_arrays(const struct moed_call *call, const struct moed_client_layer *layer,
                        const uint8_t *arrays)
{
    const size_t value = call->output_dtype == MOED_CLIENT_F32 ? 4 : 2;
    const size_t routing = (size_t)call->rows * layer->used * sizeof(int32_t);
    struct moed_lane_request request;
    struct moed_lane_arrays at;

    describe(call, wants_of(call), &request);
    at = moed_lane_layout(&request, layer->hidden, layer->used, layer->experts);
    if (call->output != NULL)
        copy(call->output, arrays + at.output, (size_t)call->rows * layer->hidden * value);
    if (call->experts == 0 && call->chosen_ids != NULL)
        copy(call->chosen_ids, arrays + at.out_ids, routing);
    if (call->experts == 0 && call->chosen_weights != NULL)
        copy(call->chosen_weights, arrays + at.out_weights, routing);
    if (call->logits != NULL)
        copy(call->logits, arrays + at.logits, (size_t)call->rows * layer->experts * sizeof(float));
}

static void free_slot(struct moed_client *client, uint32_t slot)
{
    __atomic_store_n(&lane_slot(&client->lane, slot)->state, MOED_LANE_FREE, __ATOMIC_RELEASE);
    pthread_mutex_lock(&client->lock);
    client->free[client->n_free++] = slot;
    pthread_cond_signal(&client->freed);
    pthread_mutex_unlock(&client->lock);
}

int moed_client_wait(struct moed_client *client, struct moed_call *call, struct moed_error *err)
{
    const struct moed_lane_answer *answer = &lane_slot(&client->lane, call->slot)->answer;
    int rc = client_wait_until(client, is_answered, call, err);

    if (rc != 0)
        return rc;
    call->queue_ns = answer->queue_ns;
    call->compute_ns = answer->compute_ns;
    call->batch_rows = answer->batch_rows;
    call->missing_slots = answer->missing_slots;
    rc = answer->status;
    if (rc == 0)
        read_arrays(call, client_layer(client, call->layer),
                    lane_arrays(&client->lane, call->slot));
    else
        moed_fail(err, rc, "%.*s", (int)sizeof answer->message - 1, answer->message);
    if (!call->placed)
        free_slot(client, call->slot);
    return rc;
}

void moed_client_release(struct moed_client *client, struct moed_call *call)
{
    if (call->placed)
        free_slot(client, call->slot);
    call->placed = false;
}

int moed_client_forward(struct moed_client *client, struct moed_call *call, struct moed_error *err)
{
    const int rc = moed_client_submit(client, call, err);

    return rc != 0 ? rc : moed_client_wait(client, call, err);
}
