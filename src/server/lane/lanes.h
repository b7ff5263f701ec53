/* lanes.h: clients of the same host that ask through shared memory (<moed/lane.h>). The loop's
 * thread accepts them, reads what they submit and hands it to the batcher, as for HTTP; the worker
 * that has computed a request writes its answer and wakes the client itself. */
#ifndef MOED_SERVER_LANES_H
#define MOED_SERVER_LANES_H

#include "src/server/api/service.h"

#include <moed/lane.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct lane_client;

/* A slot as the server keeps it: nothing that a client can write. */
struct lane_slot {
    struct lane_client *client;
    struct moed_job job;
    struct moed_lane_request request; /* as it was when it was taken */
    uint32_t index;
    atomic_bool busy; /* taken and not answered */
    uint64_t taken_ns;
    void *routing; /* the job's own copy of supplied ids and weights, kept for the next one */
    uint64_t routing_bytes;
};

struct lane_client {
    struct lane_client *next, *previous; /* among those of its lanes */
    struct lanes *lanes;
    struct ucred peer;
    int fd;
    uv_poll_t poll;
    uint64_t opened_ns;
    struct moed_lane_hello hello; /* as it arrives */
    size_t heard;                 /* bytes of it */
    struct moed_lane *lane;       /* the shared memory; NULL until the client is welcome */
    size_t size;
    uint64_t slot_bytes, slot_stride, slots_at; /* as in the lane, which the client may change */
    uint32_t n_slots, taken;                    /* submissions that were read */
    struct lane_slot *slots;                    /* [n_slots] */
    bool leaving;                               /* no longer watched or read */
    atomic_uint load; /* slots that are busy, and LANE_LEAVING once nobody reads it any more */
};

#define LANE_LEAVING 0x80000000U

struct lanes {
    struct service *service;
    void (*after_run)(void *owner); /* something was answered while draining */
    void *owner;
    struct lane_port {
        struct lanes *lanes;
        struct listener listener;
        uv_poll_t poll;
    } ports[MOED_MAX_LISTEN];
    uint32_t n_ports;
    struct lane_client *clients;
    uint32_t n_clients;
    uv_async_t settled; /* a leaving client has no busy slot left, or a drain waits for answers */
    uv_idle_t spin;     /* while it is active, the loop looks into the lanes all the time */
    uint64_t spin_until_ns;
    uv_timer_t sweeper;
    atomic_uint n_busy;   /* slots of all clients */
    atomic_bool draining; /* the loop wants to hear of every answer */
    struct moed_metric *connections, *answers[MOED_ERROR_COUNT];
    struct moed_histogram *durations;
};

/* Binds the paths of options->lanes. MOED_E_USAGE, MOED_E_IO, MOED_E_NO_MEMORY; lanes_close is due
 * in any case. */
int lanes_open(struct lanes *lanes, struct service *service, struct moed_error *err);
/* Accepts no more clients; what they submit from now on is refused, what was is answered. */
void lanes_quiesce(struct lanes *lanes);
/* Requests that have no answer yet. */
uint32_t lanes_busy(const struct lanes *lanes);
/* Disconnects all clients; the batcher has answered all jobs. */
void lanes_close(struct lanes *lanes);

/* Takes what a client has submitted, and goes on looking for --spin-us. */
void lanes_look(struct lanes *lanes, struct lane_client *client);

/* ---- attach.c: from a connection to a lane ---- */
void lane_client_accept(struct lanes *lanes, int fd);
/* Stops listening to a client, cancels its jobs, and frees it as soon as none is left. `why`, or
 * NULL where it left by itself, goes into the log. */
void lane_client_leave(struct lane_client *client, const char *why);

/* Frees a client that has left and has no busy slot. */
void lane_client_reap(struct lane_client *client);

/* ---- ring.c: what a client has submitted ---- */
/* Takes all of it. False where the client broke the rules, which has disconnected it. */
bool lane_client_read(struct lane_client *client);
/* Says that the client must ring before the loop looks again, and looks once more. */
void lane_client_rest(struct lane_client *client);

/* ---- answer.c ---- */
/* Writes an answer and wakes the client; any thread. */
void lane_answer(struct lane_slot *slot, int status, const char *message);
void lane_job_done(struct moed_job *job);
int lanes_make_metrics(struct lanes *lanes);

static inline struct moed_lane_slot *lane_shared_slot(const struct lane_client *client,
                                                      uint32_t index)
{
    uint8_t *memory = (uint8_t *)client->lane;

    return (void *)(memory + client->slots_at + index * client->slot_stride);
}

static inline uint8_t *lane_shared_arrays(const struct lane_client *client, uint32_t index)
{
    return (uint8_t *)lane_shared_slot(client, index) + sizeof(struct moed_lane_slot);
}

#endif
