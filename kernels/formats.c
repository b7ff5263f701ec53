/* formats: the table made of formats.def, and how to look a row up in it. */
#include "formats.h"

#include "reference.h"

#include <strings.h>

static const struct moed_format formats[] = {
#define MOED_FORMAT(id, NAME, block, bytes, ...) \
    {#NAME, id, block, bytes, moed_decode_##NAME, moed_fill_##NAME, moed_scan_##NAME},
#define MOED_SIZE(id, NAME, block, bytes) {#NAME, id, block, bytes, NULL, NULL, NULL},
#include "formats.def"
};

enum { N_FORMATS = sizeof formats / sizeof formats[0] };

const struct moed_format *moed_format_at(size_t i)
{
    return i < N_FORMATS ? &formats[i] : NULL;
}

const struct moed_format *moed_format_by_id(uint32_t id)
{
    for (size_t i = 0; i < N_FORMATS; i++) {
        if (formats[i].id == id) {
            return &formats[i];
        }
    }
    return NULL;
}

const struct moed_format *moed_format_by_name(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++) {
        if (strcasecmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

bool moed_format_row_bytes(const struct moed_format *format, uint64_t cols, uint64_t *out)
{
    return cols % format->block == 0 &&
           !__builtin_mul_overflow(cols / format->block, format->bytes, out);
}
