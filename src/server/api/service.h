/* service.h: what the endpoints stand on: the model that is served, what operators see, and how far
 * the server's life is. It belongs to the loop's thread. */
#ifndef MOED_SERVER_SERVICE_H
#define MOED_SERVER_SERVICE_H

#include "engine.h"
#include "mailbox.h"
#include "observe.h"

#include "src/server/http/host.h"
#include "src/server/http/request.h"

enum service_phase {
    SERVICE_LOADING,  /* the ports are bound, the model is not there yet */
    SERVICE_READY,    /* serving */
    SERVICE_DRAINING, /* told to stop: not ready, but still serving while balancers notice */
    SERVICE_CLOSING   /* accepts no connection and no new work, finishes what it has */
};

struct service {
    const struct moed_server_options *options;
    struct host *host;
    enum service_phase phase;
    bool out_of_time;                   /* the drain timeout is over: nothing more is queued */
    uint64_t loaded_bytes, total_bytes; /* while loading; 0 of 0 before the size is known */
    struct engine engine;
    struct moed_metrics *metrics;
    struct observe observe;
    struct mailbox mailbox; /* finished jobs, from the workers */
};

extern const struct host_endpoints service_endpoints;

/* host, options and loop are set. MOED_E_NO_MEMORY, MOED_E_IO. */
int service_init(struct service *service, struct moed_error *err);
void service_fini(struct service *service);

/* The service that a request asks. */
static inline struct service *service_of(const struct request *request)
{
    return request->host->service;
}

#endif
