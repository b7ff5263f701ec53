/* weights: the list of everything that a layer may have, for those who walk over all of it. */
#include "bind.h"

#define ROLE(member)                                 \
    {                                                \
#member, offsetof(struct moed_layer, member) \
    }

static const struct model_role roles[] = {
    ROLE(router_weight),     ROLE(router_bias),
    ROLE(select_bias),       ROLE(routed.gate),
    ROLE(routed.up),         ROLE(routed.down),
    ROLE(routed.gate_bias),  ROLE(routed.up_bias),
    ROLE(routed.down_bias),  ROLE(routed.gate_scale),
    ROLE(routed.up_scale),   ROLE(routed.down_scale),
    ROLE(shared.gate),       ROLE(shared.up),
    ROLE(shared.down),       ROLE(shared.gate_bias),
    ROLE(shared.up_bias),    ROLE(shared.down_bias),
    ROLE(shared.gate_scale), ROLE(shared.up_scale),
    ROLE(shared.down_scale), ROLE(shared_gate),
    ROLE(latent_down),       ROLE(latent_up),
    ROLE(latent_norm),       ROLE(norm),
    ROLE(norm_bias),         ROLE(post_norm),
    ROLE(chunks.gate),       ROLE(chunks.up),
    ROLE(chunks.down),       ROLE(chunks.gate_bias),
    ROLE(chunks.up_bias),    ROLE(chunks.down_bias),
    ROLE(chunks.gate_scale), ROLE(chunks.up_scale),
    ROLE(chunks.down_scale),
};

const struct model_role *model_role_at(size_t i)
{
    return i < MOED_ARRAY_LEN(roles) ? &roles[i] : NULL;
}

const struct moed_weight *model_role_weight(const struct moed_layer *layer,
                                            const struct model_role *role)
{
    return (const struct moed_weight *)(const void *)((const char *)layer + role->offset);
}

/* Two roles may be one view: the scale of a fused gate and up. */
static bool seen_before(const struct moed_layer *layer, size_t i)
{
    const struct moed_weight *w = model_role_weight(layer, &roles[i]);

    for (size_t j = 0; j < i; j++) {
        const struct moed_weight *other = model_role_weight(layer, &roles[j]);

        if (other->tensor == w->tensor && other->first_row == w->first_row)
            return true;
    }
    return false;
}

/* Cannot wrap: views of different rows of tensors that the container has checked. */
uint64_t model_layer_bytes(const struct moed_layer *layer)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < MOED_ARRAY_LEN(roles); i++) {
        const struct moed_weight *w = model_role_weight(layer, &roles[i]);

        if (w->tensor != NULL && !seen_before(layer, i))
            bytes += w->count * w->rows * w->row_bytes;
    }
    return bytes;
}
