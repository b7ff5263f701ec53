/* routes.c: the table of endpoints. openapi.json describes the same ones; a test holds the two
 * together. */
#include "routes.h"

#include "experts.h"
#include "forward.h"
#include "health.h"
#include "inferences.h"
#include "info.h"
#include "kserve.h"
#include "observe.h"
#include "openapi.h"
#include "page.h"

#include <stdio.h>
#include <string.h>

#define ROWS \
    .needs_model = true, .takes_rows = true, .admit = forward_admit, .handle = forward_begin

#define KSERVE_ROWS \
    .needs_model = true, .takes_rows = true, .admit = forward_admit_kserve, .handle = forward_begin

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
    {"GET", "/v2/models/{M}", .needs_model = true, .handle = kserve_model},
    {"GET", "/v2/models/{M}/ready", .needs_model = true, .handle = health_ready},
    {"GET", "/v2/models/{M}/config", .needs_model = true, .handle = kserve_config},
    {"GET", "/v2/models/{M}/stats", .needs_model = true, .handle = inferences_get},
    {"POST", "/v2/models/{M}/infer", KSERVE_ROWS},
    {"GET", "/v2/models/{M}/versions/{V}", .needs_model = true, .handle = kserve_model},
    {"GET", "/v2/models/{M}/versions/{V}/ready", .needs_model = true, .handle = health_ready},
    {"GET", "/v2/models/{M}/versions/{V}/config", .needs_model = true, .handle = kserve_config},
    {"GET", "/v2/models/{M}/versions/{V}/stats", .needs_model = true, .handle = inferences_get},
    {"POST", "/v2/models/{M}/versions/{V}/infer", KSERVE_ROWS},
    {"POST", "/v2/repository/index", .needs_model = true, .handle = kserve_index},
    {"GET", "/livez", .access = ROUTE_OPEN, .handle = health_live},
    {"GET", "/readyz", .access = ROUTE_OPEN, .handle = health_ready},
    {"GET", "/health", .access = ROUTE_OPEN, .handle = health_ready},
    {"GET", "/metrics", .access = ROUTE_METRICS, .handle = observe_get},
    {"GET", "/openapi.json", .handle = openapi_get},
    {"GET", "/", .access = ROUTE_OPEN, .handle = page_get},
};

size_t route_count(void)
{
    return MOED_ARRAY_LEN(routes);
}

size_t route_index(const struct route *route)
{
    return (size_t)(route - routes);
}

const struct route *route_at(size_t i)
{
    return &routes[i];
}

bool route_method_known(const char *method)
{
    if (strcmp(method, "HEAD") == 0)
        return true;
    for (size_t i = 0; i < MOED_ARRAY_LEN(routes); i++)
        if (strcmp(method, routes[i].method) == 0)
            return true;
    return false;
}

static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* Whatever stands between two slashes. */
static bool read_text(const char **path, struct route_text *out)
{
    *out = (struct route_text){*path, strcspn(*path, "/")};
    *path += out->size;
    return out->size > 0;
}

static bool read_hole(char hole, const char **path, struct route_match *match)
{
    switch (hole) {
    case 'L':
        match->has_layer = true;
        return moed_read_u32(path, &match->layer);
    case 'M':
        return read_text(path, &match->model);
    default:
        return read_text(path, &match->version);
    }
}

static bool path_fits(const struct route *route, const char *path, struct route_match *match)
{
    const char *template = route->path;

    match->has_layer = false;
    match->model = match->version = (struct route_text){0};
    while (*template != '\0') {
        if (*template == '{') {
            if (!read_hole(template[1], &path, match))
                return false;
            template += strlen("{L}");
        } else if (*template ++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

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

static void allow(struct route_match *match, const char *method)
{
    size_t used = strlen(match->allow);

    if (strstr(match->allow, method) != NULL)
        return; /* of another template that fits too */
    snprintf(match->allow + used, sizeof match->allow - used, "%s%s%s", used > 0 ? ", " : "",
             method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int route_find(const char *method, const char *path, struct route_match *out,
               struct moed_error *err)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < MOED_ARRAY_LEN(routes); i++) {
        if (!path_fits(&routes[i], path, out))
            continue;
        if (method_fits(&routes[i], method)) {
            out->route = &routes[i];
            return 0;
        }
        allow(out, routes[i].method);
    }
    if (out->allow[0] != '\0')
        return moed_fail(err, MOED_E_METHOD, "%.200s: found %s, expected %s", path, method,
                         out->allow);
    if (find_left_out(path) != NULL)
        return moed_fail(err, MOED_E_LEFT_OUT,
                         "%.200s: this server is without %s; GET /v2 lists the "
                         "extensions that it has",
                         path, find_left_out(path));
    return moed_fail(err, MOED_E_NOT_FOUND, "no such path: %.200s; GET /openapi.json lists them",
                     path);
}
