/* options: command lines as data. Each subcommand declares a table of options over its own
 * arguments struct; this parses flags and MOED_ARG_* variables into it, and prints it as help or
 * as the configuration that results. Flag beats variable beats default. */
#ifndef MOED_CLI_OPTIONS_H
#define MOED_CLI_OPTIONS_H

#include "src/base/base.h"
#include <stdio.h>

enum option_kind {                 /* what `offset` points at */
                   OPTION_SWITCH,  /* bool: --name, --name=no */
                   OPTION_NUMBER,  /* uint32_t */
                   OPTION_BYTES,   /* uint64_t, with an optional KiB, MiB or GiB */
                   OPTION_SEED,    /* uint64_t */
                   OPTION_SECONDS, /* double */
                   OPTION_TEXT,    /* const char * */
                   OPTION_CHOICE,  /* uint32_t: which of the words in `value` */
                   OPTION_TEXTS,   /* struct option_texts: repeatable, and a list with commas in a
                                      variable */
                   OPTION_NUMBERS  /* struct option_numbers: a list with commas */
};

#define OPTION_LIST_MAX 16

struct option_texts {
    const char *at[OPTION_LIST_MAX];
    uint32_t n;
    char copy[1024]; /* a variable's text, cut at its commas */
};

struct option_numbers {
    uint32_t at[OPTION_LIST_MAX];
    uint32_t n;
};

struct option {
    const char *name; /* "max-batch-rows": --max-batch-rows, MOED_ARG_MAX_BATCH_ROWS */
    enum option_kind kind;
    size_t offset;     /* in the command's arguments */
    const char *value; /* what help calls it: "N"; the words of a CHOICE: "text|json" */
    const char *help;
    const char *unset; /* what 0 or NULL stands for: "physical cores" */
    uint32_t min;      /* of a NUMBER, of each of NUMBERS, of BYTES */
    uint64_t max;      /* likewise; 0: as much as fits */
    bool secret;       /* never shown by options_print */
};

enum option_source { OPTION_DEFAULT, OPTION_VARIABLE, OPTION_FLAG };

#define OPTIONS_MAX 64

struct option_set { /* a table over one arguments struct, which holds the defaults at first */
    const struct option *options;
    size_t n;
    void *arguments;
    uint8_t source[OPTIONS_MAX]; /* enum option_source of each */
};

/* Reads the variables of all options of the set with `get` (getenv, or a test's). */
int options_read_variables(struct option_set *set, char *(*get)(const char *name),
                           struct moed_error *err);

#define OPERANDS_MAX 256

struct option_words { /* argv after the subcommand's name, and what it came to */
    int argc;
    char **argv;
    uint32_t most;                      /* operands that may come; 0: one */
    const char *operand;                /* out: the first word that is no option, or NULL */
    const char *operands[OPERANDS_MAX]; /* out: all of them */
    uint32_t n_operands;
};

/* Reads the flags. MOED_E_USAGE names the word, what was found and what is accepted. */
int options_read_flags(struct option_set *set, struct option_words *words, struct moed_error *err);

/* One line an option: flag, meaning, default. */
void options_help(const struct option_set *set, FILE *out);
/* One line an option: name, value, where it came from. */
void options_print(const struct option_set *set, FILE *out);

/* Writes MOED_ARG_NAME for "name". */
void options_variable_name(const struct option *option, char *out, size_t size);

#endif
