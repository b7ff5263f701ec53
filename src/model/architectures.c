/* architectures: the table. One row an architecture; zeros are the defaults of architecture.h.
 * Names, keys and constants are those of llama.cpp; comments say where a reference implementation
 * differs and what we follow. Groups (expert_group_count) are read for every row. */
#include "architecture.h"

#include <math.h>

#define GATING        MODEL_FIELD_SCORE, "expert_gating_func", false
#define GATING_NEEDED MODEL_FIELD_SCORE, "expert_gating_func", true
#define RENORM        MODEL_FIELD_RENORM, "expert_weights_norm", false
#define SCALE         MODEL_FIELD_SCALE, "expert_weights_scale", false
#define RESIDUAL      MODEL_FIELD_RESIDUAL_SCALE, "residual_scale", false
#define CLAMP         MODEL_FIELD_CLAMP, "swiglu_clamp_exp", false
#define CLAMP_BOTH    MODEL_FIELD_SHARED_CLAMP, "swiglu_clamp_exp", false
#define SHARED_CLAMP  MODEL_FIELD_SHARED_CLAMP, "swiglu_clamp_shexp", false

#define FFN_WIDTH "feed_forward_length"
#define OAI       .activation = MOED_ACT_SWIGLU_OAI, .alpha = 1.702F, .limit = 7.0F
#define HYPER     "the residual goes through hyper-connections, which are the caller's"

