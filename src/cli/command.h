/* command: what a subcommand is: a name, help, a table of options, and a function to run. */
#ifndef MOED_CLI_COMMAND_H
#define MOED_CLI_COMMAND_H

#include "options.h"

struct invocation {
    const struct option_set *options;
    const char *operand; /* the first; NULL only where the command's operand may be left out */
    const char *const *operands; /* all, where the command takes several */
    uint32_t n_operands;
    void *arguments;                /* the command's own struct, filled in */
    char *(*get)(const char *name); /* reads a variable that is no option: getenv, or a test's */
};

struct command {
    const char *name;
    const char *operand; /* "MODEL.gguf"; in brackets where it may be left out */
    uint32_t operands;   /* that may come; 0: one */
    const char *summary; /* one line */
    const char *details; /* a paragraph for --help */
    const char *examples;
    const struct option *options;
    size_t n_options;
    size_t arguments_size;
    void (*print_more)(void);          /* of --help, behind the options; NULL: nothing */
    void (*defaults)(void *arguments); /* the struct is all zeros before; NULL: leave it so */
    /* 0, or a code with the reason: MOED_E_USAGE exits with 2, all others with 1. */
    int (*run)(const struct invocation *invocation, struct moed_error *err);
};

/* Whether this build has the HTTP server's libraries, and so `serve`, `load` and `shards`. */
#if MOED_WITH_SERVER
extern const struct command load_command;
extern const struct command serve_command;
extern const struct command shards_command;
#endif
extern const struct command inspect_command;
extern const struct command synth_command;
extern const struct command bench_command;
extern const struct command verify_command;
extern const struct command health_command;

struct environment {
    char *(*get)(const char *name); /* reads a variable: getenv, or a test's */
    char *const *all;               /* "NAME=value", and NULL at the end */
};

/* Looks up the subcommand argv[1], parses the rest and runs it; returns the exit status. */
int commands_main(int argc, char **argv, const struct environment *environment);

#endif
