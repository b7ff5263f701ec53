/* select: selection = range *("," range); range = number ["-" number]. */
#include "select.h"

static bool read_range(const char **at, uint32_t *first, uint32_t *last)
{
    if (!moed_read_u32(at, first))
        return false;
    *last = *first;
    if (**at != '-')
        return true;
    (*at)++;
    return moed_read_u32(at, last) && *first <= *last;
}

int model_select(const char *text, const struct model_choice *among, bool *chosen,
                 struct moed_error *err)
{
    const char *at = text;
    uint32_t first, last;

    for (;;) {
        if (!read_range(&at, &first, &last) || (*at != ',' && *at != '\0'))
            return moed_fail(err, MOED_E_USAGE,
                             "%s \"%.60s\": at character %d, expected %s numbers and "
                             "ascending ranges like \"0-23,40\"",
                             among->option, text, (int)(at - text) + 1, among->one);
        if (last >= among->count)
            return moed_fail(err, MOED_E_USAGE,
                             "%s \"%.60s\": found %s %u, but %s has %u %ss, from 0", among->option,
                             text, among->one, last, among->of, among->count, among->one);
        for (uint32_t i = first; i <= last; i++)
            chosen[i] = true;
        if (*at++ == '\0')
            return 0;
    }
}
