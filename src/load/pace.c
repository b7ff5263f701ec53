/* pace.c: when requests are sent. Without a rate each client sends as soon as it can (a closed
 * loop: it slows down with the server). With one, request i is due at begin + i / rate whatever
 * the server does, and its latency counts from there, also when no client was free to send it: a
 * server that stops for a second is charged for all that should have been asked in it. */
#include "run.h"

static uint64_t due_at(const struct run *run, uint64_t i)
{
    return run->begin_ns + (uint64_t)((double)i * 1e9 / run->options->rate);
}

/* NULL where all are busy. */
static struct connection *take_idle(struct run *run)
{
    while (run->idle != NULL) {
        struct connection *client = run->idle;

        run->idle = client->next;
        client->listed = false;
        if (client->state == CONNECTION_IDLE)
            return client;
    }
    return NULL;
}

uint64_t pace_send(struct run *run)
{
    const bool open = run->options->rate > 0;

    while (run->idle != NULL) {
        const uint64_t now = moed_now_ns(), due = open ? due_at(run, run->sent) : now;
        struct connection *client;

        if (due >= run->end_ns)
            return UINT64_MAX;
        if (due > now)
            return due;
        client = take_idle(run);
        if (client != NULL) {
            run->sent++;
            run_send(run, client, due);
        }
    }
    return UINT64_MAX;
}

uint64_t pace_late(const struct run *run)
{
    const uint64_t due = (uint64_t)(run->options->seconds * run->options->rate);

    return due > run->sent ? due - run->sent : 0;
}
