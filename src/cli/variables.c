/* variables: looks through the environment for misspelt settings. */
#include "variables.h"

#include <string.h>

#include "suggest.h"

enum { NAME_MAX_BYTES = 80 };

static const char ours[] = "MOED_ARG_";

struct lookup {
    const char *name; /* behind what all of ours begin with */
    char best[NAME_MAX_BYTES];
    uint32_t distance; /* of `best` */
};

/* Whether an option of the command has the name; otherwise remembers the nearest. */
static bool is_known(struct lookup *lookup, const struct command *command)
{
    char known[NAME_MAX_BYTES];

    for (size_t i = 0; i < command->n_options; i++) {
        uint32_t distance;

        options_variable_name(&command->options[i], known, sizeof known);
        if (strcmp(known + sizeof ours - 1, lookup->name) == 0)
            return true;
        distance = suggest_distance(lookup->name, known + sizeof ours - 1);
        if (distance >= lookup->distance)
            continue;
        lookup->distance = distance;
        snprintf(lookup->best, sizeof lookup->best, "%s", known);
    }
    return false;
}

static int check(const char *name, const struct command *const *commands, size_t n,
                 struct moed_error *err)
{
    struct lookup lookup = {.name = name + sizeof ours - 1, .distance = UINT32_MAX};

    for (size_t i = 0; i < n; i++)
        if (is_known(&lookup, commands[i]))
            return 0;
    if (suggest_is_slip(lookup.name, lookup.best + sizeof ours - 1))
        return moed_fail(err, MOED_E_USAGE, "%s: no option has this variable; did you mean %s?",
                         name, lookup.best);
    return moed_fail(err, MOED_E_USAGE, "%s: no option has this variable", name);
}

int variables_check(char *const *environment, const struct command *const *commands, size_t n,
                    struct moed_error *err)
{
    int rc = 0;

    for (; *environment != NULL && rc == 0; environment++) {
        char name[NAME_MAX_BYTES];
        const size_t size = strcspn(*environment, "=");

        if (strncmp(*environment, ours, sizeof ours - 1) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)size, *environment);
        rc = check(name, commands, n, err);
    }
    return rc;
}
