/* variables: MOED_ARG_* in the environment that no command has an option for. */
#ifndef MOED_CLI_VARIABLES_H
#define MOED_CLI_VARIABLES_H

#include "command.h"

/* MOED_E_USAGE where a variable begins like one of ours and is none, of none of the commands: it
 * would be passed over in silence. */
int variables_check(char *const *environment, const struct command *const *commands, size_t n,
                    struct moed_error *err);

#endif
