/* Datagrams to a service manager, as systemd would get them. */
#include "src/server/life/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct notify notify;
static struct moed_error err;
static char folder[] = "/tmp/moed-notify-XXXXXX";

/* A manager that listens at `where`, a path or "@name". */
static int manager_open(const char *where)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, where);
    if (where[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(where))),
                     0);
    return fd;
}

static void assert_heard(int manager, const char *expected)
{
    char text[4096] = "";
    const ssize_t size = recv(manager, text, sizeof(text) - 1, 0);

    assert_true(size >= 0);
    assert_string_equal(text, expected);
}

static void exchange(const char *where)
{
    const int manager = manager_open(where);

    assert_int_equal(notify_init(&notify, where, &err), 0);
    notify_send(&notify, "READY=1\nSTATUS=serving %u layers", 7U);
    notify_send(&notify, "WATCHDOG=1");
    assert_heard(manager, "READY=1\nSTATUS=serving 7 layers");
    assert_heard(manager, "WATCHDOG=1");
    notify_fini(&notify);
    notify_send(&notify, "STOPPING=1"); /* to nobody */
    close(manager);
}

static void a_path(void **state)
{
    char where[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(where, sizeof(where), "%s/notify", folder);
    exchange(where);
    unlink(where);
    assert_int_equal(rmdir(folder), 0);
}

static void an_abstract_name(void **state)
{
    char where[64];

    (void)state;
    snprintf(where, sizeof(where), "@moed-test-%d", (int)getpid());
    exchange(where);
}

static void nobody(void **state)
{
    (void)state;
    assert_int_equal(notify_init(&notify, NULL, &err), 0);
    assert_int_equal(notify.fd, -1);
    notify_send(&notify, "READY=1");
    notify_fini(&notify);
    moed_log_configure(MOED_LOG_OFF, MOED_LOG_TEXT);
    assert_int_equal(notify_init(&notify, "/nowhere/notify", &err), 0);
    notify_send(&notify, "READY=1"); /* a manager that is gone is no reason to fail */
    notify_fini(&notify);
}

static void a_manager_that_does_not_read(void **state)
{
    char where[64];
    int manager;

    (void)state;
    snprintf(where, sizeof(where), "@moed-test-full-%d", (int)getpid());
    manager = manager_open(where);
    assert_int_equal(notify_init(&notify, where, &err), 0);
    for (int i = 0; i < 5000; i++)
        notify_send(&notify, "WATCHDOG=1"); /* returns, though no queue is that long */
    assert_heard(manager, "WATCHDOG=1");
    notify_fini(&notify);
    close(manager);
}

static void malformed(void **state)
{
    static char longest[200];
    const char *const wheres[] = {"", "/", "@", "relative", "vsock:2:1234", longest};

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '/';
    for (size_t i = 0; i < MOED_ARRAY_LEN(wheres); i++) {
        assert_int_equal(notify_init(&notify, wheres[i], &err), MOED_E_USAGE);
        assert_memory_equal(err.message, "NOTIFY_SOCKET: found", 20);
        assert_int_equal(notify.fd, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path),    cmocka_unit_test(an_abstract_name),
        cmocka_unit_test(nobody),    cmocka_unit_test(a_manager_that_does_not_read),
        cmocka_unit_test(malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
