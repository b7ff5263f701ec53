/* set: runs of a set of small numbers, and the set as text for people. */
#include "src/base/base.h"

#include <stdio.h>

bool moed_set_run(const struct moed_set *set, uint32_t *first, uint32_t *last)
{
    uint32_t i = *first;

    while (i < set->n && !set->has(set->of, i))
        i++;
    if (i >= set->n)
        return false;
    *first = *last = i;
    while (*last + 1 < set->n && set->has(set->of, *last + 1))
        ++*last;
    return true;
}

void moed_set_print(const struct moed_set *set, char *out, size_t size)
{
    const size_t most = sizeof ", 4294967295-4294967295, …";
    uint32_t first = 0, last;
    size_t used = 0;

    out[0] = '\0';
    for (; moed_set_run(set, &first, &last); first = last + 1) {
        if (used + most > size) {
            snprintf(out + used, size - used, ", …");
            return;
        }
        used += (size_t)snprintf(out + used, size - used, "%s%u", used > 0 ? ", " : "", first);
        if (last > first)
            used += (size_t)snprintf(out + used, size - used, "-%u", last);
    }
}
