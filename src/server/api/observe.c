/* observe.c: the metrics of HTTP and of the process as a whole. Those of queues and batches are
 * batch's. */
#include "observe.h"

#include "endpoints.h"
#include "health.h"
#include "service.h"

#include "src/server/http/accept.h"

#include <moed/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE", "OTHER"};

/* Requests are counted by what became of them: an error's code, or NOT_MODIFIED, or 0. */
enum { NOT_MODIFIED = MOED_ERROR_COUNT, OUTCOMES };
enum { METHODS = MOED_ARRAY_LEN(methods), LABELS_MAX = 512 };

/* A template, since there are only so many of those. */
static const char *route_label(size_t route)
{
    return route < endpoints.n ? endpoints.at[route].path : "unmatched";
}

static struct moed_metric *gauge(struct observe *observe, const char *name, const char *help,
                                 const char *labels)
{
    return moed_metrics_cell(observe->metrics, MOED_GAUGE, name, help, labels);
}

/* What may keep rows from being computed, other than a mistake in the request's form. */
static const int reasons[] = {
    MOED_E_LOADING,       MOED_E_DRAINING,    MOED_E_QUEUE_FULL, MOED_E_TOO_LARGE,
    MOED_E_BODY_TIMEOUT,  MOED_E_CONNECTIONS, MOED_E_DEADLINE,   MOED_E_CANCELLED,
    MOED_E_UNPROCESSABLE, MOED_E_NOT_SERVED,  MOED_E_DEVICE,
};

static void init_rejected(struct observe *observe)
{
    char labels[LABELS_MAX];

    for (size_t i = 0; i < MOED_ARRAY_LEN(reasons); i++) {
        snprintf(labels, sizeof labels, "reason=\"%s\"", moed_error_info(reasons[i])->code);
        observe->rejected[-reasons[i]] = moed_metrics_cell(
            observe->metrics, MOED_COUNTER, "moed_rejected_total",
            "Requests with rows that were refused, or dropped as they waited.", labels);
    }
}

