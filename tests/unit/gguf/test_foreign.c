/* What people name by mistake: told what it is, and what to do. */
#include "build.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[64];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/moed-foreign-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static void refuse(const char *path, int code, const char *const words[MAX_WORDS])
{
    struct moed_gguf *gguf = NULL;
    struct moed_error err = {0};

    assert_int_equal(moed_gguf_open(path, &gguf, &err), code);
    assert_null(gguf);
    check_words(err.message, words);
}

#define BYTES(text) text, sizeof(text) - 1

static void says_what_the_bytes_are(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *words[MAX_WORDS];
    } cases[] = {
        {BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
         {"git-lfs pointer", "git lfs pull"}},
        {BYTES("<!DOCTYPE html><html>"), {"HTML", "download it again"}},
        {BYTES("\n  <HTML lang=en>"), {"HTML"}},
        {BYTES("<?xml version='1.0'?><Error>"), {"XML"}},
        {BYTES("{\"error\":\"Repository not found\"}"), {"JSON", "download it again"}},
        {BYTES("PK\3\4......"), {"ZIP", "unpack", "convert"}},
        {BYTES("\x1f\x8b\x08\0...."), {"gzip", "gunzip"}},
        {BYTES("\x28\xb5\x2f\xfd...."), {"zstd", "unzstd"}},
        {BYTES("\x10\1\0\0\0\0\0\0{\"model\":"), {"safetensors", "convert"}},
        {BYTES("tjgg\3\0\0\0"), {"GGJT", "obsolete", "convert"}},
        {BYTES("\0\0\0\0\0\0\0\0\0\0\0\0"), {"zeros", "download it again"}},
        {BYTES("some text"), {"magic bytes 73 6f 6d 65", "47 47 55 46"}},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        struct build b = {0};
        struct moed_gguf *gguf = NULL;
        struct moed_error err = {0};

        build_bytes(&b, cases[i].bytes, cases[i].size);
        assert_int_equal(build_open(&b, &gguf, NULL, &err), MOED_E_BAD_FILE);
        check_words(err.message, cases[i].words);
        check_words(err.message, (const char *const[MAX_WORDS]){"not a GGUF file: found"});
        build_free(&b);
    }
}

/* A piece has a good header, or none, and ends too early. */
static void says_what_the_name_gives_away(void **state)
{
    static const char *const names[] = {"m.gguf.part1of2", "m.gguf.part2of2", "m.gguf-split-a"};
    struct build b = {0};
    char path[128];

    (void)state;
    build_small(&b, 3);
    b.size -= 50;
    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        build_save(&b, path);
        refuse(path, MOED_E_BAD_FILE,
               (const char *const[MAX_WORDS]){"within the file's", "one piece of a file", "cat "});
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/m.gguf.crdownload", directory);
    build_save(&b, path);
    refuse(path, MOED_E_BAD_FILE, (const char *const[MAX_WORDS]){"download that has not ended"});
    unlink(path);
    build_free(&b);
}

static void says_that_names_are_no_paths(void **state)
{
    (void)state;
    refuse("https://example.org/m.gguf", MOED_E_IO,
           (const char *const[MAX_WORDS]){"this is a URL", "download"});
    refuse("owner/model-GGUF", MOED_E_IO, (const char *const[MAX_WORDS]){"on a hub", "download"});
    refuse("owner/model-GGUF:Q4_K_M", MOED_E_IO, (const char *const[MAX_WORDS]){"on a hub"});
}

/* A path that is wrong is just that. */
static void says_no_more_than_it_knows(void **state)
{
    static const char *const paths[] = {"/nowhere/model.gguf", "nowhere/model.gguf", "model.gguf"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(paths); i++) {
        struct moed_gguf *gguf = NULL;
        struct moed_error err = {0};

        assert_int_equal(moed_gguf_open(paths[i], &gguf, &err), MOED_E_IO);
        assert_null(strchr(err.message, ';'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_bytes_are),
        cmocka_unit_test(says_what_the_name_gives_away),
        cmocka_unit_test(says_that_names_are_no_paths),
        cmocka_unit_test(says_no_more_than_it_knows),
    };

    return cmocka_run_group_tests_name("gguf foreign", tests, make_directory, remove_directory);
}
