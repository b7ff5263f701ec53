/* sized.c: see sized.h. */
#include "sized.h"

#include <string.h>

static size_t size_of(const void *structure)
{
    size_t size;

    memcpy(&size, structure, sizeof size);
    return size;
}

static int check(const struct sized *sized, const void *theirs, struct moed_error *err)
{
    const size_t size = size_of(theirs);

    if (size >= sized->least)
        return 0;
    return moed_fail(
        err, MOED_E_USAGE,
        "struct %s says that it has %zu bytes, expected its sizeof, %zu here: set .size",
        sized->name, size, sized->known);
}

int sized_read(const struct sized *sized, const void *theirs, void *ours, struct moed_error *err)
{
    const uint8_t *bytes = theirs;
    const size_t size = size_of(theirs);
    int rc = check(sized, theirs, err);

    if (rc != 0)
        return rc;
    for (size_t i = sized->known; i < size; i++)
        if (bytes[i] != 0)
            return moed_fail(err, MOED_E_USAGE,
                             "struct %s has %zu bytes, of which this library knows %zu, and uses "
                             "byte %zu: the program needs a newer libmoed",
                             sized->name, size, sized->known, i);
    memset(ours, 0, sized->known);
    memcpy(ours, theirs, size < sized->known ? size : sized->known);
    return 0;
}

int sized_write(const struct sized *sized, const void *ours, void *theirs, struct moed_error *err)
{
    const size_t size = size_of(theirs);
    int rc = check(sized, theirs, err);

    if (rc != 0)
        return rc;
    memcpy((uint8_t *)theirs + sizeof size, (const uint8_t *)ours + sizeof size,
           (size < sized->known ? size : sized->known) - sizeof size);
    return 0;
}
