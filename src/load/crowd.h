/* crowd.h: connections beside the clients that a server has to put up with: silent ones, and ones
 * that send a request a byte a second. */
#ifndef MOED_LOAD_CROWD_H
#define MOED_LOAD_CROWD_H

#include "plan.h"

struct crowd_member {
    struct moed_stream stream;
    size_t sent;
};

struct crowd {
    const struct plan *plan;
    struct crowd_member *members; /* [n], the slow ones first */
    uint32_t n, n_slow;
    uint32_t next; /* whose turn it is */
};

/* Connects all of them. Blocks. MOED_E_IO, MOED_E_NO_MEMORY. */
int crowd_init(struct crowd *crowd, const struct plan *plan, struct moed_error *err);
void crowd_fini(struct crowd *crowd);
/* To be called CROWD_TURNS times a second: each member has its turn once a second. Those that the
 * server has hung up on connect again. */
enum { CROWD_TURNS = 1000 };
void crowd_turn(struct crowd *crowd);

#endif