static const struct model_arch table[] = {
    /* ---- softmax over all, the K best, renormalised ---- */
    {
        /* GGUF does not record norm_topk_prob; the released models set it, and llama.cpp
         * renormalises always. A key says otherwise. */
        .name = "qwen3moe",
        .router = {.renorm = true},
        .keys = {{RENORM}, {MODEL_FIELD_RENORM, "expert_norm_topk_prob", false}},
    },
    {.name = "qwen3vlmoe", .router = {.renorm = true}},
    {.name = "rnd1", .router = {.renorm = true}},
    {.name = "mellum", .router = {.renorm = true}},
    {.name = "llama", .router = {.renorm = true}, .width_key = FFN_WIDTH},
    {.name = "mistral3", .router = {.renorm = true}, .width_key = FFN_WIDTH},
    {
        .name = "qwen3next",
        .router = {.renorm = true},
        .shared = MODEL_SHARED_GATED,
        .norm = "post_attention_norm",
    },
    {
        .name = "qwen35moe",
        .router = {.renorm = true},
        .shared = MODEL_SHARED_GATED,
        .norm = "post_attention_norm",
    },
    {
        .name = "dbrx",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .block = {.norm = MOED_NORM_LAYER},
        .norm = "attn_output_norm",
    },
    /* The reference draws its two experts by "sparsemixer", whose weights do not sum to 1; we
     * follow llama.cpp's plain softmax. */
    {.name = "phimoe", .router = {.renorm = true}, .width_key = FFN_WIDTH},
    {
        .name = "arctic",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .norm = "ffn_norm_exps",
        .block = {.residual = MOED_RESIDUAL_CALLER,
                  .refuses_residual = "arctic's experts read the layer's input and its dense FFN "
                                      "the state after attention: the sum is the caller's"},
    },
    {
        /* router_logit_softcapping is in the files; llama.cpp reads and ignores it, so do we. */
        .name = "grok",
        .router = {.renorm = true},
        .experts = {.activation = MOED_ACT_GELU},
        .shared = MODEL_SHARED_SUM,
        .shared_suffix = "",
        .shared_ffn_scale = (float)M_SQRT1_2,
        .post_norm = {"post_ffw_norm", "layer_output_norm"},
    },
    {
        .name = "granite",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .shared = MODEL_SHARED_SUM,
        .keys = {{RESIDUAL}},
    },
    {
        .name = "granitemoe",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .shared = MODEL_SHARED_SUM,
        .keys = {{RESIDUAL}},
    },
    {
        .name = "granitehybrid",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .shared = MODEL_SHARED_SUM,
        .keys = {{RESIDUAL}},
    },
    {
        .name = "granite_swa",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .shared = MODEL_SHARED_SUM,
        .shared_up_fused = true,
        .keys = {{RESIDUAL}},
    },
    {
        .name = "minimax-01",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .block = {.residual = MOED_RESIDUAL_NORMED},
        .keys = {{RESIDUAL}},
    },
    {
        /* The reference's floor is 1e-12; the sums are far above either. */
        .name = "ernie4_5-moe",
        .router = {.renorm = true},
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
    },
    {
        /* It has expert_feed_forward_length as well, which nothing reads. */
        .name = "hunyuan-moe",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .shared = MODEL_SHARED_SUM,
    },

    /* ---- softmax over all, the K best as they are ---- */
    {.name = "qwen2moe", .shared = MODEL_SHARED_GATED},
    {.name = "olmoe", .width_key = FFN_WIDTH},
    {.name = "llada-moe"},
    {.name = "jamba", .width_key = FFN_WIDTH},
    {.name = "deepseek", .shared = MODEL_SHARED_SUM, .keys = {{SCALE}}},
    {.name = "bailingmoe", .shared = MODEL_SHARED_SUM, .keys = {{RENORM}, {SCALE}}},
    {
        .name = "nomic-bert-moe",
        .width_key = FFN_WIDTH,
        .experts = {.activation = MOED_ACT_GELU_UNGATED},
        .block = {.norm = MOED_NORM_NONE,
                  .residual = MOED_RESIDUAL_CALLER,
                  .refuses_norm = "a post-norm model: its rows come normed already",
                  .refuses_residual = "a post-norm model: a LayerNorm follows the residual"},
    },

    /* ---- the score by expert_gating_func, mostly sigmoid with a selection bias ---- */
    {
        /* GLM-4.7-Flash, converted before its files carried expert_gating_func. */
        .name = "deepseek2",
        .when = {{"block_count", 47, 48}, {"vocab_size", 154880, 154880}},
        .router = {.score = MOED_SCORE_SIGMOID},
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        /* V2's group_limited_greedy scores a group by its maximum, as the reference does;
         * llama.cpp takes the two best for V2 too. For V3 we follow llama.cpp's floor. */
        .name = "deepseek2",
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .softmax_groups_by_max = true,
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "deepseek2-ocr",
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .softmax_groups_by_max = true,
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "mistral4",
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "deepseek32",
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING_NEEDED}, {RENORM}, {SCALE}},
    },
    {
        .name = "glm-dsa",
        .router = {.score = MOED_SCORE_SIGMOID},
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "glm4moe",
        .router = {.score = MOED_SCORE_SIGMOID},
        .select_bias = MODEL_REQUIRED,
        .shared = MODEL_SHARED_SUM,
        .norm = "post_attention_norm",
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "bailingmoe2",
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING_NEEDED}, {RENORM}, {SCALE}},
    },
    {
        .name = "bailingmoe3",
        .select_bias = MODEL_REQUIRED,
        .experts = {.clamp = MOED_CLAMP_POST},
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING_NEEDED}, {RENORM}, {SCALE}, {CLAMP}, {SHARED_CLAMP}},
    },
    {
        .name = "dots1",
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING_NEEDED}, {RENORM}, {SCALE}},
    },
    {
        .name = "dots3note",
        .select_bias = MODEL_REQUIRED,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING_NEEDED}, {RENORM}, {SCALE}},
    },
    {
        .name = "exaone-moe",
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING_NEEDED}, {RENORM}, {SCALE}},
    },
    {
        .name = "hy_v3",
        .router = {.score = MOED_SCORE_SIGMOID},
        .select_bias = MODEL_OPTIONAL,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "laguna",
        .router = {.score = MOED_SCORE_SIGMOID},
        .select_bias = MODEL_REQUIRED,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "afmoe",
        .router = {.score = MOED_SCORE_SIGMOID},
        .select_bias = MODEL_REQUIRED,
        .shared = MODEL_SHARED_SUM,
        .post_norm = {"post_ffw_norm"},
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "kimi-linear",
        .router = {.renorm = true},
        .select_bias = MODEL_REQUIRED,
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING_NEEDED}, {SCALE}},
    },
    {
        .name = "step35",
        .router = {.score = MOED_SCORE_SIGMOID},
        .select_bias = MODEL_OPTIONAL,
        .experts = {.clamp = MOED_CLAMP_POST},
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING}, {RENORM}, {SCALE}, {CLAMP}, {SHARED_CLAMP}},
    },
    {
        .name = "minimax-m2",
        .router = {.renorm = true},
        .width_key = FFN_WIDTH,
        .select_bias = MODEL_REQUIRED,
        .keys = {{GATING_NEEDED}},
    },
    {
        .name = "minimax-m3",
        .select_bias = MODEL_REQUIRED,
        .experts = {OAI},
        .shared = MODEL_SHARED_SUM,
        .keys = {{GATING_NEEDED}, {RENORM}, {SCALE}},
    },
    {
        .name = "mimo2",
        .router = {.score = MOED_SCORE_SIGMOID, .renorm = true},
        .select_bias = MODEL_OPTIONAL,
    },
    {
        /* The reference's floor is + 1e-6; the sums are far above either. */
        .name = "lfm2moe",
        .router = {.renorm = true},
        .select_bias = MODEL_REQUIRED,
        .keys = {{GATING_NEEDED}},
    },
    {
        /* A layer is one mixer, so the norm before it is attn_norm. */
        .name = "nemotron_h_moe",
        .router = {.score = MOED_SCORE_SIGMOID},
        .select_bias = MODEL_REQUIRED,
        .experts = {.activation = MOED_ACT_RELU_SQ},
        .shared = MODEL_SHARED_SUM,
        .norm = "attn_norm",
        .keys = {{RENORM}, {SCALE}},
    },
    {
        .name = "kimi-k3",
        .select_bias = MODEL_REQUIRED,
        .experts = {.activation = MOED_ACT_SITU},
        .shared = MODEL_SHARED_SUM,
        .block = {.residual = MOED_RESIDUAL_CALLER,
                  .refuses_residual = "the residual is mixed across layers, which is the caller's"},
        .keys = {{GATING_NEEDED},
                 {RENORM},
                 {SCALE},
                 {MODEL_FIELD_BETA, "activation.situ_beta", true},
                 {MODEL_FIELD_LAMBDA, "activation.situ_linear_beta", false}},
    },

    /* ---- rules of their own ---- */
    {
        .name = "gpt-oss",
        .router = {.score = MOED_SCORE_IDENTITY, .weight_from = MOED_WEIGHT_SOFTMAX_CHOSEN},
        .experts = {OAI},
        .norm = "post_attention_norm",
    },
    {
        .name = "llama4",
        .router = {.score = MOED_SCORE_SIGMOID,
                   .select = MOED_SELECT_LOGITS,
                   .weight_on_input = true},
        .shared = MODEL_SHARED_SUM,
    },
    {
        .name = "deepseek4",
        .router = {.score = MOED_SCORE_SQRT_SOFTPLUS,
                   .refuses_routing =
                       "its experts are chosen by token id, which rows do not carry"},
        .select_bias = MODEL_OPTIONAL,
        .experts = {.clamp = MOED_CLAMP_PRE},
        .shared = MODEL_SHARED_SUM,
        .block = {.residual = MOED_RESIDUAL_CALLER, .refuses_residual = HYPER},
        .refuses_routing_with = "ffn_gate_tid2eid",
        .keys = {{RENORM}, {SCALE}, {CLAMP_BOTH}, {CLAMP}, {SHARED_CLAMP}},
    },
    {
        .name = "dflash",
        .router = {.score = MOED_SCORE_SQRT_SOFTPLUS},
        .select_bias = MODEL_REQUIRED,
        .experts = {.clamp = MOED_CLAMP_PRE},
        .shared = MODEL_SHARED_SUM,
        .block = {.residual = MOED_RESIDUAL_CALLER, .refuses_residual = HYPER},
        .keys = {{RENORM}, {SCALE}, {CLAMP_BOTH}, {CLAMP}, {SHARED_CLAMP}},
    },
    {
        /* A parallel block; its norm is RMS or LayerNorm, told by which epsilon the file has. */
        .name = "cohere2moe",
        .when = {{"attention.layer_norm_rms_epsilon", 0.0, 1.0}},
        .router = {.score = MOED_SCORE_SIGMOID},
        .shared = MODEL_SHARED_SUM,
        .shared_ffn_scale = 0.5F,
        .norm = "attn_norm",
        .block = {.residual = MOED_RESIDUAL_CALLER,
                  .refuses_residual = "a parallel block: the sum needs the attention's output"},
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },
    {
        .name = "cohere2moe",
        .router = {.score = MOED_SCORE_SIGMOID},
        .shared = MODEL_SHARED_SUM,
        .shared_ffn_scale = 0.5F,
        .norm = "attn_norm",
        .block = {.norm = MOED_NORM_LAYER,
                  .residual = MOED_RESIDUAL_CALLER,
                  .refuses_residual = "a parallel block: the sum needs the attention's output"},
        .keys = {{GATING}, {RENORM}, {SCALE}},
    },

    {
        /* The reference gives both banks the row and a chunk its experts' weights; llama.cpp feeds
         * the first bank's output to the second and takes the weights at the chunk's number. We
         * follow the reference. */
        .name = "grovemoe",
        .router = {.select = MOED_SELECT_SIGMOID, .renorm = true},
        .chunks = true,
        .keys = {{MODEL_FIELD_CHUNK_SCALE, "expert_group_scale", true}},
    },

    /* ---- one row does not tell which experts: routing is the caller's ---- */
    {
        .name = "smallthinker",
        .router = {.renorm = true,
                   .refuses_routing = "its router reads the layer's input, the experts the normed "
                                      "state after attention"},
        .experts = {.activation = MOED_ACT_RELU},
        .keys = {{GATING_NEEDED}},
    },
    {
        /* Rows are normed by pre_ffw_norm_2, the sum is the one before post_ffw_norm_2: the dense
         * branch beside it, and the norms that join the two, read the row before any norm. */
        .name = "gemma4",
        .router = {.renorm = true,
                   .refuses_routing = "its router reads another norm of the state after attention "
                                      "than the experts"},
        .experts = {.activation = MOED_ACT_GELU},
        .norm = "pre_ffw_norm_2",
        .block = {.residual = MOED_RESIDUAL_CALLER,
                  .refuses_residual = "a dense branch stands beside the experts, with norms of its "
                                      "own: the sum is the caller's"},
    },
};

const struct model_arch *model_arch_at(size_t i)
{
    return i < sizeof table / sizeof table[0] ? &table[i] : NULL;
}
