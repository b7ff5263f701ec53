/* The Prometheus text: every line well-formed, families whole, histograms cumulative. */
#include "src/metrics/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static char *render(struct moed_metrics *metrics)
{
    size_t size = 0;
    char *text = moed_metrics_render(metrics, MOED_PROMETHEUS_TEXT, &size);

    assert_non_null(text);
    assert_int_equal(strlen(text), size);
    return text;
}

/* The value of the sample that begins with `series` and a space; fails if there is none. */
static double sample(const char *text, const char *series)
{
    const size_t length = strlen(series);

    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, series, length) == 0 && line[length] == ' ') {
            return strtod(line + length + 1, NULL);
        }
    }
    fail_msg("no sample \"%s\" in:\n%s", series, text);
    return NAN;
}

/* name, or name{…}, a space, a number. */
static void check_sample(char *line, const char *family)
{
    char *space = strrchr(line, ' ');
    char *end;
    size_t name;

    assert_non_null(space);
    strtod(space + 1, &end);
    assert_true(end != space + 1 && *end == '\0');
    *space = '\0';
    name = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
    assert_true(name > 0);
    assert_true(line[name] == '\0' || (line[name] == '{' && space[-1] == '}'));
    assert_memory_equal(line, family, strlen(family));
}

/* Each family once: HELP, TYPE, and then only its own samples. */
static void check_text(char *text)
{
    char family[128] = "";
    char *rest = NULL;
    char names[4096] = "\n";

    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char type[32];
        char typed[128];

        if (strncmp(line, "# HELP ", 7) != 0) {
            check_sample(line, family);
            continue;
        }
        assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
        snprintf(typed, sizeof(typed), "\n%s\n", family);
        assert_null(strstr(names, typed));
        strncat(names, typed + 1, sizeof(names) - strlen(names) - 1);
        line = strtok_r(NULL, "\n", &rest);
        assert_non_null(line);
        assert_int_equal(sscanf(line, "# TYPE %127s %31s", typed, type), 2);
        assert_string_equal(typed, family);
        assert_true(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 ||
                    strcmp(type, "histogram") == 0);
    }
}

static void test_form(void **state)
{
    static const char expected[] =
        "# HELP a_total A's.\n# TYPE a_total counter\n"
        "a_total{k=\"1\"} 3\na_total{k=\"2\"} 1e+15\n"
        "# HELP b B.\n# TYPE b gauge\nb 0.1\n";
    struct moed_metrics *metrics = *state;
    char *text;

    moed_metric_add(moed_metrics_cell(metrics, MOED_COUNTER, "a_total", "A's.", "k=\"1\""), 3);
    moed_metric_set(moed_metrics_cell(metrics, MOED_GAUGE, "b", "B.", NULL), 0.1);
    /* a_total again after b: its samples stay together. */
    moed_metric_add(moed_metrics_cell(metrics, MOED_COUNTER, "a_total", "A's.", "k=\"2\""), 1e15);
    moed_metrics_histogram(metrics, MOED_BUCKETS_SECONDS, "c_seconds", "C.", "k=\"x\"");
    moed_metrics_histogram(metrics, MOED_BUCKETS_COUNT, "d", "D.", NULL);

    text = render(metrics);
    assert_memory_equal(text, expected, sizeof(expected) - 1);
    check_text(text);
    free(text);
}

static void test_special_values(void **state)
{
    const double values[] = {NAN, INFINITY, -INFINITY, 1.0 / 3, 123456789012345.0};
    const char *printed[] = {"\nv NaN\n", "\nv +Inf\n", "\nv -Inf\n", "\nv 0.33333333333333331\n",
                             "\nv 123456789012345\n"};
    struct moed_metric *cell = moed_metrics_cell(*state, MOED_GAUGE, "v", "V.", NULL);

    for (size_t i = 0; i < MOED_ARRAY_LEN(values); i++) {
        char *text;

        moed_metric_set(cell, values[i]);
        text = render(*state);
        assert_non_null(strstr(text, printed[i]));
        free(text);
    }
}

