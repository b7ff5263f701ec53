/* Split models: parts found by name, held to be of one model, and missing or foreign ones named. */
#include "build.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PARTS 3

static char directory[64];

struct part { /* what a part says of itself */
    uint32_t no, count, total;
    const char *arch;   /* NULL: no such key */
    const char *tensor; /* NULL: no tensors */
};

static const struct part good[PARTS] = {
    {0, 3, 2, "qwen3moe", NULL},
    {1, 3, 2, NULL, "one"},
    {2, 3, 2, "qwen3moe", "two"},
};

static const char *name_of(unsigned i)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/m-%05u-of-%05u.gguf", directory, i + 1, PARTS);
    return path;
}

static void save(const struct part *part, const char *path)
{
    struct build b = {0};

    build_head(&b, 3, part->tensor != NULL ? 1 : 0, part->arch != NULL ? 4 : 3);
    build_key(&b, "split.no", MOED_GGUF_U16);
    build_integer(&b, part->no, 2);
    build_key(&b, "split.count", MOED_GGUF_U16);
    build_integer(&b, part->count, 2);
    build_key(&b, "split.tensors.count", MOED_GGUF_I32);
    build_u32(&b, part->total);
    if (part->arch != NULL)
        build_key_string(&b, "general.architecture", part->arch);
    if (part->tensor != NULL) {
        build_vector(&b, part->tensor, 4, 0);
        build_align(&b, 32);
        build_bytes(&b, part->tensor, 3);
        build_zeros(&b, 13);
    }
    build_save(&b, path);
    build_free(&b);
}

static void save_all(const struct part parts[PARTS])
{
    for (unsigned i = 0; i < PARTS; i++)
        save(&parts[i], name_of(i));
}

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/moed-split-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PARTS; i++)
        unlink(name_of(i));
    return rmdir(directory);
}

static void opens_from_any_part(void **state)
{
    (void)state;
    save_all(good);
    for (unsigned from = 0; from < PARTS; from++) {
        struct moed_gguf *gguf;
        char text[4] = {0};

        assert_int_equal(moed_gguf_open(name_of(from), &gguf, NULL), MOED_OK);
        assert_int_equal(moed_gguf_parts(gguf), PARTS);
        for (unsigned i = 0; i < PARTS; i++)
            assert_string_equal(moed_gguf_path(gguf, i), name_of(i));
        assert_int_equal(moed_gguf_tensor_count(gguf), 2);
        const struct moed_gguf_tensor *two = moed_gguf_find(gguf, "two");
        assert_int_equal(two->part, 2);
        assert_int_equal(moed_gguf_read(gguf, two, 0, 3, text, NULL), MOED_OK);
        assert_string_equal(text, "two");
        const uint8_t *map;
        assert_int_equal(moed_gguf_map(gguf, moed_gguf_find(gguf, "one"), &map, NULL), MOED_OK);
        assert_memory_equal(map, "one", 3);
        moed_gguf_close(gguf);
    }
}

/* The name without a directory: siblings are looked for in the working directory. */
static void opens_without_a_directory(void **state)
{
    char before[4096];
    struct moed_gguf *gguf;

    (void)state;
    save_all(good);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(moed_gguf_open("m-00002-of-00003.gguf", &gguf, NULL), MOED_OK);
    assert_string_equal(moed_gguf_path(gguf, 0), "m-00001-of-00003.gguf");
    moed_gguf_close(gguf);
    assert_int_equal(chdir(before), 0);
}

static void refuse(const char *path, int code, const char *const words[MAX_WORDS])
{
    struct moed_gguf *gguf = NULL;
    struct moed_error err = {0};

    assert_int_equal(moed_gguf_open(path, &gguf, &err), code);
    assert_null(gguf);
    check_words(err.message, words);
}

static void names_the_missing_part(void **state)
{
    (void)state;
    save_all(good);
    unlink(name_of(1));
    refuse(name_of(0), MOED_E_IO,
           (const char *const[MAX_WORDS]){"part 2 of 3", "m-00002-of-00003.gguf", "No such file"});
    save_all(good);
    unlink(name_of(0));
    refuse(name_of(2), MOED_E_IO,
           (const char *const[MAX_WORDS]){"part 1 of 3", "m-00001-of-00003.gguf", "No such file"});
}

