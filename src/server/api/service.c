/* service.c: the endpoints as their host sees them. */
#include "service.h"

#include "endpoints.h"
#include "forward.h"
#include "inferences.h"

static int check(const void *context, const struct route *route, struct moed_error *err)
{
    const struct service *service = context;

    if (!route->needs_model)
        return 0;
    if (service->phase == SERVICE_LOADING)
        return moed_fail(err, MOED_E_LOADING,
                         "the model is loading; GET /readyz says when it is there");
    if (service->phase == SERVICE_CLOSING)
        return moed_fail(err, MOED_E_DRAINING, "the server is shutting down and takes no new work");
    return 0;
}

static void connected(void *context, bool opened)
{
    struct service *service = context;

    observe_connection(&service->observe, opened);
}

static void refused(void *context, int code)
{
    struct service *service = context;

    observe_refused(&service->observe, code);
}

static void ended(void *context, const struct request *request)
{
    struct service *service = context;

    observe_request(&service->observe, request);
    inferences_count(request);
}

static void ticked(void *context, uint64_t now_ns)
{
    struct service *service = context;

    access_turn(&service->observe.access, now_ns);
}

const struct host_endpoints service_endpoints = {
    .routes = &endpoints,
    .state_size = sizeof(struct forward),
    .check = check,
    .connected = connected,
    .refused = refused,
    .ended = ended,
    .ticked = ticked,
};

int service_init(struct service *service, struct moed_error *err)
{
    int rc;

    service->metrics = moed_metrics_create();
    if (service->metrics == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for metrics");
    rc = observe_init(&service->observe, service->metrics, err);
    if (rc != 0)
        return rc;
    rc = mailbox_init(&service->mailbox, service->host);
    if (rc != 0)
        return moed_fail(err, MOED_E_IO, "starting the event loop: %s", uv_strerror(rc));
    return 0;
}

void service_fini(struct service *service)
{
    observe_fini(&service->observe);
    if (service->metrics != NULL)
        moed_metrics_destroy(service->metrics);
}
