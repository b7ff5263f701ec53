/* claims: see claims.h. */
#include "claims.h"

#include <stdio.h>
#include <string.h>

#define SM MOED_SCORE_SOFTMAX
#define SG MOED_SCORE_SIGMOID
#define ID MOED_SCORE_IDENTITY
#define SP MOED_SCORE_SQRT_SOFTPLUS

/* clang-format off */
static const struct claim claims[] = {
    {"qwen3moe",       SM, '-', 'k', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"qwen3vlmoe",     SM, '-', 'Y', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"rnd1",           SM, '-', 'Y', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"mellum",         SM, '-', 'Y', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"llama",          SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"mistral3",       SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"qwen3next",      SM, '-', 'Y', '-', '-', 'g', 'E', MOED_ACT_SILU,         "post_attention_norm"},
    {"qwen35moe",      SM, '-', 'Y', '-', '-', 'g', 'E', MOED_ACT_SILU,         "post_attention_norm"},
    {"dbrx",           SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "attn_output_norm"},
    {"phimoe",         SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"arctic",         SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm_exps"},
    {"grok",           SM, '-', 'Y', '-', '-', 'd', 'E', MOED_ACT_GELU,         "ffn_norm"},
    {"granite",        SM, '-', 'Y', '-', '-', 's', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"granitemoe",     SM, '-', 'Y', '-', '-', 's', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"granitehybrid",  SM, '-', 'Y', '-', '-', 's', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"granite_swa",    SM, '-', 'Y', '-', '-', 'u', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"minimax-01",     SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"ernie4_5-moe",   SM, '-', 'Y', '-', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"hunyuan-moe",    SM, '-', 'Y', '-', '-', 's', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"qwen2moe",       SM, '-', 'N', '-', '-', 'g', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"olmoe",          SM, '-', 'N', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"llada-moe",      SM, '-', 'N', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"jamba",          SM, '-', 'N', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"deepseek",       SM, '-', 'N', 'K', '-', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"bailingmoe",     SM, '-', 'K', 'K', '-', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"nomic-bert-moe", SM, '-', 'N', '-', '-', '-', 'F', MOED_ACT_GELU_UNGATED, NULL},
    {"deepseek2",      SM, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"deepseek2-ocr",  SM, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"mistral4",       SM, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"deepseek32",     SG, 'R', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"glm-dsa",        SG, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"glm4moe",        SG, 'K', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "post_attention_norm"},
    {"bailingmoe2",    SG, 'R', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"bailingmoe3",    SG, 'R', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"dots1",          SG, 'R', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"dots3note",      SG, 'R', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"exaone-moe",     SG, 'R', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"hy_v3",          SG, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"laguna",         SG, 'K', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"afmoe",          SG, 'K', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"kimi-linear",    SG, 'R', 'Y', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"step35",         SG, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"minimax-m2",     SG, 'R', 'Y', '-', 'R', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"minimax-m3",     SG, 'R', 'K', 'K', 'R', 's', 'E', MOED_ACT_SWIGLU_OAI,   "ffn_norm"},
    {"mimo2",          SG, '-', 'Y', '-', 'o', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"lfm2moe",        SG, 'R', 'Y', '-', 'R', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"nemotron_h_moe", SG, '-', 'K', 'K', 'R', 's', 'E', MOED_ACT_RELU_SQ,      "attn_norm"},
    {"kimi-k3",        SG, 'R', 'K', 'K', 'R', 's', 'E', MOED_ACT_SITU,         "ffn_norm"},
    {"gpt-oss",        ID, '-', 'N', '-', '-', '-', 'E', MOED_ACT_SWIGLU_OAI,   "post_attention_norm"},
    {"llama4",         SG, '-', 'N', '-', '-', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"deepseek4",      SP, '-', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"dflash",         SP, '-', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"grovemoe",       SM, '-', 'Y', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"smallthinker",   SG, 'R', 'Y', '-', '-', '-', 'E', MOED_ACT_RELU,         "ffn_norm"},
    {"gemma4",         SM, '-', 'Y', '-', '-', '-', 'E', MOED_ACT_GELU,         "pre_ffw_norm_2"},
    {"cohere2moe",     SG, 'K', 'K', 'K', '-', 's', 'E', MOED_ACT_SILU,         "attn_norm"},
};
/* clang-format on */

const struct claim *claim_at(size_t i)
{
    return i < MOED_ARRAY_LEN(claims) ? &claims[i] : NULL;
}

bool claim_is_gated(const struct claim *c)
{
    return c->act != MOED_ACT_RELU_SQ && c->act != MOED_ACT_GELU_UNGATED;
}

void claim_make(const struct claim *c, struct recipe *r)
{
    char norm[64];

    recipe_init(r, c->arch);
    recipe_key(r, "attention.layer_norm_epsilon", RECIPE_F32, 1e-5);
    if (!claim_is_gated(c))
        recipe_drop(r, "blk.0.ffn_gate_exps.weight");
    if (c->gating == 'R')
        recipe_key(r, "expert_gating_func", RECIPE_U32, 2);
    if (c->bias == 'R')
        recipe_tensor(r, CLAIM_BIAS, "F32", RECIPE_E, 0, 0);
    if (c->act == MOED_ACT_SITU)
        recipe_key(r, "activation.situ_beta", RECIPE_F32, 4);
    if (strcmp(c->arch, "grovemoe") == 0)
        recipe_key(r, "expert_group_scale", RECIPE_F32, 0.05);
    if (c->norm != NULL) {
        recipe_drop(r, "blk.0.ffn_norm.weight");
        snprintf(norm, sizeof(norm), "blk.0.%s.weight", c->norm);
        recipe_tensor(r, norm, "F32", RECIPE_H, 0, 0);
    }
}

void claim_add_shared(const struct claim *c, struct recipe *r)
{
    if (c->shared == '-')
        return;
    recipe_bank(r, 0, c->shared == 'd' ? "" : "_shexp", 16, 1);
    if (!claim_is_gated(c) || c->shared == 'u')
        recipe_drop(r, "blk.0.ffn_gate_shexp.weight");
    if (c->shared == 'u')
        recipe_tensor(r, "blk.0.ffn_up_shexp.weight", "F32", RECIPE_H, 32, 0);
    if (c->shared == 'g')
        recipe_tensor(r, "blk.0.ffn_gate_inp_shexp.weight", "F32", RECIPE_H, 0, 0);
}

static void latent(struct recipe *r, const char *name)
{
    char tensor[64];

    recipe_bank(r, 0, "_exps", RECIPE_F, RECIPE_E);
    recipe_tensor(r, "blk.0.ffn_up_exps.weight", "F32", 16, RECIPE_F, RECIPE_E);
    recipe_tensor(r, "blk.0.ffn_gate_exps.weight", "F32", 16, RECIPE_F, RECIPE_E);
    recipe_tensor(r, "blk.0.ffn_down_exps.weight", "F32", RECIPE_F, 16, RECIPE_E);
    snprintf(tensor, sizeof(tensor), "blk.0.ffn_%s_down.weight", name);
    recipe_tensor(r, tensor, "F32", RECIPE_H, 16, 0);
    snprintf(tensor, sizeof(tensor), "blk.0.ffn_%s_up.weight", name);
    recipe_tensor(r, tensor, "F32", 16, RECIPE_H, 0);
    snprintf(tensor, sizeof(tensor), "blk.0.ffn_%s_norm.weight", name);
    recipe_tensor(r, tensor, "F32", 16, 0, 0);
}

void claim_add_options(const struct claim *c, struct recipe *r)
{
    recipe_key(r, "residual_scale", RECIPE_F32, 0.3);
    recipe_key(r, "expert_weights_scale", RECIPE_F32, 1.5);
    recipe_key(r, "swiglu_clamp_exp", RECIPE_F32, 0.5);
    recipe_key(r, "swiglu_clamp_shexp", RECIPE_F32, 0.25);
    recipe_key(r, "activation.situ_linear_beta", RECIPE_F32, 2);
    recipe_key(r, "expert_group_count", RECIPE_U32, 4);
    recipe_key(r, "expert_group_used_count", RECIPE_U32, 2);
    recipe_tensor(r, "blk.0.post_ffw_norm.weight", "F32", RECIPE_H, 0, 0);
    recipe_tensor(r, "blk.0.ffn_gate_inp.bias", "F32", RECIPE_E, 0, 0);
    recipe_tensor(r, "blk.0.ffn_up_exps.bias", "F32", RECIPE_F, RECIPE_E, 0);
    recipe_tensor(r, "blk.0.ffn_down_exps.scale", "F32", RECIPE_E, 0, 0);
    if (c->bias != '-')
        recipe_tensor(r, CLAIM_BIAS, "F32", RECIPE_E, 0, 0);
    claim_add_shared(c, r);
    if (strcmp(c->arch, "grovemoe") == 0)
        recipe_bank(r, 0, "_chexps", 48, RECIPE_E / 4);
    if (strcmp(c->arch, "kimi-k3") == 0)
        latent(r, "routed");
    if (strcmp(c->arch, "nemotron_h_moe") == 0) {
        latent(r, "latent");
        recipe_drop(r, "blk.0.ffn_gate_exps.weight");
    }
}
