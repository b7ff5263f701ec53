/* Where the log goes: a reader that stands still, a disk that is full. */
#include "src/base/base.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINES = 40000, PATIENCE_MS = 60000 };

static int saved_stderr;

static int save(void **state)
{
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    moed_log_configure(MOED_LOG_INFO, MOED_LOG_TEXT);
    return saved_stderr < 0;
}

static int restore(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    return 0;
}

/* Counts the lines of the pipe, and what those among them that tell of lost ones say. */
struct counts {
    FILE *from;
    unsigned whole, lost;
};

static void *count(void *context)
{
    struct counts *counts = context;
    char line[8192];

    while (counts->whole + counts->lost < LINES && fgets(line, sizeof line, counts->from) != NULL) {
        const char *lost = strstr(line, "lines of the log were lost");
        const char *number = strstr(line, " lines=");

        assert_int_equal(line[strlen(line) - 1], '\n');
        if (lost != NULL && number != NULL)
            counts->lost += (unsigned)strtoul(number + strlen(" lines="), NULL, 10);
        else
            counts->whole++;
    }
    return NULL;
}

/* Logging comes to an end though nobody reads, and what is lost is counted exactly. */
static void nobody_waits_for_a_reader(void **state)
{
    const uint64_t before = moed_log_dropped();
    struct counts counts = {0};
    struct moed_error err;
    pthread_t reader;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    assert_int_equal(moed_log_start(&err), 0);
    assert_int_equal(moed_log_start(&err), 0);
    for (int i = 0; i < LINES; i++)
        moed_log(MOED_LOG_INFO, "%080d", i);
    assert_true(moed_log_dropped() > before);
    counts.from = fdopen(ends[0], "r");
    assert_int_equal(pthread_create(&reader, NULL, count, &counts), 0);
    moed_log_stop(PATIENCE_MS);
    dup2(saved_stderr, STDERR_FILENO); /* the end of the pipe, should lines be missing */
    pthread_join(reader, NULL);
    assert_int_equal(counts.whole + counts.lost, LINES);
    assert_int_equal(counts.lost, moed_log_dropped() - before);
    assert_true(counts.lost > 0 && counts.whole > 0);
    fclose(counts.from);
}

/* A file that may have 200 bytes, and then more. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_torn_line_is_ended(void **state)
{
    const uint64_t before = moed_log_dropped();
    FILE *file = tmpfile();
    char line[8192];

    (void)state;
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(200);
    moed_log(MOED_LOG_INFO, "%0120d", 1);
    moed_log(MOED_LOG_INFO, "%0120d", 2);
    moed_log(MOED_LOG_INFO, "%0120d", 3);
    limit_files(RLIM_INFINITY);
    moed_log(MOED_LOG_INFO, "%0120d", 4);
    dup2(saved_stderr, STDERR_FILENO);
    assert_int_equal(moed_log_dropped() - before, 2);
    rewind(file);
    for (int i = 1; i <= 4; i++) {
        static const char *const ends[] = {"0001\n", "0000\n", "0004\n", " lines=2\n"};

        assert_non_null(fgets(line, sizeof line, file));
        assert_string_equal(line + strlen(line) - strlen(ends[i - 1]), ends[i - 1]);
    }
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
}

/* The last: a log that was given up stays so. */
static void stopping_does_not_wait_for_ever(void **state)
{
    struct moed_error err;
    uint64_t before;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(moed_log_start(&err), 0);
    for (int i = 0; i < 2000; i++)
        moed_log(MOED_LOG_INFO, "%080d", i);
    moed_log_stop(10);
    before = moed_log_dropped();
    moed_log(MOED_LOG_INFO, "nobody hears");
    assert_int_equal(moed_log_dropped(), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_reader, save, restore),
        cmocka_unit_test_setup_teardown(a_torn_line_is_ended, save, restore),
        cmocka_unit_test_setup_teardown(stopping_does_not_wait_for_ever, save, restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
