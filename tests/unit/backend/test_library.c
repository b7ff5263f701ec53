/* <moed/moed.h>: sizes of structs, routing without output, giving up, timing, fork(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <moed/moed.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/tiny.h"
#include "kernels/random.h"

enum { ROWS = 10, HIDDEN = 96, EXPERTS = 7, USED = 3, STEP = 4 };

static char model[256];
static float rows[ROWS * HIDDEN], output[ROWS * HIDDEN];
static struct moed *m;
static struct moed_error err;

static int setup(void **state)
{
    const struct tiny_spec spec = {.layers = 1,
                                   .hidden = HIDDEN,
                                   .width = 96,
                                   .experts = EXPERTS,
                                   .used = USED,
                                   .type = "Q8_0",
                                   .seed = 4};
    const struct moed_options options = {
        .size = sizeof options, .backend = "cpu", .threads = 2, .max_rows = STEP};
    struct moed_random r;

    (void)state;
    tiny_write(&spec, model);
    moed_random_seed(&r, 5);
    for (size_t i = 0; i < ROWS * HIDDEN; i++)
        rows[i] = moed_random_gaussian(&r);
    return moed_open(model, &options, &m, &err);
}

static int teardown(void **state)
{
    (void)state;
    moed_close(m);
    return unlink(model);
}

static struct moed_call call_of_all(void)
{
    return (struct moed_call){
        .size = sizeof(struct moed_call), .rows = ROWS, .hidden = rows, .output = output};
}

static void assert_says(int found, int code, const char *words)
{
    assert_int_equal(found, code);
    if (strstr(err.message, words) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", words, err.message);
}

/* ---- sizes ---- */

static void a_size_is_asked_for(void **state)
{
    struct moed_layer_info info = {0};
    struct moed_call call = call_of_all();
    struct moed_routing routing = {.slots = USED};
    struct moed *other;

    (void)state;
    call.size = 0;
    assert_says(moed_run(m, &call, &err), MOED_E_USAGE,
                "struct moed_call says that it has 0 bytes");
    call = call_of_all();
    call.routing = &routing;
    assert_says(moed_run(m, &call, &err), MOED_E_USAGE, "struct moed_routing says");
    assert_says(moed_open(model, &(struct moed_options){0}, &other, &err), MOED_E_USAGE,
                "struct moed_options says");
    assert_int_equal(moed_layer_at(m, 0, &info), MOED_E_USAGE);
}

/* A program that was compiled with a later version, whose structs are longer. */
static void later_structs(void **state)
{
    struct {
        struct moed_call call;
        uint64_t later;
    } longer = {.call = call_of_all()};
    struct {
        struct moed_layer_info info;
        uint64_t later;
    } told = {.info.size = sizeof told, .later = 5};

    (void)state;
    longer.call.size = sizeof longer;
    assert_int_equal(moed_run(m, &longer.call, &err), 0);
    longer.later = 1;
    assert_says(moed_run(m, &longer.call, &err), MOED_E_USAGE, "the program needs a newer libmoed");
    assert_int_equal(moed_layer_at(m, 0, &told.info), 0);
    assert_int_equal(told.info.experts, EXPERTS);
    assert_int_equal(told.later, 5);
    assert_int_equal(told.info.size, sizeof told);
    assert_int_equal(moed_layer_at(m, 1, &told.info), MOED_E_NOT_FOUND);
}

/* ---- routing ---- */

static void routing_without_output(void **state)
{
    int32_t ids[2][ROWS * USED];
    float weights[2][ROWS * USED], logits[ROWS * EXPERTS];
    struct moed_routing with = {
        .size = sizeof with, .slots = USED, .ids = ids[0], .weights = weights[0]};
    struct moed_routing alone = {.size = sizeof alone,
                                 .slots = USED,
                                 .ids = ids[1],
                                 .weights = weights[1],
                                 .logits = logits};
    struct moed_call call = call_of_all();

    (void)state;
    call.routing = &with;
    assert_int_equal(moed_run(m, &call, &err), 0);
    call.output = NULL;
    call.routing = &alone;
    memset(logits, 0xff, sizeof logits);
    assert_int_equal(moed_run(m, &call, &err), 0);
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_equal(weights[0], weights[1], sizeof weights[0]);
    for (size_t i = 0; i < ROWS * EXPERTS; i++)
        assert_true(logits[i] == logits[i]);
    alone.supplied = 1;
    assert_says(moed_run(m, &call, &err), MOED_E_USAGE, "nothing would be computed");
    call.routing = NULL;
    assert_says(moed_run(m, &call, &err), MOED_E_USAGE, "nothing would be computed");
}

