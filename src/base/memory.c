/* memory: allocation whose size is checked before it is asked for. */
#include "src/base/base.h"

#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE = 64 };

bool moed_align_up(uint64_t value, uint64_t to, uint64_t *out)
{
    uint64_t sum;

    if (!moed_add(value, to - 1, &sum))
        return false;
    *out = sum & ~(to - 1);
    return true;
}

/* Bytes to ask for, at least 1: NULL then always means that there is no memory. */
static bool total_bytes(uint64_t count, uint64_t size, uint64_t *out)
{
    if (!moed_mul(count, size, out) || *out > PTRDIFF_MAX)
        return false;
    if (*out == 0)
        *out = 1;
    return true;
}

void *moed_calloc(uint64_t count, uint64_t size)
{
    uint64_t total;

    return total_bytes(count, size, &total) ? calloc(1, (size_t)total) : NULL;
}

void *moed_aligned_alloc(uint64_t count, uint64_t size)
{
    uint64_t total;
    void *memory;

    if (!total_bytes(count, size, &total) || !moed_align_up(total, CACHE_LINE, &total))
        return NULL;
    memory = aligned_alloc(CACHE_LINE, (size_t)total);
    if (memory != NULL)
        memset(memory, 0, (size_t)total);
    return memory;
}
