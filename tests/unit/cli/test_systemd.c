/* What systemd says in the environment, and which sockets --listen means by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/cli/systemd.h"

enum { OUR_PID = 4711 };

static const char *const *environment; /* name, value, …, NULL */
static struct systemd systemd;
static struct option_texts texts;
static struct moed_error err;

/* As getenv, which gives what is not const but nobody changes. */
static char *get(const char *name)
{
    static char values[8][64];
    size_t i = 0;

    for (const char *const *at = environment; *at != NULL; at += 2, i++)
        if (strcmp(at[0], name) == 0) {
            snprintf(values[i], sizeof(values[i]), "%s", at[1]);
            return values[i];
        }
    return NULL;
}

static int read_systemd(const char *const *variables)
{
    environment = variables;
    err = (struct moed_error){0};
    return systemd_read(&systemd, get, OUR_PID, &err);
}

/* The sockets that a --listen with these words comes to, with commas in between. */
static const char *resolve(const char *first, const char *second)
{
    static char found[256];
    size_t used = 0;

    texts = (struct option_texts){.at = {first, second},
                                  .n = second != NULL  ? 2
                                       : first != NULL ? 1
                                                       : 0};
    if (systemd_resolve(&systemd, &texts, &err) != 0)
        return NULL;
    found[0] = '\0';
    for (uint32_t i = 0; i < texts.n; i++)
        used += (size_t)snprintf(found + used, sizeof(found) - used, "%s%s", i > 0 ? "," : "",
                                 texts.at[i]);
    return found;
}

static void no_systemd(void **state)
{
    static const char *const none[] = {NULL};

    (void)state;
    assert_int_equal(read_systemd(none), 0);
    assert_null(systemd.notify_socket);
    assert_int_equal(systemd.watchdog_us, 0);
    assert_string_equal(resolve(NULL, NULL), "");
    assert_string_equal(resolve("unix:/x", "[::1]:1"), "unix:/x,[::1]:1");
}

static void sockets(void **state)
{
    static const char *const three[] = {
        "LISTEN_FDS", "3", "LISTEN_PID", "4711", "LISTEN_FDNAMES", "web:local:web", NULL};

    (void)state;
    assert_int_equal(read_systemd(three), 0);
    assert_string_equal(resolve(NULL, NULL), "fd:3,fd:4,fd:5");
    assert_string_equal(resolve("fd:local", NULL), "fd:4");
    assert_string_equal(resolve("fd:web", "127.0.0.1:1"), "fd:3,fd:5,127.0.0.1:1");
    assert_string_equal(resolve("fd:7", NULL), "fd:7"); /* a number is nobody's name */
    assert_null(resolve("fd:we", NULL));
    assert_int_equal(err.code, MOED_E_USAGE);
    assert_string_equal(err.message,
                        "--listen: no socket is named \"we\"; systemd passed 3, named "
                        "\"web:local:web\"");
    assert_null(resolve("fd:", NULL));
}

static void sockets_without_names(void **state)
{
    static const char *const two[] = {"LISTEN_FDS", "2", "LISTEN_PID", "4711", NULL};

    (void)state;
    assert_int_equal(read_systemd(two), 0);
    assert_string_equal(resolve(NULL, NULL), "fd:3,fd:4");
    assert_null(resolve("fd:", NULL));
    assert_null(resolve("fd:web", NULL));
}

static void fewer_names_than_sockets(void **state)
{
    static const char *const two[] = {"LISTEN_FDS",     "2", "LISTEN_PID", "4711",
                                      "LISTEN_FDNAMES", "a", NULL};

    (void)state;
    assert_int_equal(read_systemd(two), 0);
    assert_string_equal(resolve("fd:a", NULL), "fd:3");
    assert_string_equal(resolve(NULL, NULL), "fd:3,fd:4");
}

static void more_than_can_be(void **state)
{
    static const char *const many[] = {"LISTEN_FDS", "17", "LISTEN_PID", "4711", NULL};
    static const char *const all[] = {"LISTEN_FDS",
                                      "16",
                                      "LISTEN_PID",
                                      "4711",
                                      "LISTEN_FDNAMES",
                                      "a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a",
                                      NULL};

    (void)state;
    assert_int_equal(read_systemd(many), MOED_E_USAGE);
    assert_int_equal(read_systemd(all), 0);
    assert_non_null(resolve("fd:a", NULL));
    assert_int_equal(texts.n, 16);
    assert_string_equal(texts.at[15], "fd:18");
    assert_null(resolve("fd:a", "fd:3"));
}

static void meant_for_somebody_else(void **state)
{
    static const char *const parent[] = {"LISTEN_FDS",
                                         "2",
                                         "LISTEN_PID",
                                         "4710",
                                         "WATCHDOG_USEC",
                                         "20000",
                                         "WATCHDOG_PID",
                                         "4710",
                                         "NOTIFY_SOCKET",
                                         "@here",
                                         NULL};

    (void)state;
    assert_int_equal(read_systemd(parent), 0);
    assert_int_equal(systemd.n_sockets, 0);
    assert_int_equal(systemd.watchdog_us, 0);
    assert_string_equal(systemd.notify_socket, "@here");
    assert_string_equal(resolve(NULL, NULL), "");
}

static void watched(void **state)
{
    static const char *const ours[] = {"WATCHDOG_USEC", "30000000", "WATCHDOG_PID", "4711", NULL};
    static const char *const anybody[] = {"WATCHDOG_USEC", "7", NULL};

    (void)state;
    assert_int_equal(read_systemd(ours), 0);
    assert_int_equal(systemd.watchdog_us, 30000000);
    assert_int_equal(read_systemd(anybody), 0);
    assert_int_equal(systemd.watchdog_us, 7);
}

static void numbers_that_are_none(void **state)
{
    static const char *const names[] = {"LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC",
                                        "WATCHDOG_PID"};
    static const char *const values[] = {"", "x", "-1", "1x", "99999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++)
        for (size_t j = 0; j < MOED_ARRAY_LEN(values); j++) {
            const char *const variables[] = {names[i], values[j], NULL};

            assert_int_equal(read_systemd(variables), MOED_E_USAGE);
            assert_memory_equal(err.message, names[i], strlen(names[i]));
            assert_non_null(strstr(err.message, "expected a whole number"));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_systemd),
        cmocka_unit_test(sockets),
        cmocka_unit_test(sockets_without_names),
        cmocka_unit_test(fewer_names_than_sockets),
        cmocka_unit_test(more_than_can_be),
        cmocka_unit_test(meant_for_somebody_else),
        cmocka_unit_test(watched),
        cmocka_unit_test(numbers_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