static void test_histogram(void **state)
{
    struct moed_histogram *histogram =
        moed_metrics_histogram(*state, MOED_BUCKETS_SECONDS, "t_seconds", "T.", "layer=\"3\"");
    const double observed[] = {0.0, 50e-6, 60e-6, 0.2, 0.25, 10.0, 11.0, INFINITY, NAN};
    char *text;

    assert_ptr_equal(
        moed_metrics_histogram(*state, MOED_BUCKETS_SECONDS, "t_seconds", "T.", "layer=\"3\""),
        histogram);
    for (size_t i = 0; i < MOED_ARRAY_LEN(observed); i++) {
        moed_histogram_observe(histogram, observed[i]);
    }
    text = render(*state);
    /* A bound belongs to its bucket; a NaN to none. */
    assert_true(sample(text, "t_seconds_bucket{layer=\"3\",le=\"5e-05\"}") == 2);
    assert_true(sample(text, "t_seconds_bucket{layer=\"3\",le=\"0.0001\"}") == 3);
    assert_true(sample(text, "t_seconds_bucket{layer=\"3\",le=\"0.1\"}") == 3);
    assert_true(sample(text, "t_seconds_bucket{layer=\"3\",le=\"0.25\"}") == 5);
    assert_true(sample(text, "t_seconds_bucket{layer=\"3\",le=\"5\"}") == 5);
    assert_true(sample(text, "t_seconds_bucket{layer=\"3\",le=\"10\"}") == 6);
    assert_true(sample(text, "t_seconds_bucket{layer=\"3\",le=\"+Inf\"}") == 8);
    assert_true(sample(text, "t_seconds_count{layer=\"3\"}") == 8);
    assert_true(isinf(sample(text, "t_seconds_sum{layer=\"3\"}")));
    free(text);
}

static void test_count_buckets(void **state)
{
    struct moed_histogram *histogram =
        moed_metrics_histogram(*state, MOED_BUCKETS_COUNT, "rows", "Rows.", NULL);
    char series[64];
    char *text;
    double last = 0;

    for (int i = 1; i <= 65537; i *= 2) {
        moed_histogram_observe(histogram, i);
        moed_histogram_observe(histogram, i + 1);
    }
    text = render(*state);
    for (int bound = 1; bound <= 65536; bound *= 2) {
        double count;

        snprintf(series, sizeof(series), "rows_bucket{le=\"%d\"}", bound);
        count = sample(text, series);
        assert_true(count > last);
        last = count;
    }
    assert_true(sample(text, "rows_bucket{le=\"1\"}") == 1);
    assert_true(sample(text, "rows_bucket{le=\"2\"}") == 3);
    assert_true(sample(text, "rows_bucket{le=\"+Inf\"}") == 34);
    assert_true(sample(text, "rows_count") == 34);
    assert_true(sample(text, "rows_sum") == 2 * 131071 + 17);
    free(text);
}

struct depth {
    struct moed_metrics *metrics;
    double value;
};

/* Looks its cell up while the registry is rendered: that must not deadlock. */
static void collect_depth(void *context)
{
    struct depth *depth = context;

    depth->value += 1;
    moed_metric_set(moed_metrics_cell(depth->metrics, MOED_GAUGE, "depth", "Depth.", NULL),
                    depth->value);
}

static void test_collectors(void **state)
{
    struct depth depth = {.metrics = *state};
    char *text;

    moed_metrics_on_render(*state, collect_depth, &depth);
    for (int i = 1; i <= 3; i++) {
        text = render(*state);
        assert_true(sample(text, "depth") == i);
        free(text);
    }
    for (int i = 0; i < 20; i++) {
        moed_metrics_on_render(*state, collect_depth, &depth);
    }
    text = render(*state);
    assert_true(sample(text, "depth") == 3 + 8);
    free(text);
}

static void test_process(void **state)
{
    char *text = render(*state);
    const double fds = sample(text, "process_open_fds");
    int extra;

    assert_true(sample(text, "process_cpu_seconds_total") >= 0);
    assert_true(sample(text, "process_resident_memory_bytes") > 100e3);
    assert_true(sample(text, "process_virtual_memory_bytes") >=
                sample(text, "process_resident_memory_bytes"));
    assert_true(sample(text, "process_max_fds") >= fds);
    assert_true(fabs(sample(text, "process_start_time_seconds") - (double)time(NULL)) < 600);
    free(text);

    extra = dup(STDOUT_FILENO);
    text = render(*state);
    assert_true(sample(text, "process_open_fds") == fds + 1);
    free(text);
    close(extra);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_form, create, destroy),
        cmocka_unit_test_setup_teardown(test_special_values, create, destroy),
        cmocka_unit_test_setup_teardown(test_histogram, create, destroy),
        cmocka_unit_test_setup_teardown(test_count_buckets, create, destroy),
        cmocka_unit_test_setup_teardown(test_collectors, create, destroy),
        cmocka_unit_test_setup_teardown(test_process, create, destroy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
