/* drain.h: the orderly end. */
#ifndef MOED_SERVER_DRAIN_H
#define MOED_SERVER_DRAIN_H

#include <stdbool.h>
#include <uv.h>

struct server;

struct drain {
    uv_signal_t term, interrupt;
    uv_timer_t timer; /* of the current step */
    bool flushing;    /* the last answers are on their way */
};

/* Watches SIGTERM and SIGINT. 0 or a libuv error. */
int drain_init(struct server *server);
/* Called after a port ran: stops the server when a drain has nothing left to wait for. */
void drain_check(struct server *server);

#endif
