/* number: decimal numbers out of paths, parameters and flags. strtoull would take signs and
 * spaces, and wrap what is negative. */
#include "src/base/base.h"

bool moed_read_u64(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        if (!moed_mul(value, 10, &value) || !moed_add(value, (uint64_t)(*p - '0'), &value))
            return false;
    if (p == *at)
        return false;
    *at = p;
    *out = value;
    return true;
}

bool moed_read_u32(const char **at, uint32_t *out)
{
    const char *p = *at;
    uint64_t value;

    if (!moed_read_u64(&p, &value) || value > UINT32_MAX)
        return false;
    *at = p;
    *out = (uint32_t)value;
    return true;
}
