/* The log: its two forms, levels, escaping, long lines, and lines of many threads. */
#include "src/base/base.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static FILE *captured;
static int saved_stderr;

/* From here on stderr is a file that read_line reads. */
static int capture(void **state)
{
    (void)state;
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    if (captured == NULL || saved_stderr < 0) {
        return -1;
    }
    setvbuf(captured, NULL, _IONBF, 0);
    return dup2(fileno(captured), STDERR_FILENO) < 0 ? -1 : 0;
}

static int release(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fclose(captured);
    return 0;
}

static const char *whole_log(void)
{
    static char text[1 << 20];
    const ssize_t size = pread(fileno(captured), text, sizeof(text) - 1, 0);

    assert_true(size >= 0);
    text[size] = '\0';
    return text;
}

/* The text after the time, which is checked for its form. */
static const char *after_time(const char *line)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";

    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (form[i] == '0') {
            assert_in_range(line[i], '0', '9');
        } else {
            assert_int_equal(line[i], form[i]);
        }
    }
    return line + sizeof(form) - 1;
}

static void test_text(void **state)
{
    const struct moed_log_field fields[] = {{"layer", NULL, 12}, {"ms", NULL, 0.1},
                                            {"path", "/a b", 0}, {"name", "x", 0},
                                            {"none", "", 0},     {"big", NULL, 1e300}};

    (void)state;
    moed_log_configure(MOED_LOG_INFO, MOED_LOG_TEXT);
    moed_log_event(MOED_LOG_WARN, "batch \"done\"\nnow", fields, MOED_ARRAY_LEN(fields));
    assert_string_equal(after_time(whole_log()),
                        " warn batch \"done\"\\nnow layer=12 ms=0.1 path=\"/a b\" name=x none=\"\" "
                        "big=1e+300\n");
}

static void test_json(void **state)
{
    static const char head[] = "{\"time\":\"";
    const struct moed_log_field fields[] = {{"rows", NULL, 3},
                                            {"p", "q\"\\\x01\xC3\xA9\xFF\xC2\x9B", 0},
                                            {"bad", NULL, NAN},
                                            {"third", NULL, 1.0 / 3}};
    const char *line;

    (void)state;
    moed_log_configure(MOED_LOG_INFO, MOED_LOG_JSON);
    moed_log_event(MOED_LOG_INFO, "tab\there", fields, MOED_ARRAY_LEN(fields));
    line = whole_log();
    assert_memory_equal(line, head, sizeof(head) - 1);
    assert_string_equal(after_time(line + sizeof(head) - 1),
                        "\",\"level\":\"info\",\"message\":\"tab\\u0009here\",\"rows\":3,"
                        "\"p\":\"q\\\"\\\\\\u0001\xC3\xA9?\\u009b\",\"bad\":null,"
                        "\"third\":0.33333333333333331}\n");
}

static void test_levels(void **state)
{
    (void)state;
    moed_log_configure(MOED_LOG_WARN, MOED_LOG_TEXT);
    assert_false(moed_log_enabled(MOED_LOG_INFO));
    assert_true(moed_log_enabled(MOED_LOG_WARN));
    assert_true(moed_log_enabled(MOED_LOG_ERROR));
    moed_log(MOED_LOG_INFO, "not said");
    assert_string_equal(whole_log(), "");
    moed_log(MOED_LOG_ERROR, "said %d times", 1);
    assert_string_equal(after_time(whole_log()), " error said 1 times\n");

    moed_log_configure(MOED_LOG_OFF, MOED_LOG_TEXT);
    assert_false(moed_log_enabled(MOED_LOG_ERROR));
    assert_false(moed_log_enabled(MOED_LOG_OFF));
}

/* Longer than a line can be, made of characters of three bytes: cut, but well-formed. */
static void check_long(enum moed_log_format format, const char *end)
{
    char message[9001];
    const struct moed_log_field fields[] = {{"lost", "field", 0}};
    const char *line;
    size_t length;

    for (size_t i = 0; i < 3000; i++) {
        memcpy(message + 3 * i, "\xE2\x82\xAC", 3);
    }
    message[9000] = '\0';
    moed_log_configure(MOED_LOG_INFO, format);
    moed_log_event(MOED_LOG_INFO, message, fields, 1);
    line = whole_log();
    length = strlen(line);
    assert_in_range(length, 4000, 4096);
    assert_string_equal(line + length - strlen(end), end);
    assert_null(strchr(line, '?'));
    assert_null(strstr(line, "lost"));
}

static void test_long_text(void **state)
{
    (void)state;
    check_long(MOED_LOG_TEXT, "\xE2\x82\xAC\n");
}

static void test_long_json(void **state)
{
    (void)state;
    check_long(MOED_LOG_JSON, "\xE2\x82\xAC\"}\n");
}

/* Fields up to the last byte: each prefix of a long text must still end in a closed object. */
static void test_every_cut(void **state)
{
    char text[4200];

    (void)state;
    moed_log_configure(MOED_LOG_INFO, MOED_LOG_JSON);
    for (size_t size = 3900; size < 4150; size++) {
        const struct moed_log_field fields[] = {{"a", text, 0}, {"b", "\"\"\"", 0}, {"c", NULL, 1}};
        const char *line;

        memset(text, 'x', size);
        text[size] = '\0';
        assert_int_equal(ftruncate(fileno(captured), 0), 0);
        rewind(captured);
        moed_log_event(MOED_LOG_INFO, "cut", fields, MOED_ARRAY_LEN(fields));
        line = whole_log();
        assert_true(strlen(line) <= 4096);
        assert_string_equal(line + strlen(line) - 2, "}\n");
        assert_true(strstr(line, "x\"}") != NULL || strstr(line, "\"\"}") != NULL ||
                    strstr(line, "1}") != NULL);
    }
}

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *context)
{
    const struct moed_log_field field = {"thread", context, 0};

    for (int i = 0; i < LINES; i++) {
        moed_log_event(MOED_LOG_INFO, "from one of several", &field, 1);
    }
    return NULL;
}

