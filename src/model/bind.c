/* bind: see bind.h. The router gives H and E, the down tensor F; everything else must agree. */
#include "bind.h"

#include "experts.h"

int model_is_moe(const struct model_block *block, bool *out)
{
    const bool router = model_find(block, "ffn_gate_inp", ".weight") != NULL;
    const bool down = model_find(block, "ffn_down_exps", ".weight") != NULL;
    const bool experts = down || model_bank_present(block, "_exps");

    *out = router && down;
    if (!router && experts)
        return model_missing(block, "ffn_gate_inp", ".weight",
                             "the block has experts, but no router");
    if (!router || down)
        return 0;
    if (model_find(block, "ffn_down.0", ".weight") != NULL)
        return model_missing(block, "ffn_down_exps", ".weight",
                             "the file has the old form, one tensor an expert: convert it anew");
    return model_missing(block, "ffn_down_exps", ".weight", "the block has a router");
}

static int bind_router(const struct model_source *source, const struct model_block *block,
                       struct moed_layer *out)
{
    const struct moed_gguf_tensor *tensor = model_find(block, "ffn_gate_inp", ".weight");
    uint64_t used;
    int rc = model_bind_matrix(block, tensor, (struct model_shape){{0, 0, 1}}, &out->router_weight);

    if (rc != 0)
        return rc;
    out->hidden = (uint32_t)out->router_weight.cols;
    out->experts = (uint32_t)out->router_weight.rows;
    if (out->experts > MOED_MAX_EXPERTS)
        return moed_fail(block->err, MOED_E_UNSUPPORTED,
                         "tensor %s: found %u experts, expected at most %d", tensor->name,
                         out->experts, MOED_MAX_EXPERTS);
    rc = model_key_u64(&source->keys, "expert_used_count", block->index, &used, block->err);
    if (rc == MOED_E_NOT_FOUND)
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "key %s.expert_used_count is missing: how many experts does a row take?",
                         source->keys.arch);
    if (rc == 0 && (used < 1 || used > out->experts))
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "key %s.expert_used_count: found %llu, expected 1 to %u, the experts of "
                         "tensor %s",
                         source->keys.arch, (unsigned long long)used, out->experts, tensor->name);
    if (rc == 0)
        out->used = (uint32_t)used;
    return rc;
}

/* The bias added for selection alone, with the suffix that most have or without. */
static int bind_select_bias(const struct model_arch *arch, const struct model_block *block,
                            struct moed_layer *out)
{
    const struct moed_gguf_tensor *tensor = model_find(block, "exp_probs_b", ".bias");

    if (tensor == NULL)
        tensor = model_find(block, "exp_probs_b", "");
    if (tensor == NULL && arch->select_bias == MODEL_REQUIRED)
        return model_missing(block, "exp_probs_b", ".bias", "the router selects by it");
    if (tensor == NULL)
        return 0;
    if (arch->select_bias == MODEL_NEVER)
        return moed_fail(block->err, MOED_E_UNSUPPORTED,
                         "tensor %s: the rule of architecture %s has no selection bias",
                         tensor->name, arch->name);
    return model_bind_vector(block, tensor, (struct model_shape){{out->experts, 1, 1}},
                             &out->select_bias);
}

/* Experts of some models work in a narrower space: x is projected down to it, the sum up again. */
static int bind_latent(const struct model_block *block, struct moed_layer *out)
{
    static const char *const names[][3] = {{"ffn_latent_down", "ffn_latent_up", "ffn_latent_norm"},
                                           {"ffn_routed_down", "ffn_routed_up", "ffn_routed_norm"}};
    const struct moed_gguf_tensor *down = NULL, *up;
    size_t i;
    int rc;

    out->latent = out->hidden;
    for (i = 0; i < MOED_ARRAY_LEN(names); i++) {
        down = model_find(block, names[i][0], ".weight");
        if (down != NULL)
            break;
    }
    if (down == NULL)
        return 0;
    up = model_find(block, names[i][1], ".weight");
    if (up == NULL)
        return model_missing(block, names[i][1], ".weight", "the block has its counterpart");
    rc = model_bind_matrix(block, down, (struct model_shape){{out->hidden, 0, 1}},
                           &out->latent_down);
    if (rc != 0)
        return rc;
    out->latent = (uint32_t)out->latent_down.rows;
    rc = model_bind_matrix(block, up, (struct model_shape){{out->latent, out->hidden, 1}},
                           &out->latent_up);
    if (rc == 0)
        rc = model_bind_optional(block, names[i][2], ".weight",
                                 (struct model_shape){{out->latent, 1, 1}}, &out->latent_norm);
    return rc;
}

static int bind_shared(const struct model_arch *arch, const struct model_block *block,
                       struct moed_layer *out)
{
    const struct model_bank bank = {.suffix = arch->shared_suffix != NULL ? arch->shared_suffix
                                                                          : "_shexp",
                                    .width = out->hidden,
                                    .count = 1,
                                    .up_is_fused = arch->shared_up_fused};
    const struct moed_gguf_tensor *gate = model_find(block, "ffn_gate_inp_shexp", ".weight");
    int rc;

