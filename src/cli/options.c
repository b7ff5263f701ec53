/* options: walks argv and the environment over a command's option table, and prints the table. */
#include "options.h"

#include <ctype.h>
#include <string.h>

#include "suggest.h"
#include "value.h"

static void *field_of(const struct option_set *set, const struct option *option)
{
    return (char *)set->arguments + option->offset;
}

void options_variable_name(const struct option *option, char *out, size_t size)
{
    snprintf(out, size, "MOED_ARG_%s", option->name);
    for (char *at = out; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
}

int options_read_variables(struct option_set *set, char *(*get)(const char *name),
                           struct moed_error *err)
{
    char name[80];

    for (size_t i = 0; i < set->n; i++) {
        const struct option *option = &set->options[i];
        const char *text;
        int status;

        options_variable_name(option, name, sizeof name);
        text = get(name);
        if (text == NULL)
            continue;
        status = value_parse_variable(option, field_of(set, option), text, name, err);
        if (status != 0)
            return status;
        set->source[i] = OPTION_VARIABLE;
    }
    return 0;
}

/* Finds the option of "--name" or "--name=value"; the set's size if there is none. */
static size_t find(const struct option_set *set, const char *word, size_t size)
{
    size_t i = 0;

    while (i < set->n &&
           (strlen(set->options[i].name) != size || strncmp(set->options[i].name, word, size) != 0))
        i++;
    return i;
}

static int unknown(const struct option_set *set, const char *word, struct moed_error *err)
{
    char meant[120];

    suggest_option(set, word, meant, sizeof meant);
    return moed_fail(err, MOED_E_USAGE, "unknown option %.*s%s", (int)strcspn(word, "="), word,
                     meant);
}

/* Reads the flag at argv[*i] and, where it has one, its value; leaves *i at the last word used. */
static int read_flag(struct option_set *set, struct option_words *words, int *i,
                     struct moed_error *err)
{
    const char *word = words->argv[*i];
    const size_t size = strcspn(word + 2, "=");
    const size_t index = find(set, word + 2, size);
    const char *value = word[2 + size] == '=' ? word + 2 + size + 1 : NULL;
    const struct option *option;
    char what[80];
    bool append;
    int status;

    if (index == set->n)
        return unknown(set, word, err);
    option = &set->options[index];
    snprintf(what, sizeof what, "--%s", option->name);
    if (value == NULL && option->kind == OPTION_SWITCH)
        value = "yes";
    if (value == NULL && *i + 1 < words->argc)
        value = words->argv[++*i];
    if (value == NULL)
        return moed_fail(err, MOED_E_USAGE, "%s: expected %s after it, found nothing", what,
                         option->value);
    append = set->source[index] == OPTION_FLAG; /* the first flag replaces variable and default */
    status = value_parse(option, field_of(set, option), value, append, what, err);
    set->source[index] = OPTION_FLAG;
    return status;
}

int options_read_flags(struct option_set *set, struct option_words *words, struct moed_error *err)
{
    const uint32_t most = words->most > 0 ? words->most : 1;
    bool flags = true; /* until "--" */
    int status = 0;

    words->operand = NULL;
    words->n_operands = 0;
    for (int i = 0; i < words->argc && status == 0; i++) {
        const char *word = words->argv[i];

        if (flags && strcmp(word, "--") == 0) {
            flags = false;
        } else if (flags && strncmp(word, "--", 2) == 0) {
            status = read_flag(set, words, &i, err);
        } else if (flags && word[0] == '-' && word[1] != '\0') {
            status = unknown(set, word, err);
        } else if (words->n_operands == most) {
            status = moed_fail(err, MOED_E_USAGE, "unexpected \"%s\" after \"%s\"", word,
                               words->operands[most - 1]);
        } else {
            words->operands[words->n_operands++] = word;
            words->operand = words->operands[0];
        }
    }
    return status;
}

void options_help(const struct option_set *set, FILE *out)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct option *option = &set->options[i];
        char flag[64], initial[256];

        snprintf(flag, sizeof flag, "--%s%s%s", option->name, option->value != NULL ? " " : "",
                 option->value != NULL ? option->value : "");
        fprintf(out, "  %-30s  %s", flag, option->help);
        value_format(option, field_of(set, option), initial, sizeof initial);
        if (option->kind == OPTION_SWITCH)
            fputc('\n', out);
        else
            fprintf(out, " [%s]\n", initial);
    }
}

void options_print(const struct option_set *set, FILE *out)
{
    static const char *const sources[] = {"default", "variable", "flag"};

    for (size_t i = 0; i < set->n; i++) {
        const struct option *option = &set->options[i];
        char value[1024];

        value_format(option, field_of(set, option), value, sizeof value);
        if (option->secret && set->source[i] != OPTION_DEFAULT)
            snprintf(value, sizeof value, "(hidden)");
        fprintf(out, "%-28s %-24s %s\n", option->name, value, sources[set->source[i]]);
    }
}
