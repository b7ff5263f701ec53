/* check: the values of a request that a backend takes on trust. */
#include "check.h"

#include <moed/moe.h>

#include <inttypes.h>
#include <math.h>

/* Which experts a row has named already: one bit each. */
struct seen {
    uint64_t bits[MOED_MAX_EXPERTS / 64];
};

static int check_slot(int32_t id, float weight, uint32_t experts, struct seen *seen,
                      struct moed_error *err)
{
    if (!isfinite(weight)) {
        return moed_fail(err, MOED_E_UNPROCESSABLE, "the weight %g is not finite", (double)weight);
    }
    if (id == -1) {
        return 0;
    }
    if (id < 0 || (uint32_t)id >= experts) {
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "expert id %" PRId32 " is not one of 0 to %" PRIu32
                         " (or -1, which skips the slot)",
                         id, experts - 1);
    }
    if ((seen->bits[id / 64] >> (id % 64) & 1) != 0) {
        return moed_fail(err, MOED_E_UNPROCESSABLE, "expert id %" PRId32 " was given already", id);
    }
    seen->bits[id / 64] |= UINT64_C(1) << (id % 64);
    return 0;
}

static int check_routing(const struct moed_job *job, uint32_t experts, struct moed_error *err)
{
    struct seen seen = {{0}};

    for (uint32_t row = 0; row < job->rows; row++) {
        const int32_t *ids = job->expert_ids + (size_t)row * job->slots;
        const float *weights = job->expert_weights + (size_t)row * job->slots;

        for (uint32_t slot = 0; slot < job->slots; slot++) {
            const int rc = check_slot(ids[slot], weights[slot], experts, &seen, err);

            if (rc != 0) {
                moed_error_prefix(err, "row %" PRIu32 ", slot %" PRIu32, row, slot);
                return rc;
            }
        }
        /* Clearing what was set is cheaper than clearing all. */
        for (uint32_t slot = 0; slot < job->slots; slot++) {
            if (ids[slot] >= 0) {
                seen.bits[ids[slot] / 64] = 0;
            }
        }
    }
    return 0;
}

static int check_slots(const struct moed_job *job, const struct moed_layer *layer,
                       struct moed_error *err)
{
    const bool supplied = (job->flags & MOED_ROW_SUPPLIED) != 0;

    if (!supplied && job->slots != layer->used) {
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "%" PRIu32 " experts a row were asked for, the router chooses %" PRIu32,
                         job->slots, layer->used);
    }
    if (supplied && job->slots > layer->experts) {
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "%" PRIu32 " experts a row were given, the layer has %" PRIu32, job->slots,
                         layer->experts);
    }
    if (supplied && job->slots > 0 && job->rows > 0 &&
        (job->expert_ids == NULL || job->expert_weights == NULL)) {
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "supplied routing needs expert ids and weights, found no %s",
                         job->expert_ids == NULL ? "ids" : "weights");
    }
    return 0;
}

int moed_check_job(const struct moed_model *model, const struct moed_job *job, uint32_t *place,
                   struct moed_error *err)
{
    const struct moed_layer *layer = moed_model_layer(model, job->layer);
    int rc;

    if (layer == NULL) {
        return moed_fail(err, MOED_E_NOT_SERVED, "it is not served here");
    }
    *place = (uint32_t)(layer - model->layers);
    rc = check_slots(job, layer, err);
    if (rc == 0 && (job->flags & MOED_ROW_SUPPLIED) != 0) {
        rc = check_routing(job, layer->experts, err);
    }
    return rc;
}
