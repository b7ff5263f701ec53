/* answer.c: answers as they stand in a slot, and waking who waits for them. Mostly on a worker's
 * thread, right behind the computing: nobody else has to be woken first. */
#include "lanes.h"

#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WAITS_FUTEX = 1, WAITS_SOCKET = 2, NS_A_US = 1000 };

int lanes_make_metrics(struct lanes *lanes)
{
    struct moed_metrics *metrics = lanes->service->metrics;

    lanes->connections =
        moed_metrics_cell(metrics, MOED_GAUGE, "moed_lane_clients", "Clients of lanes.", NULL);
    lanes->durations =
        moed_metrics_histogram(metrics, MOED_BUCKETS_SECONDS, "moed_lane_request_duration_seconds",
                               "From when a lane's request was read to its answer.", NULL);
    return lanes->connections != NULL && lanes->durations != NULL ? 0 : MOED_E_NO_MEMORY;
}

/* Looked up once for each status; two threads that do so at once find the same cell. */
static void count(struct lanes *lanes, int status, uint64_t ns)
{
    struct moed_metric **cell = &lanes->answers[-status];
    struct moed_metric *known = __atomic_load_n(cell, __ATOMIC_ACQUIRE);
    char labels[64];

    if (known == NULL) {
        snprintf(labels, sizeof labels, "protocol=\"lane\",status=\"%s\"",
                 status == 0 ? "ok" : moed_error_info(status)->code);
        known = moed_metrics_cell(lanes->service->metrics, MOED_COUNTER, "moed_lane_requests_total",
                                  "Requests of lanes, by status.", labels);
        __atomic_store_n(cell, known, __ATOMIC_RELEASE);
    }
    moed_metric_add(known, 1);
    moed_histogram_observe(lanes->durations, (double)ns * 1e-9);
}

static double microseconds(uint64_t ns)
{
    const uint64_t us = ns / NS_A_US;

    return (double)us;
}

static void log_answer(const struct lane_slot *slot, int status, const char *message, uint64_t ns)
{
    const struct moed_job *job = &slot->job;
    const struct moed_log_field fields[] = {
        {.name = "protocol", .text = "lane"},
        {.name = "pid", .number = slot->client->peer.pid},
        {.name = "id", .number = (double)slot->request.id},
        {.name = "status", .text = status == 0 ? "ok" : moed_error_info(status)->code},
        {.name = "ms", .number = microseconds(ns) / 1e3},
        {.name = "layer", .number = slot->request.layer},
        {.name = "rows", .number = slot->request.rows},
        {.name = "queue_us", .number = microseconds(job->queue_ns)},
        {.name = "compute_us", .number = microseconds(job->compute_ns)},
        {.name = "batch_rows", .number = job->batch_rows},
        {.name = "detail", .text = message},
    };
    const enum moed_log_level level = slot->client->lanes->service->options->log_requests;

    if (moed_log_enabled(level))
        moed_log_event(level, "request", fields, MOED_ARRAY_LEN(fields) - (message == NULL));
}

static void wake(const struct lane_client *client)
{
    struct moed_lane *lane = client->lane;
    uint32_t waits;

    __atomic_add_fetch(&lane->answered, 1, __ATOMIC_SEQ_CST);
    waits = __atomic_load_n(&lane->waits, __ATOMIC_SEQ_CST);
    if (waits == WAITS_FUTEX)
        syscall(SYS_futex, &lane->answered, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    else if (waits == WAITS_SOCKET)
        send(client->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void lane_answer(struct lane_slot *slot, int status, const char *message)
{
    struct lane_client *client = slot->client;
    struct lanes *lanes = client->lanes;
    struct moed_lane_slot *shared = lane_shared_slot(client, slot->index);
    const struct moed_job *job = &slot->job;
    const uint64_t ns = moed_now_ns() - slot->taken_ns;
    uint32_t left;

    shared->answer.status = status;
    shared->answer.experts = job->slots;
    shared->answer.batch_rows = job->batch_rows;
    shared->answer.queue_ns = job->queue_ns;
    shared->answer.compute_ns = job->compute_ns;
    shared->answer.missing_slots = job->missing_slots;
    snprintf(shared->answer.message, sizeof shared->answer.message, "%s",
             message != NULL ? message : "");
    count(lanes, status, ns);
    log_answer(slot, status, message, ns);
    atomic_store(&slot->busy, false); /* the client may submit it again from the next line on */
    __atomic_store_n(&shared->state, MOED_LANE_ANSWERED, __ATOMIC_RELEASE);
    wake(client);
    left = atomic_fetch_sub(&client->load, 1) - 1; /* the client may be gone from here on */
    atomic_fetch_sub(&lanes->n_busy, 1);
    if (left == LANE_LEAVING || atomic_load(&lanes->draining))
        uv_async_send(&lanes->settled);
}

void lane_job_done(struct moed_job *job)
{
    lane_answer(job->context, job->status, job->status != 0 ? job->error.message : NULL);
}
