/* held: see held.h. Partial sums of shards add up to the whole because everything between an
 * expert's output and the block's is linear, and because what is computed once a row is one
 * shard's affair: that of expert 0. */
#include "held.h"

#include "bind.h"
#include "select.h"

#include <stdio.h>
#include <stdlib.h>

/* Scales are one row for all experts; to pick from them, each must be a row of its own. */
static int split_scale(struct moed_weight *scale, struct moed_error *err)
{
    if (scale->tensor == NULL || scale->cols == 1)
        return 0;
    if (scale->format->block != 1)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "tensor %s: found type %s, expected an unpacked one to hold some experts",
                         scale->tensor->name, scale->format->name);
    scale->count = scale->cols;
    scale->cols = 1;
    scale->row_bytes = scale->format->bytes;
    return 0;
}

/* Leaves `n` experts of a bank, those of `picked`. */
static int pick(struct moed_experts *bank, uint32_t n, const uint32_t *picked,
                struct moed_error *err)
{
    struct moed_weight *scales[] = {&bank->gate_scale, &bank->up_scale, &bank->down_scale};
    struct moed_weight *all[] = {&bank->gate,       &bank->up,       &bank->down,
                                 &bank->gate_bias,  &bank->up_bias,  &bank->down_bias,
                                 &bank->gate_scale, &bank->up_scale, &bank->down_scale};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < MOED_ARRAY_LEN(scales); i++)
        rc = split_scale(scales[i], err);
    for (size_t i = 0; rc == 0 && i < MOED_ARRAY_LEN(all); i++) {
        all[i]->count = all[i]->tensor != NULL ? n : 0;
        all[i]->picked = picked;
    }
    return rc;
}

/* The members of chosen[count] as a list, and each number's place in it. */
static int list(const bool *chosen, uint32_t count, uint32_t **members, int32_t **place)
{
    uint32_t n = 0;

    *members = moed_calloc(count, sizeof **members);
    *place = moed_calloc(count, sizeof **place);
    if (*members == NULL || *place == NULL)
        return MOED_E_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        (*place)[i] = chosen[i] ? (int32_t)n : -1;
        if (chosen[i])
            (*members)[n++] = i;
    }
    return 0;
}

static uint32_t count_of(const bool *chosen, uint32_t n)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < n; i++)
        count += chosen[i];
    return count;
}

static int hold_routed(const bool *chosen, struct moed_layer *layer, struct model_held *lists,
                       struct moed_error *err)
{
    if (list(chosen, layer->experts, &lists->experts, &lists->expert_place) != 0)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a list of %u experts",
                         layer->experts);
    layer->routed.place = lists->expert_place;
    return pick(&layer->routed, layer->held, lists->experts, err);
}

/* A chunk is held where any of its experts is: its output times their weights is this part. */
static int hold_chunks(const bool *experts, struct moed_layer *layer, struct model_held *lists,
                       struct moed_error *err)
{
    bool chosen[MOED_MAX_EXPERTS] = {false};
    const uint32_t count = layer->experts / layer->chunk_size;

    for (uint32_t e = 0; e < layer->experts; e++)
        chosen[e / layer->chunk_size] |= experts[e];
    if (list(chosen, count, &lists->chunks, &lists->chunk_place) != 0)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a list of %u chunks", count);
    layer->chunks.place = lists->chunk_place;
    return pick(&layer->chunks, count_of(chosen, count), lists->chunks, err);
}

static int choose(const char *text, const struct moed_layer *layer, bool *chosen,
                  struct moed_error *err)
{
    char name[32];
    const struct model_choice among = {"experts", "expert", name, layer->experts};

    snprintf(name, sizeof name, "layer %u", layer->index);
    return model_select(text, &among, chosen, err);
}

int model_hold(const char *text, struct moed_layer *layer, struct model_held *lists,
               struct moed_error *err)
{
    bool chosen[MOED_MAX_EXPERTS] = {false};
    int rc = choose(text, layer, chosen, err);

    if (rc != 0)
        return rc;
    layer->held = count_of(chosen, layer->experts);
    layer->primary = chosen[0];
    if (layer->held == layer->experts)
        return 0;
    if (layer->latent_norm.tensor != NULL)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "experts \"%.60s\": layer %u norms the sum of its experts (tensor %s), so "
                         "that parts of it do not add up",
                         text, layer->index, layer->latent_norm.tensor->name);
    rc = hold_routed(chosen, layer, lists, err);
    if (rc == 0 && layer->chunk_size > 0)
        rc = hold_chunks(chosen, layer, lists, err);
    if (rc == 0 && !layer->primary)
        rc = pick(&layer->shared, 0, NULL, err);
    if (rc != 0)
        model_held_free(lists);
    layer->bytes = model_layer_bytes(layer);
    return rc;
}

void model_held_free(struct model_held *lists)
{
    free(lists->experts);
    free(lists->chunks);
    free(lists->expert_place);
    free(lists->chunk_place);
}
