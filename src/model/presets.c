/* presets: the table. Shapes and keys as in the published GGUFs of each model. */
#include "presets.h"

#define SIGMOID       PRESET_KEY_U32, "expert_gating_func", 2
#define RENORM(on)    PRESET_KEY_BOOL, "expert_weights_norm", on
#define SCALE(x)      PRESET_KEY_F32, "expert_weights_scale", x
#define RESIDUAL(x)   PRESET_KEY_F32, "residual_scale", x
#define SHARED(n)     PRESET_KEY_U32, "expert_shared_count", n
#define SHARED_F(f)   PRESET_KEY_U32, "expert_shared_feed_forward_length", f
#define GROUPS(n)     PRESET_KEY_U32, "expert_group_count", n
#define GROUPS_USE(n) PRESET_KEY_U32, "expert_group_used_count", n

#define NONE       0
#define GATE       PRESET_SHARED_GATE
#define BIAS       PRESET_SELECT_BIAS
#define ALL_BIASES PRESET_BIASES

/* tiny is small, but every format fits, and block 0 of its q4_k_m has a better down tensor. */
/* clang-format off */
static const struct model_preset presets[] = {
/*   name                  arch            H      F    E   K  shF depth type       extras, keys */
    {"tiny",               "qwen3moe",      256,   256,   8,  2,     0,  8, "q4_k_m", NONE, {{0}}},
    {"mixtral-8x7b",       "llama",        4096, 14336,   8,  2,     0, 32, "q4_k_m", NONE, {{0}}},
    {"mixtral-8x22b",      "llama",        6144, 16384,   8,  2,     0, 56, "q4_k_m", NONE, {{0}}},
    {"qwen2-57b-a14b",     "qwen2moe",     3584,  2560,  64,  8, 20480, 28, "q4_k_m", GATE,
     {{SHARED_F(20480)}}},
    {"qwen3-30b-a3b",      "qwen3moe",     2048,   768, 128,  8,     0, 48, "q4_k_m", NONE, {{0}}},
    {"qwen3-235b-a22b",    "qwen3moe",     4096,  1536, 128,  8,     0, 94, "q4_k_m", NONE, {{0}}},
    {"qwen3-next-80b-a3b", "qwen3next",    2048,   512, 512, 10,   512, 48, "q4_k_m", GATE,
     {{SHARED_F(512)}}},
    {"olmoe-1b-7b",        "olmoe",        2048,  1024,  64,  8,     0, 16, "q4_k_m", NONE, {{0}}},
    {"deepseek-v2-lite",   "deepseek2",    2048,  1408,  64,  6,  2816, 27, "q4_k_m", NONE,
     {{SHARED(2)}, {SCALE(1.0)}, {RENORM(0)}}},
    {"deepseek-v3",        "deepseek2",    7168,  2048, 256,  8,  2048, 61, "q4_k_m", BIAS,
     {{SIGMOID}, {RENORM(1)}, {SCALE(2.5)}, {SHARED(1)}, {GROUPS(8)}, {GROUPS_USE(4)}}},
    {"kimi-k2",            "deepseek2",    7168,  2048, 384,  8,  2048, 61, "q4_k_m", BIAS,
     {{SIGMOID}, {RENORM(1)}, {SCALE(2.827)}, {SHARED(1)}, {GROUPS(1)}, {GROUPS_USE(1)}}},
    {"glm-4.5-air",        "glm4moe",      4096,  1408, 128,  8,  1408, 47, "q4_k_m", BIAS,
     {{SIGMOID}, {RENORM(1)}, {SCALE(1.0)}, {SHARED(1)}}},
    {"gpt-oss-20b",        "gpt-oss",      2880,  2880,  32,  4,     0, 24, "mxfp4_moe", ALL_BIASES,
     {{0}}},
    {"gpt-oss-120b",       "gpt-oss",      2880,  2880, 128,  4,     0, 36, "mxfp4_moe", ALL_BIASES,
     {{0}}},
    {"llama4-scout",       "llama4",       5120,  8192,  16,  1,  8192, 48, "q4_k_m", NONE, {{0}}},
    {"minimax-m2",         "minimax-m2",   3072,  1536, 256,  8,     0, 62, "q4_k_m", BIAS,
     {{SIGMOID}}},
    {"granite-3-3b-a800m", "granitemoe",   1536,   512,  40,  8,     0, 32, "q4_k_m", NONE,
     {{RESIDUAL(0.22)}}},
    {"hunyuan-a13b",       "hunyuan-moe",  4096,  3072,  64,  8,  3072, 32, "q4_k_m", NONE,
     {{SHARED_F(3072)}}},
    {"ernie-4.5-21b-a3b",  "ernie4_5-moe", 2560,  1536,  64,  6,  3072, 28, "q4_k_m", BIAS,
     {{SHARED(2)}, {SHARED_F(3072)}}},
};
/* clang-format on */

const struct model_preset *model_preset_at(size_t i)
{
    return i < sizeof presets / sizeof presets[0] ? &presets[i] : NULL;
}
