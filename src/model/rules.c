/* rules: from a row of the table and the keys of a file to the rules of one layer. */
#include "bind.h"

#include <string.h>

#define RENORM_FLOOR 6.103515625e-5F /* llama.cpp's: the smallest normal f16 */
#define CLAMP_FLOOR  1e-6            /* a smaller limit means none, as in llama.cpp */

/* expert_gating_func; 0, "none", leaves the row's own. */
static int apply_gating(const struct model_block *block, uint64_t code,
                        struct moed_router_rule *rule)
{
    static const enum moed_score scores[] = {
        [1] = MOED_SCORE_SOFTMAX,
        [2] = MOED_SCORE_SIGMOID,
        [3] = MOED_SCORE_IDENTITY, /* softmax over the chosen */
        [4] = MOED_SCORE_SQRT_SOFTPLUS,
    };

    if (code >= MOED_ARRAY_LEN(scores))
        return moed_fail(block->err, MOED_E_UNSUPPORTED,
                         "key expert_gating_func: found %llu, expected 0 to 4",
                         (unsigned long long)code);
    if (code != 0) {
        rule->score = scores[code];
        rule->weight_from = code == 3 ? MOED_WEIGHT_SOFTMAX_CHOSEN : MOED_WEIGHT_SCORE;
    }
    return 0;
}

static void apply_number(enum model_field field, float value, struct moed_layer *out)
{
    switch (field) {
    case MODEL_FIELD_SCALE:
        out->router.scale = value;
        break;
    case MODEL_FIELD_CLAMP:
        out->routed.rule.clamp_limit = value;
        break;
    case MODEL_FIELD_SHARED_CLAMP:
        out->shared.rule.clamp_limit = value;
        break;
    case MODEL_FIELD_BETA:
        out->routed.rule.beta = out->shared.rule.beta = value;
        break;
    case MODEL_FIELD_LAMBDA:
        out->routed.rule.lambda = out->shared.rule.lambda = value;
        break;
    case MODEL_FIELD_RESIDUAL_SCALE:
        out->block.residual_scale = value;
        break;
    case MODEL_FIELD_CHUNK_SCALE:
        out->chunk_scale = value;
        break;
    default: /* read elsewhere, being no numbers */
        break;
    }
}

static int apply_override(const struct model_source *source, const struct model_block *block,
                          const struct model_override *o, struct moed_layer *out)
{
    uint64_t code;
    double value;
    int rc;

    switch (o->field) {
    case MODEL_FIELD_END:
        return 0;
    case MODEL_FIELD_SCORE:
        rc = model_key_u64(&source->keys, o->key, block->index, &code, block->err);
        if (rc == 0)
            rc = apply_gating(block, code, &out->router);
        break;
    case MODEL_FIELD_RENORM:
        rc = model_key_bool(&source->keys, o->key, block->index, &out->router.renorm, block->err);
        break;
    default:
        rc = model_key_f64(&source->keys, o->key, block->index, &value, block->err);
        if (rc == 0)
            apply_number(o->field, (float)value, out);
        break;
    }
    if (rc != MOED_E_NOT_FOUND)
        return rc;
    if (o->required)
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "key %s.%s is missing: the architecture has no default for it",
                         source->keys.arch, o->key);
    return 0;
}

static int read_groups(const struct model_source *source, const struct model_block *block,
                       struct moed_router_rule *rule)
{
    uint64_t groups = 0, used = 0;
    int rc = model_key_u64(&source->keys, "expert_group_count", block->index, &groups, block->err);

    if (rc == 0 || rc == MOED_E_NOT_FOUND)
        rc = model_key_u64(&source->keys, "expert_group_used_count", block->index, &used,
                           block->err);
    if (rc != 0 && rc != MOED_E_NOT_FOUND)
        return rc;
    if (groups > 1 && (used < 1 || used > groups || groups > MOED_MAX_GROUPS))
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "key %s.expert_group_used_count: found %llu, expected 1 to "
                         "expert_group_count, %llu",
                         source->keys.arch, (unsigned long long)used, (unsigned long long)groups);
    rule->groups = groups > 1 ? (uint32_t)groups : 0;
    rule->groups_used = groups > 1 ? (uint32_t)used : 0;
    return 0;
}

static int read_epsilon(const struct model_source *source, const struct model_block *block,
                        struct moed_block_rule *rule)
{
    const char *key = rule->norm == MOED_NORM_LAYER ? "attention.layer_norm_epsilon"
                                                    : "attention.layer_norm_rms_epsilon";
    double eps;
    int rc;

    if (rule->norm == MOED_NORM_NONE)
        return 0;
    rc = model_key_f64(&source->keys, key, block->index, &eps, block->err);
    if (rc == MOED_E_NOT_FOUND) {
        rule->refuses_norm = "the file has no epsilon for the layer's norm";
        return 0;
    }
    if (rc == 0 && eps < 0.0)
        rc = moed_fail(block->err, MOED_E_BAD_FILE, "key %s.%s: found %g, expected at least 0",
                       source->keys.arch, key, eps);
    if (rc == 0)
        rule->norm_eps = (float)eps;
    return rc;
}

static void drop_idle_clamp(struct moed_expert_rule *rule)
{
    if (rule->clamp_limit <= CLAMP_FLOOR) {
        rule->clamp = MOED_CLAMP_NONE;
        rule->clamp_limit = 0.0F;
    }
}

/* In the table and in the files alike, a scale of 0 means that there is none. */
static float scale_or_one(float scale)
{
    return scale == 0.0F ? 1.0F : scale;
}

int model_read_rules(const struct model_source *source, const struct model_block *block,
                     struct moed_layer *out)
{
    const struct model_arch *arch = source->arch;
    int rc = 0;

