/* state.h: a server as a whole: its HTTP host, the service behind it, and what its life needs. All
 * of it belongs to the loop thread. */
#ifndef MOED_SERVER_STATE_H
#define MOED_SERVER_STATE_H

#include "drain.h"
#include "load.h"
#include "notify.h"
#include "reload.h"
#include "signals.h"
#include "watchdog.h"

#include "src/server/api/service.h"
#include "src/server/http/host.h"
#include "src/server/lane/lanes.h"

struct server {
    struct moed_server_options settings; /* what was asked for, and is possible here */
    const struct moed_server_options *options;
    struct host host;
    struct service service;
    struct lanes lanes;
    struct load load;
    struct drain drain;
    struct signals signals;
    struct notify notify;
    struct watchdog watchdog;
    int result; /* of moed_server_run, with its reason */
    struct moed_error error;
};

/* Leaves uv_run as soon as no request is away, since libmicrohttpd cannot close a connection that
 * is suspended; new requests are refused meanwhile. `code` and `message` become the result of
 * moed_server_run; the first call counts. */
void server_stop(struct server *server, int code, const char *message);

#endif
