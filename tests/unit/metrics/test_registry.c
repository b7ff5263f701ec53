/* Cells: found again by name and labels, kept apart by them, and summed exactly over threads. */
#include "src/metrics/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int create(void **state)
{
    *state = moed_metrics_create();
    return *state != NULL ? 0 : -1;
}

static int destroy(void **state)
{
    moed_metrics_destroy(*state);
    return 0;
}

static void test_identity(void **state)
{
    struct moed_metrics *metrics = *state;
    struct moed_metric *plain = moed_metrics_cell(metrics, MOED_COUNTER, "a_total", "A.", NULL);
    struct moed_metric *one =
        moed_metrics_cell(metrics, MOED_COUNTER, "a_total", "A.", "layer=\"1\"");
    struct moed_metric *two =
        moed_metrics_cell(metrics, MOED_COUNTER, "a_total", "A.", "layer=\"2\"");

    assert_non_null(plain);
    assert_true(plain != one && one != two && plain != two);
    assert_ptr_equal(moed_metrics_cell(metrics, MOED_COUNTER, "a_total", "A.", ""), plain);
    assert_ptr_equal(moed_metrics_cell(metrics, MOED_COUNTER, "a_total", "A.", "layer=\"1\""), one);
    /* A name has one kind. */
    assert_null(moed_metrics_cell(metrics, MOED_GAUGE, "a_total", "A.", NULL));
    assert_null(
        moed_metrics_histogram(metrics, MOED_BUCKETS_COUNT, "a_total", "A.", "layer=\"1\""));
}

static void test_many_series(void **state)
{
    static struct moed_metric *cells[5000];
    char labels[64];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5000; i++) {
            struct moed_metric *cell;

            snprintf(labels, sizeof(labels), "layer=\"%d\",expert=\"%d\"", i / 128, i % 128);
            cell = moed_metrics_cell(*state, MOED_COUNTER, "rows_total", "Rows.", labels);
            assert_non_null(cell);
            assert_true(round == 0 || cell == cells[i]);
            cells[i] = cell;
            moed_metric_add(cell, i);
        }
    }
    assert_true(moed_metric_value(cells[4999]) == 2 * 4999.0);
}

static void test_values(void **state)
{
    struct moed_metric *gauge = moed_metrics_cell(*state, MOED_GAUGE, "depth", "Depth.", NULL);

    assert_true(moed_metric_value(gauge) == 0.0);
    moed_metric_set(gauge, 7.5);
    moed_metric_add(gauge, -10);
    assert_true(moed_metric_value(gauge) == -2.5);

    moed_metric_add(NULL, 1);
    moed_metric_set(NULL, 1);
    assert_true(moed_metric_value(NULL) == 0.0);
    moed_histogram_observe(NULL, 1);
    moed_metrics_destroy(NULL);
}

enum { THREADS = 4, ROUNDS = 20000 };

struct shared {
    struct moed_metrics *metrics;
    struct moed_histogram *histogram;
};

static void *update(void *context)
{
    const struct shared *shared = context;

    for (int i = 0; i < ROUNDS; i++) {
        char labels[16];

        snprintf(labels, sizeof(labels), "i=\"%d\"", i % 10);
        moed_metric_add(moed_metrics_cell(shared->metrics, MOED_COUNTER, "n_total", "N.", labels),
                        0.5);
        moed_histogram_observe(shared->histogram, i % 4);
        if (i % 2000 == 0) {
            size_t size;

            free(moed_metrics_render(shared->metrics, MOED_PROMETHEUS_TEXT, &size));
        }
    }
    return NULL;
}

/* Looked up, added to, observed and rendered by all threads at once; no update may be lost. */
static void test_threads(void **state)
{
    struct shared shared = {.metrics = *state};
    pthread_t threads[THREADS];
    size_t size;
    char *text;

    shared.histogram = moed_metrics_histogram(*state, MOED_BUCKETS_COUNT, "size", "Size.", NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, update, &shared), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < 10; i++) {
        char labels[16];

        snprintf(labels, sizeof(labels), "i=\"%d\"", i);
        assert_true(moed_metric_value(moed_metrics_cell(*state, MOED_COUNTER, "n_total", "N.",
                                                        labels)) == THREADS * ROUNDS * 0.05);
    }
    text = moed_metrics_render(*state, MOED_PROMETHEUS_TEXT, &size);
    assert_non_null(text);
    assert_non_null(strstr(text, "\nsize_count 80000\n"));
    assert_non_null(strstr(text, "\nsize_sum 120000\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identity, create, destroy),
        cmocka_unit_test_setup_teardown(test_many_series, create, destroy),
        cmocka_unit_test_setup_teardown(test_values, create, destroy),
        cmocka_unit_test_setup_teardown(test_threads, create, destroy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
