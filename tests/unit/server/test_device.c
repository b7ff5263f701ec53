/* A backend whose device dies while it computes: whoever waited gets 500; from then on /readyz is
 * 503, so that balancers send no more, and /livez too, since only a new process would compute
 * again; this one still answers, and stops when it is told. The whole server runs in a child; its
 * backend is the CPU's until the second forward. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "src/backend/backend.h"
#include "src/client/client.h"
#include "src/server/server.h"
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/tiny.h"

#define FORWARD                                                                              \
    "POST /v1/moe/forward?layer=0 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" \
    "Content-Length: 29\r\n\r\n{\"hidden_states\":[[1,2,3,4]]}"

/* ---- the device: the linker puts these in the place of the backend's ---- */

static atomic_int calls;

int __real_moed_forward(struct moed_workspace *workspace, uint32_t layer,
                        struct moed_batch_rows *batch, struct moed_error *err);
int __wrap_moed_forward(struct moed_workspace *workspace, uint32_t layer,
                        struct moed_batch_rows *batch, struct moed_error *err);
bool __wrap_moed_backend_failed(const struct moed_backend *backend);

int __wrap_moed_forward(struct moed_workspace *workspace, uint32_t layer,
                        struct moed_batch_rows *batch, struct moed_error *err)
{
    if (atomic_fetch_add(&calls, 1) == 0)
        return __real_moed_forward(workspace, layer, batch, err);
    return moed_fail(err, MOED_E_INTERNAL, "computing a layer: an illegal memory access");
}

bool __wrap_moed_backend_failed(const struct moed_backend *backend)
{
    (void)backend;
    return atomic_load(&calls) > 1;
}

/* ---- the server ---- */

struct served {
    char model[256], socket[300];
    pid_t process;
    struct moed_url url;
    struct moed_asker asker;
};

static void serve(const struct served *s)
{
    struct moed_server_options options;
    struct moed_error err;

    moed_server_options_init(&options);
    options.model_path = s->model;
    options.listen[0] = s->socket;
    options.n_listen = 1;
    options.backend = "reference";
    options.workers = 1;
    moed_log_configure(MOED_LOG_OFF, MOED_LOG_TEXT);
    _exit(moed_server_run(&options, &err) == 0 ? 0 : 1);
}

/* The answer's status; 0 where nobody answers. `text` must be in its body. */
static unsigned ask(struct served *s, const char *request, const char *text)
{
    struct moed_asked asked;
    struct moed_error err;
    unsigned status;

    if (moed_asker_ask(&s->asker, request, strlen(request), &asked, &err) != 0)
        return 0;
    status = asked.status;
    if (text != NULL && strstr(asked.body, text) == NULL)
        fail_msg("%s, expected \"%s\"", asked.body, text);
    free(asked.body);
    return status;
}

static unsigned get(struct served *s, const char *path, const char *text)
{
    char request[128];

    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    return ask(s, request, text);
}

static int set_up(void **state)
{
    static const struct tiny_spec spec = {
        .layers = 1, .hidden = 4, .width = 4, .experts = 2, .used = 1};
    struct served *s = calloc(1, sizeof *s);
    struct moed_error err;

    *state = s;
    tiny_write(&spec, s->model);
    snprintf(s->socket, sizeof s->socket, "unix:%s.sock", s->model);
    if (moed_url_parse(s->socket, &s->url, &err) != 0)
        fail_msg("%s", err.message);
    moed_asker_init(&s->asker, &s->url, NULL, 10000);
    s->process = fork();
    if (s->process == 0)
        serve(s);
    for (int i = 0; i < 2000 && get(s, "/readyz", NULL) != 200; i++)
        usleep(10000);
    return 0;
}

static int tear_down(void **state)
{
    struct served *s = *state;
    int status;

    moed_asker_fini(&s->asker);
    kill(s->process, SIGTERM);
    assert_int_equal(waitpid(s->process, &status, 0), s->process);
    assert_int_equal(status, 0);
    unlink(s->model);
    free(s);
    return 0;
}

static void a_device_that_fails_ends_readiness(void **state)
{
    struct served *s = *state;

    assert_int_equal(ask(s, FORWARD, "\"output\""), 200);
    assert_int_equal(get(s, "/readyz", "\"ready\""), 200);
    assert_int_equal(ask(s, FORWARD, "a batch of 1 rows failed: computing a layer: an illegal"),
                     500);
    assert_int_equal(get(s, "/readyz", "a device of the reference backend failed"), 503);
    assert_int_equal(get(s, "/livez", "must be started again"), 503);
    assert_int_equal(get(s, "/metrics", "\nmoed_ready 0\n"), 200);
    assert_int_equal(ask(s, FORWARD, "failed"), 500);
    assert_int_equal(get(s, "/readyz", "must be started again"), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_device_that_fails_ends_readiness, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
