/* reload.h: SIGHUP: read again what may change while the server runs. */
#ifndef MOED_SERVER_RELOAD_H
#define MOED_SERVER_RELOAD_H

#include <uv.h>

struct server;

struct reload {
    uv_signal_t hangup;
};

/* Watches SIGHUP if there is anything to read again or a service manager, which may send it anyway;
 * otherwise the signal ends the process, as when its terminal closes. 0 or a libuv error. */
int reload_init(struct server *server);

#endif
