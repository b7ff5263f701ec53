/* experts: see experts.h. Shapes, dims[0] first, of `count` experts that map I inputs to O = I:
 *     gate, up {I, F, count}   gate_up {I, 2F, count}, gate first   down {F, O, count}
 *     biases {F or O, count}   scales {count} */
#include "experts.h"

#include <stdio.h>

struct bank_names {
    char gate[32], up[32], down[32], gate_up[32];
};

static struct bank_names name_bank(const char *suffix)
{
    struct bank_names n;

    (void)snprintf(n.gate, sizeof n.gate, "ffn_gate%s", suffix);
    (void)snprintf(n.up, sizeof n.up, "ffn_up%s", suffix);
    (void)snprintf(n.down, sizeof n.down, "ffn_down%s", suffix);
    (void)snprintf(n.gate_up, sizeof n.gate_up, "ffn_gate_up%s", suffix);
    return n;
}

bool model_is_gated(enum moed_activation activation)
{
    return activation != MOED_ACT_RELU_SQ && activation != MOED_ACT_GELU_UNGATED;
}

bool model_bank_present(const struct model_block *block, const char *suffix)
{
    const struct bank_names n = name_bank(suffix);

    return model_find(block, n.gate, ".weight") != NULL ||
           model_find(block, n.up, ".weight") != NULL ||
           model_find(block, n.down, ".weight") != NULL ||
           model_find(block, n.gate_up, ".weight") != NULL;
}

/* Views of the two halves of [gate; up]. */
static void split_rows(const struct moed_weight *both, struct moed_weight *gate,
                       struct moed_weight *up)
{
    *gate = *up = *both;
    gate->rows = up->rows = both->rows / 2;
    up->first_row = both->first_row + up->rows;
}

static int bind_fused(const struct model_block *block, const struct model_bank *bank,
                      const char *name, struct moed_experts *out)
{
    const struct moed_gguf_tensor *tensor = model_find(block, name, ".weight");
    const struct model_shape shape = {{bank->width, 2 * (uint64_t)out->width, bank->count}};
    struct moed_weight both;
    int rc = model_bind_matrix(block, tensor, shape, &both);

    if (rc == 0)
        split_rows(&both, &out->gate, &out->up);
    return rc;
}

static int bind_gate_and_up(const struct model_block *block, const struct model_bank *bank,
                            const struct bank_names *n, struct moed_experts *out)
{
    const bool gated = model_is_gated(out->rule.activation);
    const struct moed_gguf_tensor *gate = model_find(block, n->gate, ".weight");
    const struct moed_gguf_tensor *up = model_find(block, n->up, ".weight");
    const struct model_shape shape = {{bank->width, out->width, bank->count}};
    int rc;

    if (gate != NULL && !gated)
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "tensor %s: the architecture's experts have no gate", gate->name);
    if (up == NULL)
        return model_missing(block, n->up, ".weight", "a bank of experts needs it");
    if (gated && gate == NULL)
        return model_missing(block, n->gate, ".weight", "a bank of gated experts needs it");
    rc = model_bind_matrix(block, up, shape, &out->up);
    if (rc == 0 && gate != NULL)
        rc = model_bind_matrix(block, gate, shape, &out->gate);
    return rc;
}

/* A bias of [gate; up] is {2F, count}. Its halves are views of 1-element rows, which a packed
 * format cannot have. */
static int bind_fused_bias(const struct model_block *block, const struct model_bank *bank,
                           const char *name, struct moed_experts *out)
{
    const struct moed_gguf_tensor *tensor = model_find(block, name, ".bias");
    const struct model_shape shape = {{2 * (uint64_t)out->width, bank->count, 1}};
    struct moed_weight both;
    int rc;

    if (tensor == NULL)
        return 0;
    rc = model_bind_vector(block, tensor, shape, &both);
    if (rc != 0)
        return rc;
    if (both.format->block != 1)
        return moed_fail(block->err, MOED_E_UNSUPPORTED,
                         "tensor %s: found type %s, expected an unpacked one for a fused bias",
                         tensor->name, both.format->name);
    both.rows = both.stride = both.cols;
    both.cols = 1;
    both.row_bytes = both.format->bytes;
    split_rows(&both, &out->gate_bias, &out->up_bias);
    return 0;
}

static int bind_extras(const struct model_block *block, const struct model_bank *bank,
                       const struct bank_names *n, bool fused, struct moed_experts *out)
{
    const struct model_shape inner = {{out->width, bank->count, 1}};
    const struct model_shape outer = {{bank->width, bank->count, 1}};
    const struct model_shape scale = {{bank->count, 1, 1}};
    int rc = 0;

    if (fused) {
        rc = bind_fused_bias(block, bank, n->gate_up, out);
        if (rc == 0)
            rc = model_bind_optional(block, n->gate_up, ".scale", scale, &out->gate_scale);
        out->up_scale = out->gate_scale;
    }
    if (rc == 0 && out->gate_bias.tensor == NULL)
        rc = model_bind_optional(block, n->gate, ".bias", inner, &out->gate_bias);
    if (rc == 0 && out->up_bias.tensor == NULL)
        rc = model_bind_optional(block, n->up, ".bias", inner, &out->up_bias);
    if (rc == 0 && out->gate_scale.tensor == NULL)
        rc = model_bind_optional(block, n->gate, ".scale", scale, &out->gate_scale);
    if (rc == 0 && out->up_scale.tensor == NULL)
        rc = model_bind_optional(block, n->up, ".scale", scale, &out->up_scale);
    if (rc == 0)
        rc = model_bind_optional(block, n->down, ".bias", outer, &out->down_bias);
    if (rc == 0)
        rc = model_bind_optional(block, n->down, ".scale", scale, &out->down_scale);
    return rc;
}

int model_bind_bank(const struct model_block *block, const struct model_bank *bank,
                    struct moed_experts *out)
{
    const struct bank_names n = name_bank(bank->suffix);
    const struct moed_gguf_tensor *down = model_find(block, n.down, ".weight");
    const char *fused = bank->up_is_fused ? n.up : n.gate_up;
    const bool is_fused = model_find(block, fused, ".weight") != NULL;
    int rc;

    if (down == NULL)
        return model_missing(block, n.down, ".weight", "a bank of experts needs it");
    rc = model_bind_matrix(block, down, (struct model_shape){{0, bank->width, bank->count}},
                           &out->down);
    if (rc != 0)
        return rc;
    out->width = (uint32_t)out->down.cols;
    rc = is_fused ? bind_fused(block, bank, fused, out) : bind_gate_and_up(block, bank, &n, out);
    if (rc == 0)
        rc = bind_extras(block, bank, &n, is_fused && !bank->up_is_fused, out);
    return rc;
}
