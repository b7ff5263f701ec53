/* ring.c: requests as a client has written them. Everything that decides over memory is copied once
 * and checked in the copy; rows stay where they are until they are converted into a batch. */
#include "lanes.h"

#include <stdlib.h>
#include <string.h>

#define KNOWN_FLAGS 127U

static const enum moed_dtype dtypes[] = {
    [MOED_LANE_F32] = MOED_F32, [MOED_LANE_F16] = MOED_F16, [MOED_LANE_BF16] = MOED_BF16};

static int check_values(const struct lane_slot *slot, struct moed_error *err)
{
    const struct moed_lane_request *request = &slot->request;
    const uint32_t most = slot->client->lanes->service->options->max_request_rows;

    if (request->kind != MOED_LANE_FORWARD && request->kind != MOED_LANE_ROUTE)
        return moed_fail(err, MOED_E_MALFORMED, "kind: found %u, expected 1, 2 or 3",
                         request->kind);
    if ((request->flags & ~KNOWN_FLAGS) != 0)
        return moed_fail(err, MOED_E_MALFORMED, "flags: found %u, expected some of %u",
                         request->flags, KNOWN_FLAGS);
    if (request->hidden_dtype >= MOED_ARRAY_LEN(dtypes) ||
        request->output_dtype >= MOED_ARRAY_LEN(dtypes))
        return moed_fail(err, MOED_E_MALFORMED, "dtypes: found %u and %u, expected 0 to 2",
                         request->hidden_dtype, request->output_dtype);
    if (request->rows > most)
        return moed_fail(err, MOED_E_TOO_LARGE, "%u rows in one request, the limit is %u",
                         request->rows, most);
    return 0;
}

/* What does not go together, beside what the batcher checks. */
static int check_routing(const struct lane_slot *slot, const struct moed_layer *layer,
                         struct moed_error *err)
{
    const struct moed_lane_request *request = &slot->request;

    if (request->experts > layer->experts)
        return moed_fail(err, MOED_E_UNPROCESSABLE, "%u experts a row were given, the layer has %u",
                         request->experts, layer->experts);
    if (request->experts > 0 && request->kind == MOED_LANE_ROUTE)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "routing was supplied, but this kind is the one that chooses");
    if (request->experts > 0 && (request->flags & MOED_LANE_WANT_LOGITS) != 0)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "logits cannot be had with supplied routing, since the router is not "
                         "asked");
    return 0;
}

/* Supplied ids are checked and then used as indices, so nobody may change them in between. */
static int copy_routing(struct lane_slot *slot, const uint8_t *ids, const uint8_t *weights,
                        struct moed_error *err)
{
    struct moed_job *job = &slot->job;
    const size_t bytes = (size_t)slot->request.rows * slot->request.experts * sizeof(int32_t);

    if (slot->routing_bytes < 2 * bytes) {
        free(slot->routing);
        slot->routing = malloc(2 * bytes);
        slot->routing_bytes = slot->routing != NULL ? 2 * bytes : 0;
        if (slot->routing == NULL)
            return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the routing of %u rows",
                             slot->request.rows);
    }
    job->expert_ids = slot->routing;
    job->expert_weights = (void *)((uint8_t *)slot->routing + bytes);
    memcpy(job->expert_ids, ids, bytes);
    memcpy(job->expert_weights, weights, bytes);
    return 0;
}

static uint8_t row_flags(const struct moed_lane_request *request)
{
    unsigned flags = request->kind == MOED_LANE_ROUTE ? MOED_ROW_ROUTE_ONLY : 0;

    if (request->experts > 0)
        flags |= MOED_ROW_SUPPLIED;
    if ((request->flags & MOED_LANE_NO_SHARED) != 0)
        flags |= MOED_ROW_NO_SHARED;
    if ((request->flags & MOED_LANE_ONLY_SHARED) != 0)
        flags |= MOED_ROW_ONLY_SHARED;
    if ((request->flags & (MOED_LANE_NORM | MOED_LANE_RESIDUAL)) != 0)
        flags |= MOED_ROW_NORM;
    if ((request->flags & MOED_LANE_RESIDUAL) != 0)
        flags |= MOED_ROW_RESIDUAL;
    return (uint8_t)flags;
}

static uint64_t deadline(const struct lane_slot *slot)
{
    uint64_t us = slot->request.deadline_us;

    if (us == 0)
        us = (uint64_t)slot->client->lanes->service->options->default_deadline_ms * 1000;
    return us > 0 ? slot->taken_ns + us * 1000 : 0;
}

