/* value: one option's value: text to a field of the arguments, and back. */
#ifndef MOED_CLI_VALUE_H
#define MOED_CLI_VALUE_H

#include "options.h"

/* Parses `text` into the field. `append`: TEXTS grow instead of being replaced. `what` is how the
 * message names the option: "--threads" or "MOED_ARG_THREADS". */
int value_parse(const struct option *option, void *field, const char *text, bool append,
                const char *what, struct moed_error *err);
/* A variable may hold several TEXTS, cut at commas. Others are parsed as by value_parse. */
int value_parse_variable(const struct option *option, void *field, const char *text,
                         const char *what, struct moed_error *err);
/* The field as text that value_parse would read, or `unset` where it is 0 or NULL. */
void value_format(const struct option *option, const void *field, char *out, size_t size);
/* Whether each of the texts can be a header of a request. */
int value_check_headers(const struct option_texts *texts, struct moed_error *err);

#endif
