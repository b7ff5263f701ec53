/* layers: selection = range *("," range); range = number ["-" number]. */
#include "layers.h"

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

int model_select_layers(const char *text, uint32_t block_count, bool *chosen,
                        struct moed_error *err)
{
    const char *at = text;
    uint32_t first, last;

    for (;;) {
        if (!read_range(&at, &first, &last) || (*at != ',' && *at != '\0'))
            return moed_fail(err, MOED_E_USAGE,
                             "layers \"%.60s\": at character %d, expected block numbers and "
                             "ascending ranges like \"0-23,40\"",
                             text, (int)(at - text) + 1);
        if (last >= block_count)
            return moed_fail(
                err, MOED_E_USAGE,
                "layers \"%.60s\": found block %u, but the model has %u blocks, from 0", text, last,
                block_count);
        for (uint32_t i = first; i <= last; i++)
            chosen[i] = true;
        if (*at++ == '\0')
            return 0;
    }
}
