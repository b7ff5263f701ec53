/* check: what a request asks of its layer, and values that a backend takes on trust. */
#include "check.h"

#include "src/moe/moe.h"

#include <inttypes.h>

/* Whether what the router chooses decides over anything that the owner gets. */
static bool needs_router(const struct moed_job *job)
{
    const bool alone = (job->flags & MOED_ROW_ONLY_SHARED) != 0 && job->expert_ids == NULL &&
                       job->expert_weights == NULL && job->logits == NULL;

    return (job->flags & MOED_ROW_SUPPLIED) == 0 && !alone;
}

static int check_slots(const struct moed_job *job, const struct moed_layer *layer,
                       struct moed_error *err)
{
    const bool supplied = (job->flags & MOED_ROW_SUPPLIED) != 0;

    if (needs_router(job) && layer->router.refuses_routing != NULL)
        return moed_fail(err, MOED_E_UNPROCESSABLE, "routing must be supplied: %s",
                         layer->router.refuses_routing);
    if (!supplied && job->slots != layer->used)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "%" PRIu32 " experts a row were asked for, the router chooses %" PRIu32,
                         job->slots, layer->used);
    if (supplied && job->slots > layer->experts)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "%" PRIu32 " experts a row were given, the layer has %" PRIu32, job->slots,
                         layer->experts);
    if (supplied && job->slots > 0 && job->rows > 0 &&
        (job->expert_ids == NULL || job->expert_weights == NULL))
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "supplied routing needs expert ids and weights, found no %s",
                         job->expert_ids == NULL ? "ids" : "weights");
    return 0;
}

/* What is wanted around the experts' sum. */
static int check_block(const struct moed_job *job, const struct moed_layer *layer,
                       struct moed_error *err)
{
    const struct moed_block_rule *rule = &layer->block;

    if ((job->flags & MOED_ROW_NORM) != 0 && rule->refuses_norm != NULL)
        return moed_fail(err, MOED_E_UNPROCESSABLE, "block: the layer takes only \"ffn\": %s",
                         rule->refuses_norm);
    if ((job->flags & MOED_ROW_RESIDUAL) != 0 && rule->refuses_residual != NULL)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "block: the layer does not take \"norm_ffn_residual\": %s",
                         rule->refuses_residual);
    if ((job->flags & MOED_ROW_RESIDUAL) != 0 && job->skip_missing &&
        layer->held < layer->experts && layer->post_norm.tensor != NULL)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "block: \"norm_ffn_residual\" norms the whole sum here, so that partial "
                         "sums (on_missing_expert: \"skip\") would not add up");
    if ((job->flags & MOED_ROW_ONLY_SHARED) != 0 && layer->shared.width == 0)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "shared_experts: \"only\", but the layer has no shared expert");
    return 0;
}

/* Where the shared expert is another shard's, a sum with it is only to be had in parts. */
static int check_shared(const struct moed_job *job, const struct moed_layer *layer,
                        struct moed_error *err)
{
    const bool wanted = (job->flags & (MOED_ROW_NO_SHARED | MOED_ROW_ROUTE_ONLY)) == 0;

    if (layer->primary || layer->shared.width == 0 || !wanted || job->skip_missing)
        return 0;
    return moed_fail(err, MOED_E_NO_EXPERT,
                     "the shared expert is served where expert 0 is, which is not here: "
                     "shared_experts: \"exclude\" or on_missing_expert: \"skip\" leave it out");
}

int moed_check_job(const struct moed_model *model, const struct moed_job *job,
                   struct moed_error *err)
{
    const struct moed_layer *layer = moed_model_layer(model, job->layer);
    int rc;

    if (layer == NULL)
        return moed_fail(err, MOED_E_NOT_SERVED, "it is not served here");
    rc = check_block(job, layer, err);
    if (rc == 0)
        rc = check_shared(job, layer, err);
    if (rc == 0)
        rc = check_slots(job, layer, err);
    if (rc == 0 && (job->flags & MOED_ROW_SUPPLIED) != 0) {
        const struct moed_supplied routing = {.experts = layer->experts,
                                              .slots = job->slots,
                                              .rows = job->rows,
                                              .ids = job->expert_ids,
                                              .weights = job->expert_weights};

        rc = moed_check_routing(&routing, err);
    }
    return rc;
}
