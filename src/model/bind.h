/* bind: makes one served layer out of the table's row, the keys and the tensors of a block. */
#ifndef MOED_MODEL_BIND_H
#define MOED_MODEL_BIND_H

#include "architecture.h"
#include "keys.h"
#include "tensor.h"

#define MODEL_MAX_BLOCKS 512 /* llama.cpp's limit too */

struct model_source {
    const struct model_arch *arch;
    struct model_keys keys;
};

/* Whether the block is an MoE layer. MOED_E_BAD_FILE where it is half of one: a router without
 * experts, experts without a router. */
int model_is_moe(const struct model_block *block, bool *out);

/* Binds the block into `out`, which is zeroed first. */
int model_bind_layer(const struct model_source *source, const struct model_block *block,
                     struct moed_layer *out);

/* rules.c: the row's rules with the keys' overrides into out->router, routed.rule, shared.rule,
 * block and used. */
int model_read_rules(const struct model_source *source, const struct model_block *block,
                     struct moed_layer *out);
/* rules.c: keys that say something about the tensors' shapes must agree with them. */
int model_check_keys(const struct model_source *source, const struct model_block *block,
                     const struct moed_layer *layer);

/* weights.c: the weights of a layer, by position. */
struct model_role {
    const char *name;
    size_t offset; /* of the struct moed_weight in struct moed_layer */
};
const struct model_role *model_role_at(size_t i); /* NULL past the end */
const struct moed_weight *model_role_weight(const struct moed_layer *layer,
                                            const struct model_role *role);
uint64_t model_layer_bytes(const struct moed_layer *layer);

#endif
