/* routes.c: finds the route of a method and a path in a table. */
#include "routes.h"

#include <stdio.h>
#include <string.h>

bool route_method_known(const struct route_table *table, const char *method)
{
    if (strcmp(method, "HEAD") == 0)
        return true;
    for (size_t i = 0; i < table->n; i++)
        if (strcmp(method, table->at[i].method) == 0)
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

static void allow(struct route_match *match, const char *method)
{
    size_t used = strlen(match->allow);

    if (strstr(match->allow, method) != NULL)
        return; /* of another template that fits too */
    snprintf(match->allow + used, sizeof match->allow - used, "%s%s%s", used > 0 ? ", " : "",
             method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int route_find(const struct route_table *table, const char *method, const char *path,
               struct route_match *out, struct moed_error *err)
{
    const char *left_out;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < table->n; i++) {
        if (!path_fits(&table->at[i], path, out))
            continue;
        if (method_fits(&table->at[i], method)) {
            out->route = &table->at[i];
            return 0;
        }
        allow(out, table->at[i].method);
    }
    if (out->allow[0] != '\0')
        return moed_fail(err, MOED_E_METHOD, "%.200s: found %s, expected %s", path, method,
                         out->allow);
    left_out = table->left_out(path);
    if (left_out != NULL)
        return moed_fail(err, MOED_E_LEFT_OUT,
                         "%.200s: this server is without %s; GET /v2 lists the "
                         "extensions that it has",
                         path, left_out);
    return moed_fail(err, MOED_E_NOT_FOUND, "no such path: %.200s; GET /openapi.json lists them",
                     path);
}
