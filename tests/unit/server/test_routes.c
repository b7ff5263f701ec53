/* The route table: paths, layers in paths, methods. */
#include "src/server/api/endpoints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct route_match match;
static struct moed_error err;

static void finds_plain_paths(void **state)
{
    (void)state;
    assert_int_equal(route_find(&endpoints, "GET", "/livez", &match, &err), 0);
    assert_string_equal(match.route->path, "/livez");
    assert_false(match.has_layer);
    assert_false(match.route->needs_model);
    assert_int_equal(route_find(&endpoints, "POST", "/v1/moe/forward", &match, &err), 0);
    assert_true(match.route->takes_rows);
    assert_false(match.route->route_only);
    assert_int_equal(route_find(&endpoints, "POST", "/v1/moe/route", &match, &err), 0);
    assert_true(match.route->route_only);
    assert_int_equal(route_find(&endpoints, "GET", "/", &match, &err), 0);
    assert_string_equal(match.route->path, "/");
}

static void reads_the_layer(void **state)
{
    (void)state;
    assert_int_equal(route_find(&endpoints, "POST", "/v1/moe/layers/17/forward", &match, &err), 0);
    assert_true(match.has_layer);
    assert_int_equal(match.layer, 17);
    assert_string_equal(match.route->path, "/v1/moe/layers/{L}/forward");
    assert_int_equal(
        route_find(&endpoints, "POST", "/v1/moe/layers/4294967295/route", &match, &err), 0);
    assert_int_equal(match.layer, UINT32_MAX);
}

static void assert_text(struct route_text found, const char *expected)
{
    assert_int_equal(found.size, strlen(expected));
    assert_memory_equal(found.at, expected, found.size);
}

static void reads_model_and_version(void **state)
{
    (void)state;
    assert_int_equal(route_find(&endpoints, "POST", "/v2/models/a.layer3/infer", &match, &err), 0);
    assert_string_equal(match.route->path, "/v2/models/{M}/infer");
    assert_text(match.model, "a.layer3");
    assert_text(match.version, "");
    assert_false(match.has_layer);
    assert_int_equal(route_find(&endpoints, "GET", "/v2/models/a/versions/1", &match, &err), 0);
    assert_string_equal(match.route->path, "/v2/models/{M}/versions/{V}");
    assert_text(match.model, "a");
    assert_text(match.version, "1");
    assert_int_equal(route_find(&endpoints, "GET", "/v2/models/stats", &match, &err), 0);
    assert_string_equal(match.route->path, "/v2/models/stats");
    assert_text(match.model, "");
    assert_int_equal(route_find(&endpoints, "GET", "/v2/models/stats/stats", &match, &err), 0);
    assert_text(match.model, "stats");
}

static void refuses_other_paths(void **state)
{
    static const char *const paths[] = {
        "",
        "/livez/",
        "/LIVEZ",
        "/v1/moe/layers//forward",
        "/v1/moe/layers/-1/forward",
        "/v1/moe/layers/1x/forward",
        "/v1/moe/layers/4294967296/forward",
        "/v1/moe/layers/18446744073709551617/forward",
        "/v1/moe/layers/1/forward/more",
        "/v1/moe/layers/{L}/forward",
        "/v1/moe/layers/1",
        "/v2/",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/a/b/infer",
        "/v2/models/a/infer/",
        "/v2/models/a/versions//infer",
        "/v2/models/a/versions/1/2/infer",
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(paths); i++) {
        assert_int_equal(route_find(&endpoints, "POST", paths[i], &match, &err), MOED_E_NOT_FOUND);
        assert_null(match.route);
    }
}

static void says_which_methods_a_path_has(void **state)
{
    (void)state;
    assert_int_equal(route_find(&endpoints, "GET", "/v1/moe/layers/3/forward", &match, &err),
                     MOED_E_METHOD);
    assert_null(match.route);
    assert_string_equal(match.allow, "POST");
    assert_int_equal(route_find(&endpoints, "POST", "/v1/moe/experts", &match, &err),
                     MOED_E_METHOD);
    assert_string_equal(match.allow, "GET, HEAD, DELETE");
    assert_non_null(strstr(err.message, "found POST"));
    assert_int_equal(route_find(&endpoints, "POST", "/v2/models/stats", &match, &err),
                     MOED_E_METHOD);
    assert_string_equal(match.allow, "GET, HEAD");
}

static void head_goes_where_get_goes(void **state)
{
    (void)state;
    assert_int_equal(route_find(&endpoints, "HEAD", "/metrics", &match, &err), 0);
    assert_int_equal(route_find(&endpoints, "HEAD", "/v1/moe/forward", &match, &err),
                     MOED_E_METHOD);
    assert_true(route_method_known(&endpoints, "HEAD"));
    assert_true(route_method_known(&endpoints, "DELETE"));
    assert_false(route_method_known(&endpoints, "BREW"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_plain_paths),
        cmocka_unit_test(reads_the_layer),
        cmocka_unit_test(reads_model_and_version),
        cmocka_unit_test(refuses_other_paths),
        cmocka_unit_test(says_which_methods_a_path_has),
        cmocka_unit_test(head_goes_where_get_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
