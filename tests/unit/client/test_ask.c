/* Asking over a connection that is kept, against a server of a few scripted answers. */
#include "src/client/client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER(headers, body) "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" headers "\r\n" body
#define REQUEST               "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* A connection gets its answers one a request, and is closed after them; NULL ends both lists. */
struct script {
    const char *const *const *connections;
    int listener;
    pthread_t thread;
    char folder[32];
    struct moed_url url;
    struct moed_asker asker;
};

static void *serve(void *context)
{
    const struct script *script = context;
    char request[sizeof REQUEST];

    for (size_t i = 0; script->connections[i] != NULL; i++) {
        const int fd = accept(script->listener, NULL, NULL);

        for (size_t j = 0; script->connections[i][j] != NULL; j++) {
            const char *answer = script->connections[i][j];

            if (recv(fd, request, sizeof REQUEST - 1, MSG_WAITALL) == sizeof REQUEST - 1)
                send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        }
        close(fd);
    }
    return NULL;
}

static void begin(struct script *script, const char *const *const *connections)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct moed_error err;
    char url[64];

    *script = (struct script){.connections = connections, .folder = "/tmp/moed-ask-XXXXXX"};
    assert_non_null(mkdtemp(script->folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", script->folder);
    script->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(script->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(script->listener, 4), 0);
    snprintf(url, sizeof url, "unix:%s/s", script->folder);
    assert_int_equal(moed_url_parse(url, &script->url, &err), 0);
    assert_int_equal(pthread_create(&script->thread, NULL, serve, script), 0);
    moed_asker_init(&script->asker, &script->url, NULL, 20000);
}

static void end(struct script *script)
{
    moed_asker_fini(&script->asker);
    pthread_join(script->thread, NULL);
    close(script->listener);
    unlink(script->url.host);
    rmdir(script->folder);
}

static void check_answer(struct script *script, const char *body)
{
    struct moed_asked asked;
    struct moed_error err;

    assert_int_equal(moed_asker_ask(&script->asker, REQUEST, sizeof REQUEST - 1, &asked, &err), 0);
    assert_int_equal(asked.status, 200);
    assert_int_equal(asked.size, strlen(body));
    assert_string_equal(asked.body, body);
    free(asked.body);
}

static void check_fault(struct script *script, int code, const char *message)
{
    struct moed_asked asked;
    struct moed_error err;

    assert_int_equal(moed_asker_ask(&script->asker, REQUEST, sizeof REQUEST - 1, &asked, &err),
                     code);
    assert_non_null(strstr(err.message, message));
    assert_null(asked.body);
    assert_int_equal(script->asker.stream.fd, -1);
}

static void test_a_connection_is_kept(void **state)
{
    static const char *const answers[] = {ANSWER("", "ab"), ANSWER("", "cd"), NULL};
    static const char *const *const connections[] = {answers, NULL};
    struct script script;

    (void)state;
    begin(&script, connections);
    check_answer(&script, "ab");
    check_answer(&script, "cd");
    end(&script);
}

static void test_a_connection_that_ends_is_made_anew(void **state)
{
    static const char *const last[] = {ANSWER("Connection: close\r\n", "ab"), NULL};
    static const char *const next[] = {ANSWER("", "cd"), NULL};
    static const char *const *const connections[] = {last, next, NULL};
    struct script script;

    (void)state;
    begin(&script, connections);
    check_answer(&script, "ab");
    assert_int_equal(script.asker.stream.fd, -1);
    check_answer(&script, "cd");
    end(&script);
}

static void test_faults(void **state)
{
    static const char *const silent[] = {"", NULL}, *const cut[] = {ANSWER("", "a"), NULL};
    static const char *const strange[] = {"SSH-2.0\r\n", NULL};
    static const char *const *const connections[] = {silent, cut, strange, NULL};
    struct script script;

    (void)state;
    begin(&script, connections);
    check_fault(&script, MOED_E_MALFORMED, "the connection ended before the answer did");
    check_fault(&script, MOED_E_MALFORMED, "the connection ended before the answer did");
    check_fault(&script, MOED_E_MALFORMED, "expected an HTTP response");
    end(&script);
}

static void test_an_answer_without_end(void **state)
{
    const size_t size = 65 << 20;
    char *huge = malloc(size + 1);
    const char *const answers[] = {huge, NULL};
    const char *const *const connections[] = {answers, NULL};
    struct script script;

    (void)state;
    assert_non_null(huge);
    memset(huge, 'x', size);
    huge[size] = '\0';
    memcpy(huge, "HTTP/1.1 200 OK\r\n\r\n", 19);
    begin(&script, connections);
    check_fault(&script, MOED_E_IO, "an answer of more than 64 MiB");
    end(&script);
    free(huge);
}

static void test_nobody_there(void **state)
{
    struct moed_asked asked;
    struct moed_asker asker;
    struct moed_url url;
    struct moed_error err;

    (void)state;
    assert_int_equal(moed_url_parse("unix:/nowhere/at/all", &url, &err), 0);
    moed_asker_init(&asker, &url, NULL, 100);
    assert_int_equal(moed_asker_ask(&asker, REQUEST, sizeof REQUEST - 1, &asked, &err), MOED_E_IO);
    assert_string_equal(err.message,
                        "unix:/nowhere/at/all: cannot connect: No such file or directory");
}

/* https needs to know whom to believe, before a byte is sent. */
static void test_https_without_trust(void **state)
{
    static const char *const *const connections[] = {NULL};
    struct moed_stream stream;
    struct script script;
    struct moed_error err;

    (void)state;
    begin(&script, connections);
    script.url.is_tls = true;
    assert_int_equal(moed_stream_connect(&script.url, NULL, 1000, &stream, NULL, &err), MOED_E_IO);
    assert_non_null(strstr(err.message, "cannot begin TLS"));
    assert_int_equal(stream.fd, -1);
    moed_stream_close(&stream);
    end(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_is_kept),
        cmocka_unit_test(test_a_connection_that_ends_is_made_anew),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_an_answer_without_end),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_https_without_trust),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
