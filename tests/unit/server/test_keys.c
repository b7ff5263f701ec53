/* Files of API keys, and what a request has to show. */
#include "src/server/http/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/moed-keys-XXXXXX";
static struct moed_error err;
static struct keys keys;

/* Reads a file of this text and mode. */
static int read_keys(const char *text, size_t size, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return keys_read(path, &keys, &err);
}

static int read_text(const char *text)
{
    return read_keys(text, strlen(text), 0600);
}

static int make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static int forget(void **state)
{
    (void)state;
    keys_fini(&keys);
    return 0;
}

static void lines_comments_and_blanks(void **state)
{
    (void)state;
    assert_int_equal(read_text("# of the night shift\n\n  first-key-of-two-0001 \t\r\n"
                               "\t# and\n#\nsecond-key-of-two-02"),
                     0);
    assert_int_equal(keys.n, 2);
    assert_true(keys_allow(&keys, NULL, "first-key-of-two-0001"));
    assert_true(keys_allow(&keys, NULL, "second-key-of-two-02"));
    assert_false(keys_allow(&keys, NULL, "# of the night shift"));
    assert_false(keys_allow(&keys, NULL, ""));
}

static void a_key_is_all_of_it(void **state)
{
    (void)state;
    assert_int_equal(read_text("0123456789abcdef\n"), 0);
    assert_true(keys_allow(&keys, NULL, "0123456789abcdef"));
    assert_false(keys_allow(&keys, NULL, "0123456789abcde"));
    assert_false(keys_allow(&keys, NULL, "0123456789abcdef0"));
    assert_false(keys_allow(&keys, NULL, "0123456789ABCDEF"));
    assert_false(keys_allow(&keys, NULL, " 0123456789abcdef"));
    assert_false(keys_allow(&keys, NULL, NULL));
}

static void bearer_is_the_only_scheme(void **state)
{
    static const char *const good[] = {"Bearer 0123456789abcdef", "bearer 0123456789abcdef",
                                       "BEARER   0123456789abcdef"};
    static const char *const bad[] = {"0123456789abcdef",
                                      "Basic 0123456789abcdef",
                                      "Bearer",
                                      "Bearer ",
                                      "Bearer\t0123456789abcdef",
                                      "Bearer 0123456789abcdef ",
                                      "Bearer 0123456789abcdef,",
                                      ""};

    (void)state;
    assert_int_equal(read_text("0123456789abcdef\n"), 0);
    for (size_t i = 0; i < MOED_ARRAY_LEN(good); i++)
        assert_true(keys_allow(&keys, good[i], NULL));
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad); i++)
        assert_false(keys_allow(&keys, bad[i], NULL));
    assert_true(keys_allow(&keys, "Basic Zm9vOmJhcg==", "0123456789abcdef"));
    assert_true(keys_allow(&keys, good[0], "wrong"));
}

static void keys_are_not_kept(void **state)
{
    (void)state;
    assert_int_equal(read_text("0123456789abcdef\n"), 0);
    assert_string_equal(keys.at[0].hex,
                        "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f");
}

static void refused(const char *text, size_t size, const char *word)
{
    assert_int_equal(read_keys(text, size, 0600), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "--api-key-file "));
    assert_non_null(strstr(err.message, path));
    if (strstr(err.message, word) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", word, err.message);
    assert_null(strstr(err.message, "secret"));
    assert_int_equal(keys.n, 0);
}

static void mistakes_name_the_line_and_not_the_key(void **state)
{
    static const char nul[] = "secret-with-a\0-nul-inside";
    char longest[KEY_MAX + 3];

    (void)state;
    refused("", 0, "found no key");
    refused("# only\n\n", 8, "found no key");
    refused("# one\nsecret-too-short\nsecret\n", 30, "line 3: a key of 6 characters, expected 16");
    refused("secret with several spaces\n", 27, "line 1");
    refused("secret-with-an-\xc3\xa4-inside\n", 25, "line 1");
    refused(nul, sizeof nul - 1, "line 1");
    memset(longest, 'x', sizeof longest);
    longest[KEY_MAX] = '\n';
    assert_int_equal(read_keys(longest, KEY_MAX + 1, 0600), 0);
    keys_fini(&keys);
    longest[KEY_MAX] = 'x';
    refused(longest, KEY_MAX + 1, "257 characters");
}

static void others_may_not_read_or_write(void **state)
{
    static const mode_t good[] = {0400, 0600, 0440, 0640}, bad[] = {0644, 0604, 0602, 0660, 0641};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(good); i++) {
        assert_int_equal(read_keys("0123456789abcdef\n", 17, good[i]), 0);
        keys_fini(&keys);
    }
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad); i++) {
        char mode[8];

        assert_int_equal(read_keys("0123456789abcdef\n", 17, bad[i]), MOED_E_USAGE);
        snprintf(mode, sizeof mode, "%04o", (unsigned)bad[i]);
        assert_non_null(strstr(err.message, mode));
        assert_non_null(strstr(err.message, "chmod 640"));
    }
    assert_int_equal(chmod(path, 0600), 0);
}

static void only_files(void **state)
{
    (void)state;
    assert_int_equal(keys_read("/nowhere/keys", &keys, &err), MOED_E_IO);
    assert_non_null(strstr(err.message, "/nowhere/keys"));
    assert_int_equal(keys_read("/tmp", &keys, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "regular file"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(keys_read(path, &keys, &err), MOED_E_USAGE); /* and does not wait */
}

static void files_have_a_limit(void **state)
{
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(read_keys("", 0, 0600), MOED_E_USAGE);
    assert_int_equal(truncate(path, (1 << 20) + 1), 0);
    assert_int_equal(keys_read(path, &keys, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "1048577 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(lines_comments_and_blanks, forget),
        cmocka_unit_test_teardown(a_key_is_all_of_it, forget),
        cmocka_unit_test_teardown(bearer_is_the_only_scheme, forget),
        cmocka_unit_test_teardown(keys_are_not_kept, forget),
        cmocka_unit_test_teardown(mistakes_name_the_line_and_not_the_key, forget),
        cmocka_unit_test_teardown(others_may_not_read_or_write, forget),
        cmocka_unit_test(only_files),
        cmocka_unit_test(files_have_a_limit),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
