/* endpoints.c: the table of endpoints. openapi.json describes the same ones; a test holds the two
 * together. */
#include "endpoints.h"

#include "experts.h"
#include "forward.h"
#include "health.h"
#include "inferences.h"
#include "info.h"
#include "kserve.h"
#include "observe.h"
#include "openapi.h"
#include "page.h"

#include <string.h>

#define ROWS                                                                                  \
    .needs_model = true, .takes_rows = true, .state = &forward_state, .admit = forward_admit, \
    .handle = forward_begin

#define KSERVE_ROWS                                                                           \
    .needs_model = true, .takes_rows = true, .state = &forward_state, .resolve = kserve_find, \
    .admit = forward_admit_kserve, .handle = forward_begin

#define KSERVE_MODEL .needs_model = true, .resolve = kserve_find

/* The first that fits counts: a model cannot be called "stats". */
static const struct route routes[] = {
    {"POST", "/v1/moe/forward", ROWS},
    {"POST", "/v1/moe/layers/{L}/forward", ROWS},
    {"POST", "/v1/moe/route", ROWS, .route_only = true},
    {"POST", "/v1/moe/layers/{L}/route", ROWS, .route_only = true},
    {"GET", "/v1/moe/info", .needs_model = true, .handle = info_get},
    {"GET", "/v1/moe/experts", .needs_model = true, .handle = experts_get},
    {"DELETE", "/v1/moe/experts", .needs_model = true, .handle = experts_delete},
    {"GET", "/v2", .handle = kserve_server},
    {"GET", "/v2/health/live", .access = ROUTE_OPEN, .handle = health_live},
    {"GET", "/v2/health/ready", .access = ROUTE_OPEN, .handle = health_ready},
    {"GET", "/v2/models/stats", .needs_model = true, .handle = inferences_get},
    {"GET", "/v2/models/{M}", KSERVE_MODEL, .handle = kserve_model},
    {"GET", "/v2/models/{M}/ready", KSERVE_MODEL, .handle = health_ready},
    {"GET", "/v2/models/{M}/config", KSERVE_MODEL, .handle = kserve_config},
    {"GET", "/v2/models/{M}/stats", KSERVE_MODEL, .handle = inferences_get},
    {"POST", "/v2/models/{M}/infer", KSERVE_ROWS},
    {"GET", "/v2/models/{M}/versions/{V}", KSERVE_MODEL, .handle = kserve_model},
    {"GET", "/v2/models/{M}/versions/{V}/ready", KSERVE_MODEL, .handle = health_ready},
    {"GET", "/v2/models/{M}/versions/{V}/config", KSERVE_MODEL, .handle = kserve_config},
    {"GET", "/v2/models/{M}/versions/{V}/stats", KSERVE_MODEL, .handle = inferences_get},
    {"POST", "/v2/models/{M}/versions/{V}/infer", KSERVE_ROWS},
    {"POST", "/v2/repository/index", .needs_model = true, .handle = kserve_index},
    {"GET", "/livez", .access = ROUTE_OPEN, .handle = health_live},
    {"GET", "/readyz", .access = ROUTE_OPEN, .handle = health_ready},
    {"GET", "/health", .access = ROUTE_OPEN, .handle = health_ready},
    {"GET", "/metrics", .access = ROUTE_METRICS, .handle = observe_get},
    {"GET", "/openapi.json", .handle = openapi_get},
    {"GET", "/", .access = ROUTE_OPEN, .handle = page_get},
};

/* Parts of KServe v2 and of Triton's extensions that this server does without. Its clients know 501
 * from a server that they have not reached. */
static const struct left_out {
    const char *path; /* and all that begins with it and a slash */
    const char *what;
} left_out[] = {
    {"/v2/systemsharedmemory", "shared memory"},
    {"/v2/cudasharedmemory", "shared memory"},
    {"/v2/trace", "tracing"},
    {"/v2/logging", "log settings"},
    {"/v2/repository/models", "loading and unloading of models"},
};

static bool ends_in_trace(const char *path)
{
    static const char models[] = "/v2/models/", end[] = "/trace/setting";
    const size_t size = strlen(path);

    return size > sizeof models + sizeof end && strncmp(path, models, sizeof models - 1) == 0 &&
           strcmp(path + size - (sizeof end - 1), end) == 0;
}

/* NULL where `path` is none of these. */
static const char *find_left_out(const char *path)
{
    for (size_t i = 0; i < MOED_ARRAY_LEN(left_out); i++) {
        const size_t size = strlen(left_out[i].path);

        if (strncmp(path, left_out[i].path, size) == 0 && (path[size] == '/' || path[size] == '\0'))
            return left_out[i].what;
    }
    return ends_in_trace(path) ? "tracing" : NULL;
}

const struct route_table endpoints = {routes, MOED_ARRAY_LEN(routes), find_left_out};
