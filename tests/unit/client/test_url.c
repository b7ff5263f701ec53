/* The forms of a URL. */
#include "src/client/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, const char *host, const char *port, const char *path)
{
    struct moed_url url;
    struct moed_error err;

    assert_int_equal(moed_url_parse(text, &url, &err), 0);
    assert_string_equal(url.host, host);
    assert_string_equal(url.port, port);
    assert_string_equal(url.path, path);
}

static void test_forms(void **state)
{
    (void)state;
    check("http://127.0.0.1:8080", "127.0.0.1", "8080", "");
    check("http://shard-3.local", "shard-3.local", "80", "");
    check("localhost:9000/", "localhost", "9000", "/");
    check("http://h:1/a/b?c=d", "h", "1", "/a/b?c=d");
    check("[::1]:8080", "::1", "8080", "");
    check("http://[fe80::1]/x", "fe80::1", "80", "/x");
}

static void test_tls(void **state)
{
    struct moed_url url;
    struct moed_error err;

    (void)state;
    check("https://moed.example", "moed.example", "443", "");
    check("https://[::1]:8443/x", "::1", "8443", "/x");
    assert_int_equal(moed_url_parse("https://h", &url, &err), 0);
    assert_true(url.is_tls);
    assert_int_equal(moed_url_parse("http://h", &url, &err), 0);
    assert_false(url.is_tls);
}

static void test_unix(void **state)
{
    struct moed_url url;
    struct moed_error err;

    (void)state;
    assert_int_equal(moed_url_parse("unix:/run/moed.sock", &url, &err), 0);
    assert_true(url.is_unix);
    assert_string_equal(url.host, "/run/moed.sock");
    assert_string_equal(url.path, "");
    assert_string_equal(moed_url_host(&url), "localhost");
}

static void test_wrong(void **state)
{
    static const char *const wrong[] = {
        "",         "http://",  ":80",     "https://",        "ftp://h/x",   "h:",
        "h:port",   "h:123456", "h:65536", "http://h:99999/", "http://h:1x", "unix:",
        "http://:1"};
    char long_path[400] = "http://h/";
    struct moed_url url;
    struct moed_error err;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(wrong); i++) {
        assert_int_equal(moed_url_parse(wrong[i], &url, &err), MOED_E_USAGE);
        assert_non_null(
            strstr(err.message, "expected http://HOST:PORT, https://HOST:PORT or unix:PATH"));
    }
    memset(long_path + 9, 'x', sizeof long_path - 10);
    assert_int_equal(moed_url_parse(long_path, &url, &err), MOED_E_USAGE);
    memset(long_path, 'x', 300);
    assert_int_equal(moed_url_parse(long_path, &url, &err), MOED_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
