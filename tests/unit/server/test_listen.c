/* Addresses of --listen, and the sockets that they become. */
#include "src/server/http/listen.h"

#include <fcntl.h>
#include <netdb.h>
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
        "127.0.0.1:65536",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
        "127.0.0.1:+80",
        "127.0.0.1: 80",
        "127.0.0.1:80x",
        "http://127.0.0.1:8080",
        "/run/moed.sock",
        "unix:@",
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

static void hints_are_of_what_was_found(void **state)
{
    static const char *const hints[][2] = {
        {"http://127.0.0.1:8080", "which is a URL"},
        {"https://[::1]:8080", "which is a URL"},
        {"::1:80", "expected [v6]:PORT"},
        {"/run/moed.sock", "unix:PATH"},
        {"127.0.0.1:99999", "expected a port from 0 (any that is free) to 65535"},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(hints); i++) {
        assert_int_equal(listener_open(hints[i][0], &listener, &err), MOED_E_USAGE);
        assert_non_null(strstr(err.message, hints[i][0]));
        assert_non_null(strstr(err.message, hints[i][1]));
    }
}

int __real_getaddrinfo(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int __wrap_getaddrinfo(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* Numbers, which the machine's own hosts file and resolver have no say in. */
static struct addrinfo *look_up(const char *number, const struct addrinfo *hints)
{
    struct addrinfo *found;

    assert_int_equal(__real_getaddrinfo(number, NULL, hints, &found), 0);
    return found;
}

/* "many" has two addresses of this machine, one of them twice, and one of another machine. */
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    static const char *const numbers[] = {"127.0.0.2", "192.0.2.1", "127.0.0.1", "::1"};

    if (strcmp(host, "many") != 0)
        return __real_getaddrinfo(host, service, hints, out);
    *out = look_up("127.0.0.1", hints);
    for (size_t i = 0; i < MOED_ARRAY_LEN(numbers); i++) {
        struct addrinfo *first = look_up(numbers[i], hints);

        first->ai_next = *out;
        *out = first;
    }
    return 0;
}

/* All of a name's addresses, of both families, with one port. */
static void a_name_is_all_its_addresses(void **state)
{
    struct listeners all, again;
    char spec[64];
    bool six;

    (void)state;
    six = listeners_open("[::1]:0", &all, &err) == 0;
    listeners_close(&all);
    assert_int_equal(listeners_open("many:0", &all, &err), 0);
    assert_int_equal(all.n, six ? 3 : 2);
    for (uint32_t i = 0; i < all.n; i++) {
        assert_string_not_equal(strrchr(all.at[i].address, ':'), ":0");
        assert_string_equal(strrchr(all.at[i].address, ':'), strrchr(all.at[0].address, ':'));
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(all.at[i].address, all.at[k].address);
    }
    /* One that somebody has is an error, whoever has the others. */
    snprintf(spec, sizeof spec, "many%s", strrchr(all.at[0].address, ':'));
    for (uint32_t i = 0; i + 1 < all.n; i++)
        listener_close(&all.at[i]);
    assert_int_equal(listeners_open(spec, &again, &err), MOED_E_IO);
    assert_int_equal(again.n, 0);
    listeners_close(&all);
    assert_int_equal(listeners_open(spec, &again, &err), 0);
    listeners_close(&again);
}

/* ---- what lies at a path ---- */

static char place[32], at[48], spec_at[64];

static int make_place(void **state)
{
    (void)state;
    memcpy(place, "/tmp/moed-listen-XXXXXX", sizeof "/tmp/moed-listen-XXXXXX");
    if (mkdtemp(place) == NULL)
        return -1;
    snprintf(at, sizeof at, "%s/s", place);
    snprintf(spec_at, sizeof spec_at, "unix:%s", at);
    return 0;
}

static int remove_place(void **state)
{
    (void)state;
    unlink(at);
    return rmdir(place);
}

/* Refused, and what was there is there still. */
static void stays(const char *why)
{
    struct stat before, after;

    assert_int_equal(lstat(at, &before), 0);
    assert_int_equal(listener_open(spec_at, &listener, &err), MOED_E_IO);
    assert_non_null(strstr(err.message, at));
    assert_non_null(strstr(err.message, why));
    assert_int_equal(lstat(at, &after), 0);
    assert_true(before.st_ino == after.st_ino);
}

static int socket_at(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, type, 0);

    memcpy(address.sun_path, at, strlen(at) + 1);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void only_sockets_are_replaced(void **state)
{
    char target[64];
    int fd;

    (void)state;
    fd = open(at, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    stays("found a file");
    unlink(at);
    assert_int_equal(mkfifo(at, 0600), 0);
    stays("found a pipe");
    unlink(at);
    assert_int_equal(mkdir(at, 0700), 0);
    stays("found a directory");
    rmdir(at);
    snprintf(target, sizeof target, "%s/target", place);
    assert_int_equal(symlink(target, at), 0);
    stays("found a symbolic link");
    unlink(at);
    close(socket_at(SOCK_STREAM)); /* dead */
    assert_int_equal(rename(at, target), 0);
    assert_int_equal(symlink(target, at), 0);
    stays("found a symbolic link");
    assert_int_equal(unlink(target), 0);
}

static void a_socket_of_another_kind_stays(void **state)
{
    const int fd = socket_at(SOCK_DGRAM);

    (void)state;
    stays("somebody listens");
    close(fd);
}

/* Its server is busy, and the probe does not wait for it. */
static void a_full_backlog_is_somebodys(void **state)
{
    const int fd = socket_at(SOCK_STREAM);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int clients[64];
    size_t n = 0;

    (void)state;
    memcpy(address.sun_path, at, strlen(at) + 1);
    assert_int_equal(listen(fd, 0), 0);
    for (; n < MOED_ARRAY_LEN(clients); n++) {
        clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(clients[n], (struct sockaddr *)&address, sizeof address) != 0)
            break;
    }
    assert_true(n < MOED_ARRAY_LEN(clients)); /* it is full */
    stays("somebody listens");
    for (size_t i = 0; i <= n; i++)
        close(clients[i]);
    close(fd);
}

/* A successor has the path by the time that its predecessor ends. */
static void a_successors_socket_stays(void **state)
{
    struct listener successor;
    struct stat status;

    (void)state;
    assert_int_equal(listener_open(spec_at, &listener, &err), 0);
    assert_int_equal(unlink(at), 0); /* as an operator does who sees that nothing answers */
    assert_int_equal(listener_open(spec_at, &successor, &err), 0);
    listener_close(&listener);
    assert_int_equal(lstat(at, &status), 0);
    listener_close(&successor);
    assert_int_not_equal(lstat(at, &status), 0);
}

static void abstract_names(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    struct listener second;
    struct stat status;
    int fd;

    (void)state;
    snprintf(name, sizeof name, "unix:@moed-test-%d", (int)getpid());
    assert_int_equal(listener_open(name, &listener, &err), 0);
    assert_string_equal(listener.address, name);
    assert_int_equal(lstat(name + strlen("unix:"), &status), -1); /* no file */
    assert_int_equal(listener_open(name, &second, &err), MOED_E_IO);
    memcpy(address.sun_path + 1, name + strlen("unix:@"), strlen(name) - strlen("unix:@"));
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) -
                                         strlen("unix:"))),
                     0);
    close(fd);
    listener_close(&listener);
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
        cmocka_unit_test(hints_are_of_what_was_found),
        cmocka_unit_test(a_name_is_all_its_addresses),
        cmocka_unit_test_setup_teardown(only_sockets_are_replaced, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_socket_of_another_kind_stays, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_full_backlog_is_somebodys, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_successors_socket_stays, make_place, remove_place),
        cmocka_unit_test(abstract_names),
        cmocka_unit_test(unix_sockets_replace_dead_ones_only),
        cmocka_unit_test(handed_over),
        cmocka_unit_test(a_handed_over_file_stays),
        cmocka_unit_test(what_is_no_listening_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
