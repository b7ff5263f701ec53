/* options: flags, variables and defaults, in that order of strength; messages for what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/cli/options.h"

struct arguments {
    uint32_t threads;
    uint64_t body;
    uint64_t seed;
    double seconds;
    const char *name;
    uint32_t format;
    bool mlock;
    struct option_texts listen;
    struct option_numbers rows;
    const char *token;
};

#define AT(field) offsetof(struct arguments, field)

static const struct option options[] = {
    {"max-threads", OPTION_NUMBER, AT(threads), "N", .help = "threads", .unset = "all cores"},
    {"body", OPTION_BYTES, AT(body), "SIZE", .help = "bytes"},
    {"seed", OPTION_SEED, AT(seed), "N", .help = "seed"},
    {"seconds", OPTION_SECONDS, AT(seconds), "S", .help = "time"},
    {"name", OPTION_TEXT, AT(name), "NAME", .help = "name"},
    {"format", OPTION_CHOICE, AT(format), "text|json", .help = "format"},
    {"mlock", OPTION_SWITCH, AT(mlock), NULL, .help = "lock"},
    {"listen", OPTION_TEXTS, AT(listen), "HOST:PORT", .help = "address"},
    {"rows", OPTION_NUMBERS, AT(rows), "N,N", .help = "rows", .min = 1},
    {"token", OPTION_TEXT, AT(token), "TEXT", .help = "secret", .secret = true},
};

struct fixture {
    struct arguments arguments;
    struct option_set set;
    struct option_words words;
    struct moed_error err;
};

static void reset(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->arguments.listen = (struct option_texts){.at = {"127.0.0.1:8080"}, .n = 1};
    f->set = (struct option_set){options, MOED_ARRAY_LEN(options), &f->arguments, {0}};
}

/* Parses up to 8 words, NULL at the end. */
static int parse(struct fixture *f, const char *const *words)
{
    static char copies[8][128];
    static char *argv[8];

    f->words = (struct option_words){.argv = argv, .most = f->words.most};
    for (; words[f->words.argc]; f->words.argc++) {
        snprintf(copies[f->words.argc], sizeof(copies[0]), "%s", words[f->words.argc]);
        argv[f->words.argc] = copies[f->words.argc];
    }
    return options_read_flags(&f->set, &f->words, &f->err);
}

#define PARSE(f, ...) parse(f, (const char *const[]){__VA_ARGS__, NULL})

static void test_every_kind_is_read(void **state)
{
    struct fixture f;

    (void)state;
    reset(&f);
    assert_int_equal(PARSE(&f, "--max-threads", "7", "--body=2MiB", "model.gguf", "--mlock"), 0);
    assert_int_equal(f.arguments.threads, 7);
    assert_int_equal(f.arguments.body, 2 << 20);
    assert_true(f.arguments.mlock);
    assert_string_equal(f.words.operand, "model.gguf");
    assert_int_equal(
        PARSE(&f, "--seed=18446744073709551615", "--seconds", "0.5", "--name=x", "--format=json"),
        0);
    assert_true(f.arguments.seed == UINT64_MAX);
    assert_true(f.arguments.seconds == 0.5);
    assert_string_equal(f.arguments.name, "x");
    assert_int_equal(f.arguments.format, 1);
    assert_int_equal(PARSE(&f, "--rows", "1,8,64", "--mlock=no"), 0);
    assert_int_equal(f.arguments.rows.n, 3);
    assert_int_equal(f.arguments.rows.at[2], 64);
    assert_false(f.arguments.mlock);
}

static void test_a_list_replaces_its_default_and_grows(void **state)
{
    struct fixture f;

    (void)state;
    reset(&f);
    assert_int_equal(PARSE(&f, "--listen", "a:1", "--listen=unix:/b"), 0);
    assert_int_equal(f.arguments.listen.n, 2);
    assert_string_equal(f.arguments.listen.at[0], "a:1");
    assert_string_equal(f.arguments.listen.at[1], "unix:/b");
}

static void test_several_operands(void **state)
{
    struct fixture f;

    (void)state;
    reset(&f);
    f.words.most = 2;
    assert_int_equal(PARSE(&f, "a", "--mlock", "b"), 0);
    assert_int_equal(f.words.n_operands, 2);
    assert_string_equal(f.words.operand, "a");
    assert_string_equal(f.words.operands[1], "b");
    assert_int_equal(PARSE(&f, "a", "b", "c"), MOED_E_USAGE);
    assert_string_equal(f.err.message, "unexpected \"c\" after \"b\"");
}

static void test_a_double_dash_ends_the_options(void **state)
{
    struct fixture f;

    (void)state;
    reset(&f);
    assert_int_equal(PARSE(&f, "--", "--mlock"), 0);
    assert_string_equal(f.words.operand, "--mlock");
    assert_false(f.arguments.mlock);
}