/* The job of a slot, whose arrays are where moed_lane_layout() has them. */
static int fill(struct lane_slot *slot, const struct moed_layer *layer, struct moed_error *err)
{
    const struct moed_lane_request *request = &slot->request;
    const struct moed_lane_arrays at =
        moed_lane_layout(request, layer->hidden, layer->used, layer->experts);
    uint8_t *arrays = lane_shared_arrays(slot->client, slot->index);
    struct moed_job *job = &slot->job;
    const bool routing = request->experts == 0 && (request->kind == MOED_LANE_ROUTE ||
                                                   (request->flags & MOED_LANE_WANT_ROUTING) != 0);

    if (at.size > slot->client->slot_bytes)
        return moed_fail(err, MOED_E_TOO_LARGE,
                         "the arrays of the request need %llu bytes, its slot has %llu",
                         (unsigned long long)at.size, (unsigned long long)slot->client->slot_bytes);
    job->layer = layer->index;
    job->rows = request->rows;
    job->slots = request->experts > 0 ? request->experts : layer->used;
    job->flags = row_flags(request);
    job->skip_missing = (request->flags & MOED_LANE_SKIP_MISSING) != 0;
    job->hidden_dtype = dtypes[request->hidden_dtype];
    job->output_dtype = dtypes[request->output_dtype];
    job->hidden = arrays + at.hidden;
    job->output = request->kind == MOED_LANE_ROUTE ? NULL : arrays + at.output;
    if (routing) {
        job->expert_ids = (void *)(arrays + at.out_ids);
        job->expert_weights = (void *)(arrays + at.out_weights);
    }
    if ((request->flags & MOED_LANE_WANT_LOGITS) != 0)
        job->logits = (void *)(arrays + at.logits);
    job->deadline_ns = deadline(slot);
    job->client = slot->client;
    job->done = lane_job_done;
    job->context = slot;
    lane_shared_slot(slot->client, slot->index)->answer.bytes = at.size;
    if (request->experts == 0)
        return 0;
    return copy_routing(slot, arrays + at.ids, arrays + at.weights, err);
}

/* The server's description of itself, as GET /v1/moe/info gives it. */
static int answer_info(struct lane_slot *slot, struct moed_error *err)
{
    const struct engine *engine = &slot->client->lanes->service->engine;

    if (engine->info_size > slot->client->slot_bytes)
        return moed_fail(err, MOED_E_TOO_LARGE, "the description has %zu bytes, the slot %llu",
                         engine->info_size, (unsigned long long)slot->client->slot_bytes);
    memcpy(lane_shared_arrays(slot->client, slot->index), engine->info, engine->info_size);
    lane_shared_slot(slot->client, slot->index)->answer.bytes = engine->info_size;
    lane_answer(slot, 0, NULL);
    return 0;
}

static int submit(struct lane_slot *slot, struct moed_error *err)
{
    const struct service *service = slot->client->lanes->service;
    const struct moed_layer *layer;
    int rc;

    if (service->phase == SERVICE_CLOSING)
        return moed_fail(err, MOED_E_DRAINING, "the server is shutting down and takes no new work");
    if (slot->request.kind == MOED_LANE_INFO)
        return answer_info(slot, err);
    rc = check_values(slot, err);
    if (rc == 0)
        rc = engine_layer(&service->engine, slot->request.layer, &layer, err);
    if (rc == 0)
        rc = check_routing(slot, layer, err);
    if (rc == 0)
        rc = fill(slot, layer, err);
    return rc != 0 ? rc : moed_batcher_submit(service->engine.batcher, &slot->job, err);
}

static void take(struct lane_client *client, uint32_t index)
{
    struct lane_slot *slot = &client->slots[index];
    struct moed_error err;

    atomic_store(&slot->busy, true);
    atomic_fetch_add(&client->load, 1);
    atomic_fetch_add(&client->lanes->n_busy, 1);
    memset(&slot->job, 0, sizeof slot->job);
    atomic_init(&slot->job.cancelled, false);
    memcpy(&slot->request, &lane_shared_slot(client, index)->request, sizeof slot->request);
    slot->taken_ns = moed_now_ns();
    if (submit(slot, &err) != 0)
        lane_answer(slot, err.code, err.message);
}

/* How a submission breaks the rules, or NULL. */
static const char *find_wrong(const struct lane_client *client, uint32_t index)
{
    if (index >= client->n_slots)
        return "submitted a slot that it does not have";
    if (atomic_load(&client->slots[index].busy) ||
        __atomic_load_n(&lane_shared_slot(client, index)->state, __ATOMIC_ACQUIRE) !=
            MOED_LANE_SUBMITTED)
        return "submitted a slot twice";
    return NULL;
}

bool lane_client_read(struct lane_client *client)
{
    const uint32_t submitted = __atomic_load_n(&client->lane->submitted, __ATOMIC_ACQUIRE);

    if (submitted - client->taken > client->n_slots) {
        lane_client_leave(client, "submitted more requests than it has slots");
        return false;
    }
    while (client->taken != submitted) {
        const uint32_t index = __atomic_load_n(
            &client->lane->queue[client->taken % client->n_slots], __ATOMIC_RELAXED);

        const char *wrong = find_wrong(client, index);

        if (wrong != NULL) {
            lane_client_leave(client, wrong);
            return false;
        }
        client->taken++;
        take(client, index);
    }
    return true;
}

void lane_client_rest(struct lane_client *client)
{
    __atomic_store_n(&client->lane->asleep, 1, __ATOMIC_SEQ_CST);
    lane_client_read(client);
}