    out->router = arch->router;
    out->router.renorm_floor = RENORM_FLOOR;
    out->routed.rule = out->shared.rule = out->chunks.rule = arch->experts;
    out->block = arch->block;
    for (size_t i = 0; rc == 0 && i < MOED_ARRAY_LEN(arch->keys); i++)
        rc = apply_override(source, block, &arch->keys[i], out);
    if (rc == 0)
        rc = read_groups(source, block, &out->router);
    if (rc == 0)
        rc = read_epsilon(source, block, &out->block);
    out->router.scale = scale_or_one(out->router.scale);
    out->block.residual_scale = scale_or_one(out->block.residual_scale);
    out->block.ffn_scale = scale_or_one(out->block.ffn_scale);
    out->chunk_scale = scale_or_one(out->chunk_scale);
    drop_idle_clamp(&out->routed.rule);
    drop_idle_clamp(&out->shared.rule);
    drop_idle_clamp(&out->chunks.rule);
    return rc;
}

/* A key that is present, and not 0 where 0 means unknown, must name the tensors' number. */
static int check_key(const struct model_source *source, const struct model_block *block,
                     const char *key, uint64_t found, const char *tensor)
{
    uint64_t value;
    int rc = model_key_u64(&source->keys, key, block->index, &value, block->err);

    if (rc == MOED_E_NOT_FOUND || (rc == 0 && (value == found || value == 0)))
        return 0;
    if (rc != 0)
        return rc;
    return moed_fail(block->err, MOED_E_BAD_FILE,
                     "key %s.%s is %llu, but tensor blk.%u.%s says %llu", source->keys.arch, key,
                     (unsigned long long)value, block->index, tensor, (unsigned long long)found);
}

static int check_groups(const struct model_block *block, const struct moed_layer *layer)
{
    const struct moed_router_rule *rule = &layer->router;

    if (rule->groups == 0)
        return 0;
    if (layer->experts % rule->groups != 0 || layer->experts / rule->groups < 2)
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "key expert_group_count: found %u, expected equal groups of at least 2 of "
                         "the %u experts",
                         rule->groups, layer->experts);
    if (layer->used > rule->groups_used * (layer->experts / rule->groups))
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "key expert_used_count: found %u, expected at most the experts of %u "
                         "groups of %u",
                         layer->used, rule->groups_used, layer->experts / rule->groups);
    return 0;
}

/* Blocks below leading_dense_block_count are dense. */
static int check_lead(const struct model_source *source, const struct model_block *block)
{
    uint64_t lead;
    int rc =
        model_key_u64(&source->keys, "leading_dense_block_count", block->index, &lead, block->err);

    if (rc == MOED_E_NOT_FOUND || (rc == 0 && block->index >= lead))
        return 0;
    if (rc != 0)
        return rc;
    return moed_fail(block->err, MOED_E_BAD_FILE,
                     "key %s.leading_dense_block_count is %llu, but the file has tensor "
                     "blk.%u.ffn_down_exps.weight",
                     source->keys.arch, (unsigned long long)lead, block->index);
}

static int check_chunks(const struct model_source *source, const struct model_block *block,
                        const struct moed_layer *layer)
{
    int rc =
        check_key(source, block, "experts_per_group", layer->chunk_size, "ffn_down_chexps.weight");

    if (rc == 0)
        rc = check_key(source, block, "expert_chunk_feed_forward_length", layer->chunks.width,
                       "ffn_down_chexps.weight");
    return rc;
}

/* expert_shared_feed_forward_length is the width of all shared experts together or of each,
 * expert_shared_count says whether there are any. */
static int check_shared(const struct model_source *source, const struct model_block *block,
                        const struct moed_layer *layer)
{
    uint64_t count = 0, width = 0;
    int rc = model_key_u64(&source->keys, "expert_shared_count", block->index, &count, block->err);

    if (rc != 0 && rc != MOED_E_NOT_FOUND)
        return rc;
    if (count != 0 && layer->shared.width == 0)
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "key %s.expert_shared_count is %llu, but tensor blk.%u.ffn_down_shexp."
                         "weight is missing",
                         source->keys.arch, (unsigned long long)count, block->index);
    rc = model_key_u64(&source->keys, "expert_shared_feed_forward_length", block->index, &width,
                       block->err);
    if (rc == MOED_E_NOT_FOUND || layer->shared.width == 0)
        return 0;
    if (rc == 0 && count > 1 && width * count == layer->shared.width)
        return 0;
    return rc != 0 ? rc
                   : check_key(source, block, "expert_shared_feed_forward_length",
                               layer->shared.width, "ffn_down_shexp.weight");
}

int model_check_keys(const struct model_source *source, const struct model_block *block,
                     const struct moed_layer *layer)
{
    const struct model_arch *arch = source->arch;
    const char *width_key =
        arch->width_key != NULL ? arch->width_key : "expert_feed_forward_length";
    int rc = check_key(source, block, "embedding_length", layer->hidden, "ffn_gate_inp.weight");

    if (rc == 0)
        rc = check_key(source, block, "expert_count", layer->experts, "ffn_gate_inp.weight");
    if (rc == 0)
        rc = check_key(source, block, width_key, layer->routed.width, "ffn_down_exps.weight");
    if (rc == 0)
        rc = check_groups(block, layer);
    if (rc == 0)
        rc = check_lead(source, block);
    if (rc == 0 && layer->chunk_size != 0)
        rc = check_chunks(source, block, layer);
    if (rc == 0 && arch->shared != MODEL_SHARED_NONE)
        rc = check_shared(source, block, layer);
    return rc;
}
