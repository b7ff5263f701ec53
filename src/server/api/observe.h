/* observe.h: what operators see: metrics, and what leads to the access log. */
#ifndef MOED_SERVER_OBSERVE_H
#define MOED_SERVER_OBSERVE_H

#include "access.h"

#include "src/metrics/metrics.h"

struct request;
struct service;

struct observe {
    struct moed_metrics *metrics;
    struct moed_metric *connections, *ready, *lost_lines;
    struct moed_metric *rejected[MOED_ERROR_COUNT]; /* by -code; NULL: it is no such reason */
    struct moed_metric **requests;     /* [routes + 1][methods][outcomes], looked up on first use */
    struct moed_histogram **durations; /* [routes + 1]; the last is for paths that do not exist */
    struct access access;
};

int observe_init(struct observe *observe, struct moed_metrics *metrics, struct moed_error *err);
void observe_fini(struct observe *observe);
/* Adds what is known of the model once it is loaded. */
int observe_model(struct observe *observe, const struct service *service, struct moed_error *err);

void observe_connection(struct observe *observe, bool opened);
/* A connection that was refused for `code`. */
void observe_refused(struct observe *observe, int code);
/* The end of a request: counts and logs it. */
void observe_request(struct observe *observe, const struct request *request);

/* GET /metrics */
void observe_get(struct request *request);

#endif
