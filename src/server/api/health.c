/* health.c: probes for balancers, kubelets and `moed health`, and for KServe's clients. */
#include "health.h"

#include "service.h"

#include <string.h>

enum { NS_A_MS = 1000000 };

/* Only another process can compute on a device that failed. */
static int check_device(const struct service *service, struct moed_error *err)
{
    const struct moed_backend *backend = service->engine.backend;

    if (backend == NULL || !moed_backend_failed(backend))
        return 0;
    if (service->options->map)
        return moed_fail(
            err, MOED_E_DEVICE,
            "the file of the weights was changed or cut short while it was mapped: the "
            "process must be started again");
    return moed_fail(err, MOED_E_DEVICE,
                     "a device of the %s backend failed: the process must be started again",
                     moed_backend_name(backend));
}

static int check_workers(const struct service *service, struct moed_error *err)
{
    const uint32_t limit_ms = service->options->watchdog_ms;
    struct moed_worker_at_work oldest;
    uint64_t ms;

    if (limit_ms == 0 || service->engine.batcher == NULL ||
        !moed_batcher_oldest(service->engine.batcher, &oldest))
        return 0;
    ms = (moed_now_ns() - oldest.since_ns) / NS_A_MS;
    if (ms <= limit_ms)
        return 0;
    return moed_fail(err, MOED_E_STUCK,
                     "worker %u has been computing a batch of layer %u for %.1f s, the limit is "
                     "--watchdog-ms %u",
                     oldest.worker, oldest.layer, (double)ms * 1e-3, limit_ms);
}

int health_check(const struct service *service, struct moed_error *err)
{
    return check_device(service, err) != 0 ? err->code : check_workers(service, err);
}

static void say(struct request *request, const char *text)
{
    reply_borrow(request, "application/json", text, strlen(text));
    request_answer(request);
}

void health_live(struct request *request)
{
    struct moed_error err;

    if (health_check(service_of(request), &err) != 0)
        request_fail(request, &err);
    else
        say(request, "{\"status\":\"alive\",\"live\":true}\n");
}

/* 0, or why no work should be sent here. */
static int check_ready(const struct service *service, struct moed_error *err)
{
    switch (service->phase) {
    case SERVICE_LOADING:
        return moed_fail(err, MOED_E_LOADING, "the model is loading: %.2f of %.2f GB",
                         (double)service->loaded_bytes * 1e-9, (double)service->total_bytes * 1e-9);
    case SERVICE_READY:
        return health_check(service, err);
    case SERVICE_DRAINING:
    case SERVICE_CLOSING:
        break;
    }
    return moed_fail(err, MOED_E_DRAINING, "the server is draining, %u requests are in flight",
                     service->host->n_requests);
}

bool health_is_ready(const struct service *service)
{
    struct moed_error err;

    return check_ready(service, &err) == 0;
}

void health_ready(struct request *request)
{
    struct moed_error err;

    if (check_ready(service_of(request), &err) != 0)
        request_fail(request, &err);
    else
        say(request, "{\"status\":\"ready\",\"ready\":true}\n");
}
