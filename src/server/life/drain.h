/* drain.h: the orderly end. */
#ifndef MOED_SERVER_DRAIN_H
#define MOED_SERVER_DRAIN_H

#include <stdbool.h>
#include <uv.h>

struct server;

struct drain {
    uv_timer_t timer; /* of the current step */
    bool flushing;    /* the last answers are on their way */
};

/* 0 or a libuv error. */
int drain_init(struct server *server);
/* SIGTERM or SIGINT, the first, the second. */
void drain_signal(struct server *server, int number);
/* Called after a port ran: stops the server when a drain has nothing left to wait for. */
void drain_check(struct server *server);

#endif