int observe_init(struct observe *observe, struct moed_metrics *metrics, struct moed_error *err)
{
    observe->metrics = metrics;
    observe->requests =
        moed_calloc((endpoints.n + 1) * METHODS * OUTCOMES, sizeof(struct moed_metric *));
    observe->durations = moed_calloc(endpoints.n + 1, sizeof(struct moed_histogram *));
    if (observe->requests == NULL || observe->durations == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for metrics");
    observe->connections = gauge(observe, "moed_connections", "Open connections.", NULL);
    observe->ready = gauge(observe, "moed_ready", "1 when /readyz answers 200.", NULL);
    observe->lost_lines = moed_metrics_cell(
        observe->metrics, MOED_COUNTER, "moed_log_lost_lines_total",
        "Lines of the log that nobody read in time, or that could not be written.", NULL);
    moed_metric_set(gauge(observe, "moed_build_info", "Always 1; the labels say what was built.",
                          "version=\"" MOED_VERSION "\""),
                    1);
    init_rejected(observe);
    return 0;
}

void observe_fini(struct observe *observe)
{
    free(observe->requests);
    free(observe->durations);
}

/* A label's value as the text format wants it; cut where it does not fit. */
static void escape_label(char *out, size_t size, const char *value)
{
    size_t used = 0;

    for (; *value != '\0' && used + 3 < size; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n')
            out[used++] = '\\';
        out[used++] = *value == '\n' ? 'n' : *value;
    }
    out[used] = '\0';
}

int observe_model(struct observe *observe, const struct service *service, struct moed_error *err)
{
    const struct engine *engine = &service->engine;
    char name[128], arch[64], labels[LABELS_MAX];
    struct moed_metric *info, *bytes;

    escape_label(name, sizeof name, engine_name(engine, service->options));
    escape_label(arch, sizeof arch, engine->model->arch);
    snprintf(labels, sizeof labels,
             "name=\"%s\",architecture=\"%s\",fingerprint=\"%s\",backend=\"%s\",isa=\"%s\"", name,
             arch, engine->fingerprint, moed_backend_name(engine->backend),
             moed_backend_isa(engine->backend));
    info = gauge(observe, "moed_model_info", "Always 1; the labels say what is served.", labels);
    bytes = gauge(observe, "moed_weights_bytes", "Resident weights.", "device=\"cpu\"");
    if (info == NULL || bytes == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the model's metrics");
    moed_metric_set(info, 1);
    moed_metric_set(bytes, (double)moed_backend_bytes(engine->backend));
    return 0;
}

void observe_connection(struct observe *observe, bool opened)
{
    moed_metric_add(observe->connections, opened ? 1 : -1);
}

void observe_refused(struct observe *observe, int code)
{
    moed_metric_add(observe->rejected[-code], 1);
}

static size_t method_index(const char *method)
{
    for (size_t i = 0; i < METHODS; i++)
        if (strcmp(methods[i], method) == 0)
            return i;
    return METHODS - 1;
}

static struct moed_metric *requests_cell(struct observe *observe, size_t route, size_t method,
                                         int code, unsigned status)
{
    size_t outcome = status == MHD_HTTP_NOT_MODIFIED ? NOT_MODIFIED : (size_t)-code;
    struct moed_metric **cell = &observe->requests[(route * METHODS + method) * OUTCOMES + outcome];
    char labels[LABELS_MAX];

    if (*cell == NULL) {
        snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\",code=\"%u\"",
                 route_label(route), methods[method], status);
        *cell = moed_metrics_cell(observe->metrics, MOED_COUNTER, "moed_http_requests_total",
                                  "Requests by route, method and status; 499: the client left.",
                                  labels);
    }
    return *cell;
}

static struct moed_histogram *duration_cell(struct observe *observe, size_t route)
{
    char labels[LABELS_MAX];

    if (observe->durations[route] == NULL) {
        snprintf(labels, sizeof labels, "route=\"%s\"", route_label(route));
        observe->durations[route] = moed_metrics_histogram(
            observe->metrics, MOED_BUCKETS_SECONDS, "moed_http_request_duration_seconds",
            "From the end of a request's headers to the end of its answer.", labels);
    }
    return observe->durations[route];
}

void observe_request(struct observe *observe, const struct request *request)
{
    size_t route = request->route != NULL ? (size_t)(request->route - endpoints.at) : endpoints.n;
    uint64_t ns = moed_now_ns() - request->started_ns;
    bool left = request->reply.status == 0; /* in mid-body */
    int code = left ? MOED_E_CANCELLED : request->reply.code;
    unsigned status = left ? (unsigned)moed_error_info(code)->http : request->reply.status;

    moed_metric_add(requests_cell(observe, route, method_index(request->method), code, status), 1);
    moed_histogram_observe(duration_cell(observe, route), (double)ns * 1e-9);
    if (request->route != NULL && request->route->takes_rows)
        moed_metric_add(observe->rejected[-code], 1);
    access_log(&observe->access, request, route_label(route), status, ns);
}

static const char openmetrics[] = "application/openmetrics-text";

/* OpenMetrics for those who name it, and want it no less than plain text. */
static bool wants_openmetrics(const struct request *request)
{
    const char *accept = request_header(request, "Accept");
    double weight = accept_weight(accept, openmetrics);

    return weight > 0 && weight >= accept_weight(accept, "text/plain");
}

static void render(struct request *request)
{
    bool open = wants_openmetrics(request);
    size_t size;
    char *text = moed_metrics_render(service_of(request)->metrics,
                                     open ? MOED_OPENMETRICS : MOED_PROMETHEUS_TEXT, &size);

    if (text == NULL) {
        reply_problem(request, MOED_E_NO_MEMORY, "no memory for the metrics");
        return;
    }
    reply_take(request,
               open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                    : "text/plain; version=0.0.4; charset=utf-8",
               text, size);
    reply_constant(request, "Vary", "Accept");
}

/* On the pool: a series an expert makes hundreds of thousands of lines, and the process's own
 * numbers are read from files. */
void observe_get(struct request *request)
{
    struct service *service = service_of(request);

    moed_metric_set(service->observe.ready, health_is_ready(service));
    moed_metric_set(service->observe.lost_lines, (double)moed_log_dropped());
    request_offload(request, render, request_answer);
}
