/* remote.h: libmoed-client's inside: a lane as its client sees it. */
#ifndef MOED_REMOTE_H
#define MOED_REMOTE_H

#include <moed/client.h>
#include <moed/lane.h>

#include <pthread.h>

/* A mapped lane. */
struct lane {
    int fd; /* the socket; -1: not connected */
    struct moed_lane *shared;
    size_t size;
    uint32_t n_slots;
    uint64_t slot_bytes, slot_stride, slots_at;
};

struct lane_wish {
    const char *path, *api_key;
    uint32_t slots;
    uint64_t slot_bytes;
    uint32_t timeout_ms;
};

/* Connects, asks for a lane and maps it. The codes of moed_client_open. */
int lane_open(struct lane *lane, const struct lane_wish *wish, struct moed_error *err);
void lane_close(struct lane *lane);
/* Submits slot `index`, whose request and arrays are written. One thread at a time. */
void lane_submit(struct lane *lane, uint32_t index);
/* Whether the server has hung up. */
bool lane_has_ended(const struct lane *lane);

static inline struct moed_lane_slot *lane_slot(const struct lane *lane, uint32_t index)
{
    uint8_t *memory = (uint8_t *)lane->shared;

    return (void *)(memory + lane->slots_at + index * lane->slot_stride);
}

static inline uint8_t *lane_arrays(const struct lane *lane, uint32_t index)
{
    return (uint8_t *)lane_slot(lane, index) + sizeof(struct moed_lane_slot);
}

static inline bool lane_is_answered(const struct lane *lane, uint32_t index)
{
    return __atomic_load_n(&lane_slot(lane, index)->state, __ATOMIC_ACQUIRE) == MOED_LANE_ANSWERED;
}

struct moed_client {
    struct moed_client_options options;
    struct lane lane;
    char *info;
    struct moed_client_layer *layers;
    uint32_t n_layers;
    pthread_mutex_t lock; /* of what follows, and of submitting */
    uint32_t free[MOED_LANE_MAX_SLOTS], n_free;
    pthread_cond_t freed;
    uint32_t sleeping; /* threads that wait on the lane's futex */
};

/* ---- describe.c ---- */
/* Asks for the server's description and reads the layers in it. */
int client_describe(struct moed_client *client, const struct lane_wish *wish,
                    struct moed_error *err);
const struct moed_client_layer *client_layer(const struct moed_client *client, uint32_t layer);

/* ---- wait.c ---- */
/* Sleeps until `ready` or the time is over; looks for options.spin_us before. MOED_E_DEADLINE,
 * MOED_E_IO. */
int client_wait_until(struct moed_client *client,
                      bool (*ready)(struct moed_client *client, const void *context),
                      const void *context, struct moed_error *err);

#endif
