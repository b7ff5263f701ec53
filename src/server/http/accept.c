/* accept.c: reads an Accept header, entry by entry. */
#include "accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char blanks[] = " \t";

/* The q of an entry's parameters, which end with the entry. */
static double read_weight(const char *at, const char *end)
{
    double weight = 1;

    while ((at = memchr(at, ';', (size_t)(end - at))) != NULL) {
        at++;
        at += strspn(at, blanks);
        if (strncasecmp(at, "q=", 2) == 0)
            weight = strtod(at + 2, NULL);
        if (at > end)
            break;
    }
    return weight > 0 && weight <= 1 ? weight : 0;
}

double accept_weight(const char *header, const char *type)
{
    const size_t size = strlen(type);

    for (const char *at = header; at != NULL && *at != '\0';) {
        const char *end = at + strcspn(at, ",");

        at += strspn(at, blanks);
        if (strncasecmp(at, type, size) == 0 && strchr(" \t;,", at[size]) != NULL)
            return read_weight(at + size, end);
        at = *end == ',' ? end + 1 : end;
    }
    return 0;
}
