/* signals.h: SIGTERM, SIGINT and SIGHUP, which nobody is to die of before or after the loop turns.
 */
#ifndef MOED_SERVER_SIGNALS_H
#define MOED_SERVER_SIGNALS_H

#include <stdbool.h>
#include <uv.h>

struct signals {
    int fd; /* a signalfd(2); -1: not open */
    uv_poll_t poll;
    void (*heard)(void *owner, int number);
    void *owner;
};

/* Holds these signals back from the calling thread, and from those that it starts from now on: they
 * wait until the loop hears them, and what comes after it is lost. SIGHUP only if `hangup`. */
void signals_hold(bool hangup);
/* Tells `heard` of each on the loop's thread. 0 or a libuv error. */
int signals_init(struct signals *signals, uv_loop_t *loop);
/* Lets SIGTERM and SIGINT end the process from now on. */
void signals_let_kill(void);
/* Once the loop is closed. */
void signals_fini(struct signals *signals);

#endif
