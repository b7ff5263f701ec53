/* Files that a person names: only regular ones are read or appended to, and nobody waits. */
#include "src/base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const struct moed_file_rule open_rule = {"--flag", 100000, .secret = false};
static const struct moed_file_rule secret_rule = {"--flag", 100000, .secret = true};
static char folder[] = "/tmp/moed-file-XXXXXX", path[64];
static struct moed_text text;
static struct moed_error err;

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/it", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int forget(void **state)
{
    (void)state;
    moed_text_wipe(&text);
    unlink(path);
    return 0;
}

static void write_bytes(size_t size, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fputc((int)('a' + i % 26), file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void all_of_it_is_read(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 99999, 100000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_bytes(sizes[i], 0644);
        assert_int_equal(moed_file_read(&open_rule, path, &text, &err), 0);
        assert_int_equal(text.size, sizes[i]);
        assert_int_equal(strlen(text.text), sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(text.text[at], 'a' + at % 26);
        moed_text_wipe(&text);
        assert_null(text.text);
    }
}

static void there_is_a_limit(void **state)
{
    (void)state;
    write_bytes(100001, 0644);
    assert_int_equal(moed_file_read(&open_rule, path, &text, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "found 100001 bytes, expected at most 100000"));
    assert_null(text.text);
}

/* As in /proc, where the size is said to be 0. */
static void what_has_no_size_is_read_to_its_end(void **state)
{
    static const struct moed_file_rule small = {"--flag", 10, .secret = false};

    (void)state;
    assert_int_equal(moed_file_read(&open_rule, "/proc/self/status", &text, &err), 0);
    assert_non_null(strstr(text.text, "Name:"));
    moed_text_wipe(&text);
    assert_int_equal(moed_file_read(&small, "/proc/self/status", &text, &err), MOED_E_USAGE);
}

static void refused(const char *what, const char *kind)
{
    int fd;

    assert_int_equal(moed_file_read(&open_rule, what, &text, &err), MOED_E_USAGE);
    assert_memory_equal(err.message, "--flag ", 7);
    assert_non_null(strstr(err.message, kind));
    assert_non_null(strstr(err.message, "expected a regular file"));
    assert_int_equal(moed_file_read(&secret_rule, what, &text, &err), MOED_E_USAGE);
    if (strcmp(kind, "a directory") == 0) /* cannot be written to, says the kernel */
        return;
    assert_int_equal(moed_file_append("the log", what, &fd, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "expected a regular file"));
    assert_int_equal(fd, -1);
}

static void other_kinds_are_refused_without_waiting(void **state)
{
    (void)state;
    refused(folder, "a directory");
    refused("/dev/zero", "a device");
    refused("/dev/full", "a device");
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(path, "a pipe");
}

static void an_open_pipe_too(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    refused(path, "a pipe");
    close(fd);
}

static void secrets_have_modes(void **state)
{
    (void)state;
    write_bytes(10, 0640);
    assert_int_equal(moed_file_read(&secret_rule, path, &text, &err), 0);
    moed_text_wipe(&text);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(moed_file_read(&secret_rule, path, &text, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "0644"));
    assert_non_null(strstr(err.message, "chmod 640"));
    assert_int_equal(moed_file_read(&open_rule, path, &text, &err), 0);
}

static void what_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(moed_file_read(&open_rule, "/nowhere/at/all", &text, &err), MOED_E_IO);
    assert_string_equal(err.message, "--flag /nowhere/at/all: No such file or directory");
}

static void appending_keeps_what_was_there(void **state)
{
    int fd;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(moed_file_append("the log", path, &fd, &err), 0);
        assert_int_equal(write(fd, "line\n", 5), 5);
        close(fd);
    }
    assert_int_equal(moed_file_read(&open_rule, path, &text, &err), 0);
    assert_string_equal(text.text, "line\nline\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_of_it_is_read, forget),
        cmocka_unit_test_teardown(there_is_a_limit, forget),
        cmocka_unit_test_teardown(what_has_no_size_is_read_to_its_end, forget),
        cmocka_unit_test_teardown(other_kinds_are_refused_without_waiting, forget),
        cmocka_unit_test_teardown(an_open_pipe_too, forget),
        cmocka_unit_test_teardown(secrets_have_modes, forget),
        cmocka_unit_test(what_is_not_there),
        cmocka_unit_test_teardown(appending_keeps_what_was_there, forget),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
