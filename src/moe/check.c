/* check: the values of a supplied routing that plans and backends take on trust. */
#include "src/moe/moe.h"

#include <inttypes.h>
#include <math.h>

/* Which experts a row has named already: one bit each. */
struct seen {
    uint64_t bits[MOED_MAX_EXPERTS / 64];
};

static int check_slot(int32_t id, float weight, uint32_t experts, struct seen *seen,
                      struct moed_error *err)
{
    if (!isfinite(weight))
        return moed_fail(err, MOED_E_UNPROCESSABLE, "the weight %g is not finite", (double)weight);
    if (id == -1)
        return 0;
    if (id < 0 || (uint32_t)id >= experts)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "expert id %" PRId32 " is not one of 0 to %" PRIu32
                         " (or -1, which skips the slot)",
                         id, experts - 1);
    if ((seen->bits[id / 64] >> (id % 64) & 1) != 0)
        return moed_fail(err, MOED_E_UNPROCESSABLE, "expert id %" PRId32 " was given already", id);
    seen->bits[id / 64] |= UINT64_C(1) << (id % 64);
    return 0;
}

int moed_check_routing(const struct moed_supplied *routing, struct moed_error *err)
{
    struct seen seen = {{0}};

    for (size_t row = 0; row < routing->rows; row++) {
        const int32_t *ids = routing->ids + row * routing->slots;
        const float *weights = routing->weights + row * routing->slots;

        for (uint32_t slot = 0; slot < routing->slots; slot++)
            if (check_slot(ids[slot], weights[slot], routing->experts, &seen, err) != 0) {
                moed_error_prefix(err, "row %zu, slot %" PRIu32, row, slot);
                return MOED_E_UNPROCESSABLE;
            }
        /* Clearing what was set is cheaper than clearing all. */
        for (uint32_t slot = 0; slot < routing->slots; slot++)
            if (ids[slot] >= 0)
                seen.bits[ids[slot] / 64] = 0;
    }
    return 0;
}
