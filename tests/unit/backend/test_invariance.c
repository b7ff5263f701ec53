/* Batch invariance: a row's output bits do not depend on the rows beside it, on how a batch is cut,
 * or on the number of threads; on any instruction set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <moed/moed.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/tiny.h"
#include "kernels/cpu/cpu.h"
#include "kernels/random.h"

#define ROWS   67
#define HIDDEN 96

static char model[256];
static float rows[ROWS * HIDDEN];

static int setup(void **state)
{
    const struct tiny_spec spec = {.layers = 1,
                                   .hidden = HIDDEN,
                                   .width = 96,
                                   .experts = 7,
                                   .used = 3,
                                   .type = "Q5_0",
                                   .seed = 4};
    struct moed_random r;

    (void)state;
    tiny_write(&spec, model);
    moed_random_seed(&r, 5);
    for (size_t i = 0; i < ROWS * HIDDEN; i++)
        rows[i] = moed_random_gaussian(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(model);
}

static struct moed *open_with(const char *isa, uint32_t threads, uint32_t max_rows)
{
    const struct moed_options options = {.size = sizeof options,
                                         .backend = "cpu",
                                         .isa = isa,
                                         .threads = threads,
                                         .max_rows = max_rows};
    struct moed_error err;
    struct moed *m = NULL;

    if (moed_open(model, &options, &m, &err) != 0)
        fail_msg("%s", err.message);
    return m;
}

static void run(struct moed *m, size_t first, size_t n, float *output)
{
    const struct moed_call call = {.size = sizeof call,
                                   .rows = n,
                                   .hidden = rows + first * HIDDEN,
                                   .output = output + first * HIDDEN};
    struct moed_error err;

    if (moed_run(m, &call, &err) != 0)
        fail_msg("%s", err.message);
}

/* All rows in pieces of random length, each into its place. */
static void run_in_pieces(struct moed *m, struct moed_random *r, uint32_t longest, float *output)
{
    for (size_t first = 0; first < ROWS;) {
        size_t n = 1 + moed_random_below(r, longest);

        n = n < ROWS - first ? n : ROWS - first;
        run(m, first, n, output);
        first += n;
    }
}

static void check_isa(const char *isa)
{
    static float whole[ROWS * HIDDEN];
    static float cut[ROWS * HIDDEN];
    struct moed *m = open_with(isa, 1, 0);
    struct moed_random r;

    run(m, 0, ROWS, whole);
    moed_close(m);
    moed_random_seed(&r, 6);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        for (uint32_t longest = 1; longest <= 64; longest *= 2) {
            m = open_with(isa, threads, longest % 3 + 5);
            memset(cut, 0xff, sizeof cut);
            run_in_pieces(m, &r, longest, cut);
            moed_close(m);
            assert_memory_equal(cut, whole, sizeof whole);
        }
    }
}

static void any_cut_any_threads(void **state)
{
    (void)state;
    for (size_t i = 0; moed_isa_at(i); i++)
        if (moed_isa_at(i)->supported())
            check_isa(moed_isa_at(i)->name);
}

/* The same row in many places of one batch, among strangers. */
static void any_place_any_neighbours(void **state)
{
    static float batch[ROWS * HIDDEN];
    static float output[ROWS * HIDDEN];
    float alone[HIDDEN];
    struct moed *m = open_with(NULL, 2, 0);
    struct moed_call call = {.size = sizeof call};
    struct moed_error err;

    (void)state;
    memcpy(batch, rows, sizeof batch);
    for (size_t t = 0; t < ROWS; t += 5)
        memcpy(batch + t * HIDDEN, rows, HIDDEN * sizeof *rows);
    call.rows = 1;
    call.hidden = rows;
    call.output = alone;
    assert_int_equal(moed_run(m, &call, &err), 0);
    call.rows = ROWS;
    call.hidden = batch;
    call.output = output;
    assert_int_equal(moed_run(m, &call, &err), 0);
    for (size_t t = 0; t < ROWS; t += 5)
        assert_memory_equal(output + t * HIDDEN, alone, sizeof alone);
    moed_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_any_threads),
        cmocka_unit_test(any_place_any_neighbours),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
