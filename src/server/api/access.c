/* access.c: what the line of a request holds. Whatever a client may choose (its id, its
 * traceparent) was checked as it came in, and is escaped again by the log. */
#include "access.h"

#include "forward.h"
#include "health.h"
#include "service.h"

enum { MAX_FIELDS = 14, NS_A_US = 1000, FAILURES_A_SECOND = 100 };

struct line {
    struct moed_log_field fields[MAX_FIELDS];
    size_t n;
};

static void add_text(struct line *line, const char *name, const char *text)
{
    line->fields[line->n++] = (struct moed_log_field){.name = name, .text = text};
}

static void add_number(struct line *line, const char *name, double number)
{
    line->fields[line->n++] = (struct moed_log_field){.name = name, .number = number};
}

/* Whole ones: nobody reads more digits in a log. */
static double microseconds(uint64_t ns)
{
    uint64_t us = ns / NS_A_US;

    return (double)us;
}

static void add_rows(struct line *line, const struct forward *forward)
{
    const struct moed_job *job = &forward->job;

    if (forward->layer != NULL)
        add_number(line, "layer", forward->layer->index);
    if (!forward->submitted)
        return;
    add_number(line, "rows", job->rows);
    add_number(line, "queue_us", microseconds(job->queue_ns));
    add_number(line, "compute_us", microseconds(job->compute_ns));
    add_number(line, "batch_rows", job->batch_rows);
    if (job->status != 0)
        add_text(line, "detail", job->error.message);
}

/* What asks whether we are ready expects to hear that we are not. */
static bool is_probe(const struct request *request)
{
    return request->route != NULL && request->route->handle == health_ready;
}

void access_turn(struct access *access, uint64_t now_ns)
{
    if (now_ns - access->since_ns < UINT64_C(1000000000))
        return;
    if (access->rest > 0)
        moed_log(MOED_LOG_INFO, "%u more requests failed after %u that have a line each",
                 access->rest, access->told);
    *access = (struct access){.since_ns = now_ns};
}

static bool has_line(struct access *access)
{
    access_turn(access, moed_now_ns());
    if (access->told < FAILURES_A_SECOND)
        access->told++;
    else
        access->rest++;
    return access->rest == 0;
}

void access_log(struct access *access, const struct request *request, const char *route,
                unsigned status, uint64_t ns)
{
    const bool failed = status >= MHD_HTTP_BAD_REQUEST && !is_probe(request);
    enum moed_log_level level = service_of(request)->options->log_requests;
    const bool raised = failed && level == MOED_LOG_DEBUG;
    struct line line = {.n = 0};

    if (raised)
        level = MOED_LOG_INFO;
    if (!moed_log_enabled(level) ||
        (raised && !moed_log_enabled(MOED_LOG_DEBUG) && !has_line(access)))
        return;
    add_text(&line, "request_id", request->id);
    if (request->traceparent[0] != '\0')
        add_text(&line, "traceparent", request->traceparent);
    add_text(&line, "method", request->method);
    add_text(&line, "route", route);
    add_number(&line, "status", status);
    if (failed && request->reply.code != 0)
        add_text(&line, "code", moed_error_info(request->reply.code)->code);
    add_number(&line, "ms", microseconds(ns) / 1e3);
    if (forward_is_of(request))
        add_rows(&line, forward_of(request));
    moed_log_event(level, "request", line.fields, line.n);
}
