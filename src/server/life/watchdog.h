/* watchdog.h: notices a worker that does not come back, a device that failed, and a loop that
 * stands still. */
#ifndef MOED_SERVER_WATCHDOG_H
#define MOED_SERVER_WATCHDOG_H

#include "src/base/base.h"
#include <uv.h>

struct server;

struct watchdog {
    uv_timer_t timer;
    uint64_t period_ms; /* of the timer */
    uint64_t ran_ns;    /* when it last did */
    bool stuck;         /* as the log says */
};

/* 0 or a libuv error. */
int watchdog_start(struct server *server);

#endif
