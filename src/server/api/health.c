/* health.c: probes for balancers, kubelets and `moed health`, and for KServe's clients. */
#include "health.h"

#include "src/server/http/request.h"

#include <string.h>

static void say(struct request *request, const char *text)
{
    reply_borrow(request, "application/json", text, strlen(text));
    request_answer(request);
}

void health_live(struct request *request)
{
    struct moed_error err;

    if (watchdog_check(request->server, &err) != 0)
        request_fail(request, &err);
    else
        say(request, "{\"status\":\"alive\",\"live\":true}");
}

/* 0, or why no work should be sent here. */
static int check_ready(const struct server *server, struct moed_error *err)
{
    uint64_t done, total;

    switch (server->phase) {
    case SERVER_LOADING:
        load_progress(server, &done, &total);
        return moed_fail(err, MOED_E_LOADING, "the model is loading: %.2f of %.2f GB",
                         (double)done * 1e-9, (double)total * 1e-9);
    case SERVER_READY:
        return watchdog_check(server, err);
    case SERVER_DRAINING:
    case SERVER_CLOSING:
        break;
    }
    return moed_fail(err, MOED_E_DRAINING, "the server is draining, %u requests are in flight",
                     server->n_requests);
}

bool health_is_ready(const struct server *server)
{
    struct moed_error err;

    return check_ready(server, &err) == 0;
}

void health_ready(struct request *request)
{
    struct moed_error err;

    if (check_ready(request->server, &err) != 0)
        request_fail(request, &err);
    else
        say(request, "{\"status\":\"ready\",\"ready\":true}");
}
