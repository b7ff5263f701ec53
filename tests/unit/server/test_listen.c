/* Addresses of --listen, and the sockets that they become. */
#include "src/server/http/listen.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct listener listener;
static struct moed_error err;

static void any_free_port(void **state)
{
    int listening = 0;
    socklen_t size = sizeof(listening);
    unsigned port = 0;

    (void)state;
    assert_int_equal(listener_open("127.0.0.1:0", &listener, &err), 0);
    assert_int_equal(sscanf(listener.address, "http://127.0.0.1:%u", &port), 1);
    assert_in_range(port, 1, 65535);
    assert_int_equal(getsockopt(listener.fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size), 0);
    assert_true(listening);
    listener_close(&listener);
    assert_int_equal(listener.fd, -1);
    listener_close(&listener); /* twice is fine */
}

static void a_taken_port_is_named(void **state)
{
    struct listener second;
    char spec[sizeof listener.address];

    (void)state;
    assert_int_equal(listener_open("127.0.0.1:0", &listener, &err), 0);
    snprintf(spec, sizeof(spec), "%.100s", listener.address + strlen("http://"));
    assert_int_equal(listener_open(spec, &second, &err), MOED_E_IO);
    assert_non_null(strstr(err.message, spec));
    assert_int_equal(second.fd, -1);
    listener_close(&listener);
    assert_int_equal(listener_open(spec, &second, &err), 0);
    listener_close(&second);
}

static void six(void **state)
{
    (void)state;
    if (listener_open("[::1]:0", &listener, &err) != 0)
        skip(); /* no IPv6 here */
    assert_memory_equal(listener.address, "http://[::1]:", strlen("http://[::1]:"));
    listener_close(&listener);
}

static void malformed(void **state)
{
    static const char *const specs[] = {
        "",
        ":",
        "host",
        "host:",
        ":80",
        "::1:80",
        "[]:80",
        "127.0.0.1:no-such-service",
        "127.0.0.1:12345678901234567890",
        "unix:",
        "fd:",
        "fd:x",
        "fd:-1",
        "fd:4294967295",
        "fd:0x3",
        "fd:1000000",
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(specs); i++) {
        assert_int_equal(listener_open(specs[i], &listener, &err), MOED_E_USAGE);
        assert_memory_equal(err.message, "--listen", strlen("--listen"));
        assert_int_equal(listener.fd, -1);
    }
}

static void unix_sockets_replace_dead_ones_only(void **state)
{
    char folder[] = "/tmp/moed-listen-XXXXXX", spec[64];
    struct listener second;
    struct stat status;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(spec, sizeof(spec), "unix:%s/s", folder);
    assert_int_equal(listener_open(spec, &listener, &err), 0);
    assert_string_equal(listener.address, spec);
    assert_int_equal(listener_open(spec, &second, &err), MOED_E_IO); /* somebody listens */
    close(listener.fd);                                              /* dies, leaving its file */
    assert_int_equal(listener_open(spec, &second, &err), 0);
    listener_close(&second);
    assert_int_not_equal(stat(spec + strlen("unix:"), &status), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* A listener over the socket of another, as a service manager hands it over. */
static int inherit(int fd, struct listener *out)
{
    char spec[32];

    snprintf(spec, sizeof(spec), "fd:%d", fd);
    return listener_open(spec, out, &err);
}

static void handed_over(void **state)
{
    struct listener second;
    int on = 0;
    socklen_t size = sizeof(on);

    (void)state;
    assert_int_equal(listener_open("127.0.0.1:0", &listener, &err), 0);
    assert_int_equal(fcntl(listener.fd, F_SETFL, 0), 0);
    assert_int_equal(fcntl(listener.fd, F_SETFD, 0), 0);
    assert_int_equal(setsockopt(listener.fd, IPPROTO_TCP, TCP_NODELAY, &on, size), 0);
    assert_int_equal(inherit(listener.fd, &second), 0);
    assert_int_equal(second.fd, listener.fd);
    assert_string_equal(second.address, listener.address);
    assert_true(fcntl(second.fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fcntl(second.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(getsockopt(second.fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    assert_int_not_equal(on, 0);
    listener_close(&second);
}

static void a_handed_over_file_stays(void **state)
{
    char folder[] = "/tmp/moed-listen-XXXXXX", spec[64];
    struct listener second;
    struct stat status;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(spec, sizeof(spec), "unix:%s/s", folder);
    assert_int_equal(listener_open(spec, &listener, &err), 0);
    assert_int_equal(inherit(listener.fd, &second), 0);
    assert_string_equal(second.address, spec);
    listener_close(&second);
    assert_int_equal(stat(spec + strlen("unix:"), &status), 0); /* it is the manager's */
    assert_int_equal(unlink(spec + strlen("unix:")), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void what_is_no_listening_socket(void **state)
{
    int pair[2];
    const int fds[] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0),
                       open("/dev/null", O_RDWR), dup(STDERR_FILENO)};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(fds); i++) {
        assert_true(fds[i] >= 0);
        assert_int_equal(inherit(fds[i], &listener), MOED_E_USAGE);
        assert_non_null(strstr(err.message, "no stream socket that listens"));
        assert_int_equal(listener.fd, -1);
        close(fds[i]);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(inherit(pair[0], &listener), MOED_E_USAGE);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(inherit(pair[0], &listener), MOED_E_USAGE); /* closed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_free_port),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(six),
        cmocka_unit_test(malformed),
        cmocka_unit_test(unix_sockets_replace_dead_ones_only),
        cmocka_unit_test(handed_over),
        cmocka_unit_test(a_handed_over_file_stays),
        cmocka_unit_test(what_is_no_listening_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