/* ---- giving up, timing ---- */

static int after_some(void *context)
{
    int *left = context;

    return (*left)-- == 0;
}

static void cancelled_between_steps(void **state)
{
    struct moed_call call = call_of_all();
    int left = 1;

    (void)state;
    call.cancelled = after_some;
    call.cancelled_context = &left;
    assert_says(moed_run(m, &call, &err), MOED_E_CANCELLED, "cancelled after 4 of 10 rows");
    left = 100;
    assert_int_equal(moed_run(m, &call, &err), 0);
    assert_int_equal(left, 97);
}

static void deadlines(void **state)
{
    struct moed_call call = call_of_all();
    struct timespec now;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &now);
    call.deadline_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    assert_says(moed_run(m, &call, &err), MOED_E_DEADLINE, "passed after 0 of 10 rows");
    call.deadline_ns += UINT64_C(3600) * 1000000000;
    assert_int_equal(moed_run(m, &call, &err), 0);
}

static void timing(void **state)
{
    struct moed_timing t = {.size = sizeof t};
    struct moed_call call = call_of_all();

    (void)state;
    call.timing = &t;
    assert_int_equal(moed_run(m, &call, &err), 0);
    assert_int_equal(t.steps, (ROWS + STEP - 1) / STEP);
    assert_true(t.compute_ns > 0 && t.compute_ns <= t.total_ns);
    assert_true(t.weight_bytes > 0);
    assert_int_equal(t.device_ns, 0);
    assert_int_equal(t.size, sizeof t);
}

/* ---- fork() ---- */

/* Neither ThreadSanitizer nor qemu, which runs the tests of AArch64, lets a child start threads. */
#if defined(__SANITIZE_THREAD__) || defined(__aarch64__)
enum { CHILD_THREADS = 1 };
#else
enum { CHILD_THREADS = 2 };
#endif

/* 0, or the line that says why not. */
static int act_as_child(void)
{
    const struct moed_options options = {
        .size = sizeof options, .backend = "cpu", .threads = CHILD_THREADS};
    struct moed_call call = call_of_all();
    float again[ROWS * HIDDEN];
    struct moed *own;

    if (moed_run(m, &call, &err) != MOED_E_USAGE || strstr(err.message, "fork()") == NULL)
        return __LINE__;
    moed_close(m);
    if (moed_open(model, &options, &own, &err) != 0)
        return __LINE__;
    call.output = again;
    if (moed_run(own, &call, &err) != 0 || memcmp(again, output, sizeof again) != 0)
        return __LINE__;
    moed_close(own);
    return 0;
}

static void a_child_opens_its_own(void **state)
{
    struct moed_call call = call_of_all();
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(moed_run(m, &call, &err), 0);
    child = fork();
    if (child == 0)
        _exit(act_as_child() & 0xff);
    assert_true(child > 0);
    assert_int_equal(moed_run(m, &call, &err), 0); /* the parent's goes on */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void versions_agree(void **state)
{
    char text[32];

    (void)state;
    snprintf(text, sizeof text, "%d.%d.%d", MOED_VERSION_MAJOR, MOED_VERSION_MINOR,
             MOED_VERSION_PATCH);
    assert_string_equal(text, MOED_VERSION);
    assert_string_equal(text, moed_version());
    assert_string_equal(text, MOED_PROJECT_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_is_asked_for),
        cmocka_unit_test(later_structs),
        cmocka_unit_test(routing_without_output),
        cmocka_unit_test(cancelled_between_steps),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(timing),
        cmocka_unit_test(a_child_opens_its_own),
        cmocka_unit_test(versions_agree),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
