/* run.h: a run while it goes on. One thread. */
#ifndef MOED_LOAD_RUN_H
#define MOED_LOAD_RUN_H

#include "connection.h"
#include "crowd.h"

struct run {
    const struct moed_load_options *options;
    struct moed_load_result *result;
    struct plan plan;
    struct crowd crowd;
    int epoll;
    struct connection *clients; /* [options->clients] */
    struct connection *idle;    /* those that can send, and some that have ended since */
    uint32_t n_busy;
    struct moed_random random;
    uint64_t begin_ns, end_ns; /* of sending */
    uint64_t sent;             /* requests, abandoned ones too */
    uint64_t ticks;
};

/* ---- pace.c: when to send ---- */
/* Sends what is due; returns when the next is: UINT64_MAX if only an answer can bring one. */
uint64_t pace_send(struct run *run);
/* Requests that became due and were not sent. */
uint64_t pace_late(const struct run *run);

/* ---- run.c ---- */
/* Sends on an idle client, or has it hang up in the midst. */
void run_send(struct run *run, struct connection *client, uint64_t due_ns);
/* Processor time that this process has used. */
double run_cpu_seconds(void);

#endif