static void refuses_foreign_parts(void **state)
{
    static const struct {
        struct part part; /* in the place of the third */
        const char *words[MAX_WORDS];
    } cases[] = {
        {{1, 3, 2, NULL, "two"}, {"m-00003-of", "'split.no'", "found 1", "expected 2"}},
        {{2, 4, 2, NULL, "two"}, {"m-00003-of", "'split.count'", "found 4", "expected 3"}},
        {{2, 3, 9, NULL, "two"}, {"m-00003-of", "'split.tensors.count'", "found 9", "the 2 "}},
        {{2, 3, 2, "llama", "two"}, {"m-00003-of", "'general.architecture'", "different model"}},
        {{2, 3, 2, NULL, "one"}, {"m-00003-of", "'one'", "twice", "parts 2 and 3"}},
        {{2, 3, 2, NULL, NULL}, {"'split.tensors.count'", "found 2", "the 1 "}},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        save_all(good);
        save(&cases[i].part, name_of(2));
        refuse(name_of(0), MOED_E_BAD_FILE, cases[i].words);
    }
}

static void refuses_a_part_without_split_keys(void **state)
{
    struct build b = {0};

    (void)state;
    save_all(good);
    build_small(&b, 3);
    build_save(&b, name_of(1));
    build_free(&b);
    refuse(name_of(0), MOED_E_BAD_FILE,
           (const char *const[MAX_WORDS]){"m-00002-of", "'split.count'", "found none", "3"});
}

/* As a tool that merges the parts leaves it, which keeps the name and says of itself 0 or nothing.
 */
static void a_merged_file_may_keep_its_name(void **state)
{
    const struct part merged = {0, 0, 1, "qwen3moe", "one"};
    struct moed_gguf *gguf;
    struct build b = {0};

    (void)state;
    for (unsigned i = 0; i < PARTS; i++)
        unlink(name_of(i));
    build_small(&b, 3);
    build_save(&b, name_of(0));
    build_free(&b);
    assert_int_equal(moed_gguf_open(name_of(0), &gguf, NULL), MOED_OK);
    assert_int_equal(moed_gguf_parts(gguf), 1);
    assert_non_null(moed_gguf_find(gguf, "x"));
    moed_gguf_close(gguf);
    save(&merged, name_of(0));
    assert_int_equal(moed_gguf_open(name_of(0), &gguf, NULL), MOED_OK);
    assert_int_equal(moed_gguf_parts(gguf), 1);
    moed_gguf_close(gguf);

    save(&good[1], name_of(1)); /* another part beside it: then it is not the whole */
    refuse(name_of(0), MOED_E_BAD_FILE,
           (const char *const[MAX_WORDS]){"m-00001-of", "'split.count'", "found 0", "3"});
    unlink(name_of(1));
}

static void refuses_a_renamed_part(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/renamed.gguf", directory);
    save(&good[1], path);
    refuse(path, MOED_E_BAD_FILE,
           (const char *const[MAX_WORDS]){"renamed.gguf", "'split.count'", "part of 3",
                                          "-NNNNN-of-00003"});
    unlink(path);
}

static void refuses_impossible_names(void **state)
{
    static const char *const names[] = {"m-00000-of-00003.gguf", "m-00004-of-00003.gguf",
                                        "m-00001-of-99999.gguf", "m-00001-of-00000.gguf"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++)
        refuse(names[i], MOED_E_BAD_FILE, (const char *const[MAX_WORDS]){names[i], "found"});
}

static void a_split_of_one_is_a_file(void **state)
{
    static const char *const names[] = {"m-00001-of-00001.gguf", "-00001-of-00001.gguf",
                                        "m-0001-of-00003.gguf", "m-00001-of-0000x.gguf"};
    struct build b = {0};
    char path[128];

    (void)state;
    build_small(&b, 3);
    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++) {
        struct moed_gguf *gguf;

        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        build_save(&b, path);
        assert_int_equal(moed_gguf_open(path, &gguf, NULL), MOED_OK);
        assert_int_equal(moed_gguf_parts(gguf), 1);
        assert_string_equal(moed_gguf_path(gguf, 0), path);
        moed_gguf_close(gguf);
        unlink(path);
    }
    build_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_from_any_part),
        cmocka_unit_test(opens_without_a_directory),
        cmocka_unit_test(names_the_missing_part),
        cmocka_unit_test(refuses_foreign_parts),
        cmocka_unit_test(refuses_a_part_without_split_keys),
        cmocka_unit_test(a_merged_file_may_keep_its_name),
        cmocka_unit_test(refuses_a_renamed_part),
        cmocka_unit_test(refuses_impossible_names),
        cmocka_unit_test(a_split_of_one_is_a_file),
    };

    return cmocka_run_group_tests_name("gguf split", tests, make_directory, remove_directory);
}