    if (!model_bank_present(block, bank.suffix))
        return 0;
    if (arch->shared == MODEL_SHARED_NONE)
        return moed_fail(block->err, MOED_E_UNSUPPORTED,
                         "block %u has shared experts (ffn_down%s), which the rule of architecture "
                         "%s does not",
                         block->index, bank.suffix, arch->name);
    if (gate != NULL && arch->shared != MODEL_SHARED_GATED)
        return moed_fail(block->err, MOED_E_UNSUPPORTED,
                         "tensor %s: the rule of architecture %s has no gate for shared experts",
                         gate->name, arch->name);
    if (gate == NULL && arch->shared == MODEL_SHARED_GATED)
        return model_missing(block, "ffn_gate_inp_shexp", ".weight",
                             "the shared expert is behind it");
    rc = model_bind_bank(block, &bank, &out->shared);
    if (rc == 0 && gate != NULL)
        rc = model_bind_vector(block, gate, (struct model_shape){{out->hidden, 1, 1}},
                               &out->shared_gate);
    return rc;
}

static int bind_experts(const struct model_source *source, const struct model_block *block,
                        struct moed_layer *out)
{
    struct model_bank bank = {.suffix = "_exps", .count = out->experts};
    int rc = bind_latent(block, out);

    bank.width = out->latent;
    if (rc == 0)
        rc = model_bind_bank(block, &bank, &out->routed);
    if (rc == 0)
        rc = bind_shared(source->arch, block, out);
    return rc;
}

/* A second bank, whose size is a divisor of E: each of its experts serves a run of the first's. */
static int bind_chunks(const struct model_arch *arch, const struct model_block *block,
                       struct moed_layer *out)
{
    const struct moed_gguf_tensor *down = model_find(block, "ffn_down_chexps", ".weight");
    struct model_bank bank = {.suffix = "_chexps", .width = out->hidden};

    if (!model_bank_present(block, bank.suffix))
        return 0;
    if (!arch->chunks)
        return moed_fail(block->err, MOED_E_UNSUPPORTED,
                         "block %u has a second bank of experts (ffn_down_chexps), which the rule "
                         "of architecture %s does not",
                         block->index, arch->name);
    if (down == NULL)
        return model_missing(block, "ffn_down_chexps", ".weight", "a bank of experts needs it");
    bank.count = down->dims[2];
    if (bank.count == 0 || out->experts % bank.count != 0)
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "tensor %s: found %llu chunks, expected a divisor of the %u experts",
                         down->name, (unsigned long long)bank.count, out->experts);
    out->chunk_size = out->experts / (uint32_t)bank.count;
    return model_bind_bank(block, &bank, &out->chunks);
}

static int bind_norms(const struct model_arch *arch, const struct model_block *block,
                      struct moed_layer *out)
{
    const struct model_shape shape = {{out->hidden, 1, 1}};
    const char *norm = arch->norm != NULL ? arch->norm : "ffn_norm";
    int rc = 0;

    if (arch->block.norm != MOED_NORM_NONE) {
        rc = model_bind_optional(block, norm, ".weight", shape, &out->norm);
        if (rc == 0)
            rc = model_bind_optional(block, norm, ".bias", shape, &out->norm_bias);
    }
    for (size_t i = 0; i < MOED_ARRAY_LEN(arch->post_norm); i++) {
        if (rc == 0 && arch->post_norm[i] != NULL && out->post_norm.tensor == NULL)
            rc = model_bind_optional(block, arch->post_norm[i], ".weight", shape, &out->post_norm);
    }
    return rc;
}

/* What follows from which tensors are there. */
static void settle_rules(const struct model_arch *arch, const struct model_block *in,
                         struct moed_layer *out)
{
    struct moed_block_rule *block = &out->block;
    const char *with = arch->refuses_routing_with;

    if (with != NULL && model_find(in, with, ".weight") == NULL && model_find(in, with, "") == NULL)
        out->router.refuses_routing = NULL;
    if (arch->softmax_groups_by_max && out->router.score == MOED_SCORE_SOFTMAX &&
        out->select_bias.tensor == NULL)
        out->router.group_score = MOED_GROUP_MAX;
    if (arch->shared_ffn_scale != 0.0F && out->shared.width != 0)
        block->ffn_scale = arch->shared_ffn_scale;
    if (out->norm.tensor == NULL && block->refuses_norm == NULL)
        block->refuses_norm = "the file has no norm tensor for this block";
    if (block->refuses_residual == NULL)
        block->refuses_residual = block->refuses_norm;
}

int model_bind_layer(const struct model_source *source, const struct model_block *block,
                     struct moed_layer *out)
{
    int rc;

    *out = (struct moed_layer){.index = block->index};
    rc = model_read_rules(source, block, out);
    if (rc == 0)
        rc = bind_router(source, block, out);
    if (rc == 0)
        rc = model_bind_optional(block, "ffn_gate_inp", ".bias",
                                 (struct model_shape){{out->experts, 1, 1}}, &out->router_bias);
    if (rc == 0)
        rc = bind_select_bias(source->arch, block, out);
    if (rc == 0)
        rc = bind_experts(source, block, out);
    if (rc == 0)
        rc = bind_chunks(source->arch, block, out);
    if (rc == 0)
        rc = bind_norms(source->arch, block, out);
    if (rc == 0)
        rc = model_check_keys(source, block, out);
    if (rc != 0)
        return rc;
    settle_rules(source->arch, block, out);
    out->held = out->experts;
    out->primary = true;
    out->bytes = model_layer_bytes(out);
    return 0;
}
