/* commands: the table of subcommands: finding one, its help, running it, its exit status. */
#include <moed/version.h>

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "suggest.h"
#include "variables.h"
#include "version.h"

enum { LAST_WORDS_MS = 2000 };
enum exit_status { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const struct command *const commands[] = {
#if MOED_WITH_SERVER
    &serve_command,
#endif
    &inspect_command, &synth_command,  &bench_command, &verify_command, &health_command,
#if MOED_WITH_SERVER
    &load_command,    &shards_command,
#endif
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < MOED_ARRAY_LEN(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* Whether a build with the server's libraries would have it. */
static bool needs_server(const char *name)
{
    static const char *const names[] = {"serve", "load", "shards"};

    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void print_overview(FILE *out)
{
    fprintf(out,
            "moed %s: serves the mixture-of-experts layers of GGUF models.\n\n"
            "Usage: moed COMMAND [operand] [options]\n\n",
            MOED_VERSION);
    for (size_t i = 0; i < MOED_ARRAY_LEN(commands); i++)
        fprintf(out, "  %-8s  %s\n", commands[i]->name, commands[i]->summary);
    if (find("serve") == NULL)
        fprintf(out, "\nThis build has no server (-Dserver=disabled).\n");
    fprintf(out,
            "\n`moed COMMAND --help` shows options and examples. Each option is a variable\n"
            "too: --max-batch-rows is MOED_ARG_MAX_BATCH_ROWS; the flag wins.\n"
            "Exit status: 0 fine, 1 failed, 2 wrong usage.\n");
}

static void print_help(const struct command *command, const struct option_set *set)
{
    printf("Usage: moed %s %s%s\n\n%s\n", command->name, command->operand,
           command->n_options > 0 ? " [options]" : "", command->details);
    if (command->n_options > 0) {
        printf("\nOptions [default]:\n");
        options_help(set, stdout);
    }
    if (command->print_more != NULL)
        command->print_more();
    printf("\nExamples:\n%s", command->examples);
}

/* The last words, which wait for a reader of stderr that stands still, but not for ever: an end
 * that failed has to end. What poll(2) lets into a pipe is PIPE_BUF bytes. */
static int complain(const struct command *command, int status, const struct moed_error *err)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    char text[PIPE_BUF];
    int n = snprintf(text, sizeof text, "moed: %s\n", err->message);

    if (status == MOED_E_USAGE && n < (int)sizeof text)
        n += snprintf(text + n, sizeof text - (size_t)n, "Try `moed %s --help`.\n", command->name);
    if (n >= (int)sizeof text)
        n = sizeof text - 1;
    fflush(stderr);
    if (poll(&out, 1, LAST_WORDS_MS) == 1 && write(STDERR_FILENO, text, (size_t)n) < 0)
        return EXIT_FAILED; /* nobody is left to hear why */
    return status == MOED_E_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int parse_and_run(const struct command *command, struct option_set *set,
                         struct option_words *words, const struct environment *environment)
{
    struct moed_error err = {0};
    struct invocation invocation = {
        .options = set, .arguments = set->arguments, .get = environment->get};
    int status = variables_check(environment->all, commands, MOED_ARRAY_LEN(commands), &err);

    if (status == 0)
        status = options_read_variables(set, environment->get, &err);

    words->most = command->operands;
    if (status == 0)
        status = options_read_flags(set, words, &err);
    if (status == 0 && words->operand == NULL && command->operand[0] != '[')
        status = moed_fail(&err, MOED_E_USAGE, "%s: expected %s, found nothing", command->name,
                           command->operand);
    invocation.operand = words->operand;
    invocation.operands = words->operands;
    invocation.n_operands = words->n_operands;
    if (status == 0)
        status = command->run(&invocation, &err);
    return status == 0 ? EXIT_FINE : complain(command, status, &err);
}

static int run_command(const struct command *command, struct option_words *words,
                       const struct environment *environment)
{
    struct option_set set = {.options = command->options, .n = command->n_options};
    int status;

    set.arguments = moed_calloc(1, command->arguments_size);
    if (set.arguments == NULL) {
        fprintf(stderr, "moed: out of memory\n");
        return EXIT_FAILED;
    }
    if (command->defaults != NULL)
        command->defaults(set.arguments);
    if (wants_help(words->argc, words->argv)) {
        print_help(command, &set);
        status = EXIT_FINE;
    } else {
        status = parse_and_run(command, &set, words, environment);
    }
    free(set.arguments);
    return status;
}

static char help_flag[] = "--help";

/* A command that was meant; NULL: none that we know of. */
static const struct command *meant(const char *name)
{
    for (size_t i = 0; i < MOED_ARRAY_LEN(commands); i++)
        if (suggest_is_slip(name, commands[i]->name))
            return commands[i];
    return NULL;
}

/* Words that stand where a command is expected. */
static void complain_of_command(const char *name)
{
    const size_t length = strlen(name);
    const struct command *command = meant(name);

    if (needs_server(name)) {
        fprintf(stderr, "moed: this build has no server (-Dserver=disabled): no `%s`.\n", name);
        return;
    }
    fprintf(stderr, "moed: unknown command \"%s\"", name);
    if (length > 5 && strcmp(name + length - 5, ".gguf") == 0)
        fprintf(stderr, ": did you mean `moed %s %s`?", find("serve") != NULL ? "serve" : "inspect",
                name);
    else if (name[0] == '-')
        fprintf(stderr, ": a command comes first, as in `moed %s MODEL.gguf`",
                find("serve") != NULL ? "serve" : "inspect");
    else if (command != NULL)
        fprintf(stderr, ": did you mean `moed %s`?", command->name);
    fprintf(stderr, "\nTry `moed --help`.\n");
}

static bool is_one_of(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(name, *words) == 0)
            return true;
    return false;
}

int commands_main(int argc, char **argv, const struct environment *environment)
{
    static const char *const version[] = {"--version", "-V", "version", NULL};
    static const char *const help[] = {"--help", "-h", "help", NULL};
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *command = find(name);
    struct option_words words = {.argc = argc - 2, .argv = argv + 2};

    if (command != NULL)
        return run_command(command, &words, environment);
    if (is_one_of(name, version)) {
        version_print();
        return EXIT_FINE;
    }
    if (is_one_of(name, help) && argc > 2 && find(argv[2]) != NULL) { /* `moed help serve` */
        char *words_of_help[] = {argv[0], argv[2], help_flag};

        return commands_main(3, words_of_help, environment);
    }
    if (is_one_of(name, help) && argc == 2) {
        print_overview(stdout);
        return EXIT_FINE;
    }
    if (argc < 2)
        print_overview(stderr);
    else
        complain_of_command(is_one_of(name, help) ? argv[2] : name);
    return EXIT_USAGE;
}
