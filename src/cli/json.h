/* json: the one part of writing JSON that printf cannot do. Here and not cJSON, so that
 * inspect and bench speak JSON in builds without the server's libraries. */
#ifndef MOED_CLI_JSON_H
#define MOED_CLI_JSON_H

#include <stdio.h>

/* Writes `text` (any bytes) as a JSON string, quotes included: U+FFFD for what is not UTF-8. */
void json_string(FILE *out, const char *text);

#endif
