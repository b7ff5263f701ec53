/* health.c: probes for balancers, kubelets and `moed health`, and for KServe's clients. */
#include "health.h"

#include "request.h"

#include <string.h>

static void say(struct request *request, const char *text)
{
    reply_borrow(request, "application/json", text, strlen(text));
    request_answer(request);
}

void health_live(struct request *request)
{
    say(request, "{\"status\":\"alive\",\"live\":true}");
}

void health_ready(struct request *request)
{
    const struct server *server = request->server;
    struct moed_error err;
    uint64_t done, total;

    if (server->phase == SERVER_READY) {
        say(request, "{\"status\":\"ready\",\"ready\":true}");
        return;
    }
    load_progress(server, &done, &total);
    if (server->phase >= SERVER_DRAINING)
        moed_fail(&err, MOED_E_DRAINING, "the server is draining, %u requests are in flight",
                  server->n_requests);
    else
        moed_fail(&err, MOED_E_LOADING, "the model is loading: %.2f of %.2f GB",
                  (double)done * 1e-9, (double)total * 1e-9);
    request_fail(request, &err);
}