static void test_wrong_words_are_named(void **state)
{
    static const struct {
        const char *words[3];
        const char *message;
    } cases[] = {
        {{"--thread", "1"}, "unknown option --thread"},
        {{"-x"}, "unknown option -x"},
        {{"--max-threads"}, "--max-threads: expected N after it, found nothing"},
        {{"--max-threads=four"},
         "--max-threads: expected a whole number from 0 to 4294967295, found \"four\""},
        {{"--max-threads=-1"},
         "--max-threads: expected a whole number from 0 to 4294967295, found \"-1\""},
        {{"--max-threads=4294967296"},
         "--max-threads: expected a whole number from 0 to 4294967295, found \"4294967296\""},
        {{"--rows=1,0"}, "--rows: expected a whole number from 1 to 4294967295, found \"0\""},
        {{"--rows="}, "--rows: expected a whole number from 1 to 4294967295, found \"\""},
        {{"--body=1TB"}, "--body: expected bytes, like 4096 or 256MiB, found \"1TB\""},
        {{"--body=99999999999GiB"},
         "--body: expected bytes, like 4096 or 256MiB, found \"99999999999GiB\""},
        {{"--seconds=0"}, "--seconds: expected a number of seconds above 0, found \"0\""},
        {{"--seconds=nan"}, "--seconds: expected a number of seconds above 0, found \"nan\""},
        {{"--format=xml"}, "--format: expected one of text|json, found \"xml\""},
        {{"--format=tex"}, "--format: expected one of text|json, found \"tex\""},
        {{"--mlock=maybe"}, "--mlock: expected yes or no, found \"maybe\""},
        {{"--name="}, "--name: the value is empty"},
        {{"one", "two"}, "unexpected \"two\" after \"one\""},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        struct fixture f;

        reset(&f);
        assert_int_equal(parse(&f, cases[i].words), MOED_E_USAGE);
        assert_string_equal(f.err.message, cases[i].message);
    }
}

static char *environment(const char *name)
{
    static char threads[] = "3", listen[] = "a:1,unix:/b", token[] = "hunter2";

    if (strcmp(name, "MOED_ARG_MAX_THREADS") == 0)
        return threads;
    if (strcmp(name, "MOED_ARG_LISTEN") == 0)
        return listen;
    return strcmp(name, "MOED_ARG_TOKEN") == 0 ? token : NULL;
}

static char *bad_environment(const char *name)
{
    static char value[] = "many";

    return strcmp(name, "MOED_ARG_MAX_THREADS") == 0 ? value : NULL;
}

static void test_flag_beats_variable_beats_default(void **state)
{
    struct fixture f;

    (void)state;
    reset(&f);
    assert_int_equal(options_read_variables(&f.set, environment, &f.err), 0);
    assert_int_equal(f.arguments.threads, 3);
    assert_int_equal(f.arguments.listen.n, 2);
    assert_string_equal(f.arguments.listen.at[1], "unix:/b");
    assert_null(f.arguments.name);
    assert_int_equal(PARSE(&f, "--max-threads=5", "--listen=c:3"), 0);
    assert_int_equal(f.arguments.threads, 5);
    assert_int_equal(f.arguments.listen.n, 1);
    assert_string_equal(f.arguments.listen.at[0], "c:3");
}

static void test_a_wrong_variable_is_named(void **state)
{
    struct fixture f;

    (void)state;
    reset(&f);
    assert_int_equal(options_read_variables(&f.set, bad_environment, &f.err), MOED_E_USAGE);
    assert_non_null(strstr(f.err.message, "MOED_ARG_MAX_THREADS"));
    assert_non_null(strstr(f.err.message, "\"many\""));
}

/* What a printing function writes; freed by the caller. */
static char *captured(const struct fixture *f, void (*print)(const struct option_set *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    print(&f->set, out);
    fclose(out);
    return text;
}

static void test_the_configuration_shows_sources_and_hides_secrets(void **state)
{
    struct fixture f;
    char *text;

    (void)state;
    reset(&f);
    assert_int_equal(options_read_variables(&f.set, environment, &f.err), 0);
    assert_int_equal(PARSE(&f, "--body=3KiB"), 0);
    text = captured(&f, options_print);
    assert_non_null(
        strstr(text, "max-threads                  3                        variable\n"));
    assert_non_null(strstr(text, "body                         3KiB                     flag\n"));
    assert_non_null(
        strstr(text, "format                       text                     default\n"));
    assert_non_null(
        strstr(text, "listen                       a:1,unix:/b              variable\n"));
    assert_non_null(strstr(text, "(hidden)"));
    assert_null(strstr(text, "hunter2"));
    free(text);
}

static void test_help_shows_each_option_with_its_default(void **state)
{
    struct fixture f;
    char *text;

    (void)state;
    reset(&f);
    text = captured(&f, options_help);
    assert_non_null(strstr(text, "--max-threads N "));
    assert_non_null(strstr(text, "[all cores]"));
    assert_non_null(strstr(text, "--format text|json "));
    assert_non_null(strstr(text, "[127.0.0.1:8080]"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_read),
        cmocka_unit_test(test_a_list_replaces_its_default_and_grows),
        cmocka_unit_test(test_several_operands),
        cmocka_unit_test(test_a_double_dash_ends_the_options),
        cmocka_unit_test(test_wrong_words_are_named),
        cmocka_unit_test(test_flag_beats_variable_beats_default),
        cmocka_unit_test(test_a_wrong_variable_is_named),
        cmocka_unit_test(test_the_configuration_shows_sources_and_hides_secrets),
        cmocka_unit_test(test_help_shows_each_option_with_its_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
