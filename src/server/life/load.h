/* load.h: the loading thread, and the loop's watch over it. */
#ifndef MOED_SERVER_LOAD_H
#define MOED_SERVER_LOAD_H

#include "progress.h"

#include "src/base/base.h"
#include <uv.h>

struct server;
struct loader;

struct load {
    struct loader *loader; /* NULL: nothing is being loaded */
    uv_async_t finished;
    uv_timer_t ticker;
    struct progress progress;
    uint64_t told_ns, told; /* when the service manager heard of it last, and of how many bytes */
};

/* Starts loading; when it ends, the phase becomes READY or the server stops with the error. */
int load_start(struct server *server, struct moed_error *err);
/* The server is leaving: takes what is loaded, or leaves a thread that is still reading to clean
 * up behind itself (reading cannot be interrupted). */
void load_abandon(struct server *server);

#endif