static void test_threads(void **state)
{
    char *names[THREADS] = {"one", "two", "three", "four"};
    pthread_t threads[THREADS];
    int lines = 0;

    (void)state;
    moed_log_configure(MOED_LOG_INFO, MOED_LOG_TEXT);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (const char *at = whole_log(); *at != '\0'; at = strchr(at, '\n') + 1, lines++) {
        static const char expected[] = " info from one of several thread=";

        assert_memory_equal(after_time(at), expected, sizeof(expected) - 1);
    }
    assert_int_equal(lines, THREADS * LINES);
}

/* ---- files: after these the log never comes back to stderr, so they run last ---- */

enum { MOVES = 50 };

static char folder[] = "/tmp/moed-log-XXXXXX", path[64], moved[64];

static size_t lines_of(const char *name)
{
    char line[256];
    size_t lines = 0;
    FILE *file = fopen(name, "r");

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        assert_non_null(strstr(line, " info from one of several thread="));
        assert_int_equal(line[strlen(line) - 1], '\n');
        lines++;
    }
    fclose(file);
    return lines;
}

static void test_no_such_folder(void **state)
{
    struct moed_error err = {0};

    (void)state;
    assert_int_equal(moed_log_open("/nowhere/moed.log", &err), MOED_E_IO);
    assert_string_equal(err.message, "log file /nowhere/moed.log: No such file or directory");
    moed_log_configure(MOED_LOG_INFO, MOED_LOG_TEXT);
    moed_log(MOED_LOG_INFO, "still here");
    assert_string_equal(after_time(whole_log()), " info still here\n");
}

/* As logrotate does, while four threads write: every line is whole and in one of the files. */
static void test_moved_files(void **state)
{
    char *names[THREADS] = {"one", "two", "three", "four"};
    pthread_t threads[THREADS];
    struct moed_error err = {0};
    size_t lines = 0;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    assert_int_equal(moed_log_open(path, &err), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    for (int i = 0; i < MOVES; i++) {
        snprintf(moved, sizeof(moved), "%s/log.%d", folder, i);
        assert_int_equal(rename(path, moved), 0);
        assert_int_equal(moed_log_open(path, &err), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < MOVES; i++) {
        snprintf(moved, sizeof(moved), "%s/log.%d", folder, i);
        lines += lines_of(moved);
        unlink(moved);
    }
    assert_int_equal(lines + lines_of(path), THREADS * LINES);
    assert_string_equal(whole_log(), "");
}

/* What was there is kept, and stays open where the next file cannot be. */
static void test_appends_and_stays(void **state)
{
    struct moed_error err = {0};
    const size_t before = lines_of(path);

    (void)state;
    assert_int_equal(moed_log_open("/nowhere/moed.log", &err), MOED_E_IO);
    write_lines("five");
    assert_int_equal(lines_of(path), before + LINES);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static size_t numbered_lines_of(const char *name, unsigned *next)
{
    FILE *file = fopen(name, "r");
    char line[256];
    size_t lines = 0;

    assert_non_null(file);
    for (; fgets(line, sizeof line, file) != NULL; lines++)
        assert_int_equal(strtoul(strstr(line, "number ") + 7, NULL, 10), (*next)++);
    fclose(file);
    return lines;
}

/* The thread turns to the next file exactly where it was opened among the lines. */
static void test_files_take_over_in_place(void **state)
{
    enum { FILES = 20, EACH = 100 };
    char place[] = "/tmp/moed-log-XXXXXX";
    struct moed_error err;
    unsigned next = 0, logged = 0;

    (void)state;
    assert_non_null(mkdtemp(place));
    snprintf(path, sizeof path, "%s/log", place);
    assert_int_equal(moed_log_start(&err), 0);
    for (int i = 0; i < FILES; i++) {
        assert_int_equal(moed_log_open(path, &err), 0);
        for (int k = 0; k < EACH; k++)
            moed_log(MOED_LOG_INFO, "number %u", logged++);
        snprintf(moved, sizeof moved, "%s/log.%d", place, i);
        assert_int_equal(rename(path, moved), 0);
    }
    moed_log_stop(60000);
    for (int i = 0; i < FILES; i++) {
        snprintf(moved, sizeof moved, "%s/log.%d", place, i);
        assert_int_equal(numbered_lines_of(moved, &next), EACH);
        unlink(moved);
    }
    assert_int_equal(rmdir(place), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, capture, release),
        cmocka_unit_test_setup_teardown(test_json, capture, release),
        cmocka_unit_test_setup_teardown(test_levels, capture, release),
        cmocka_unit_test_setup_teardown(test_long_text, capture, release),
        cmocka_unit_test_setup_teardown(test_long_json, capture, release),
        cmocka_unit_test_setup_teardown(test_every_cut, capture, release),
        cmocka_unit_test_setup_teardown(test_threads, capture, release),
        cmocka_unit_test_setup_teardown(test_no_such_folder, capture, release),
        cmocka_unit_test_setup_teardown(test_moved_files, capture, release),
        cmocka_unit_test_setup_teardown(test_appends_and_stays, capture, release),
        cmocka_unit_test_setup_teardown(test_files_take_over_in_place, capture, release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
