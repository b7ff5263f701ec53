/* model: what a layer's MoE block computes, as data. Reads the architecture's rule from one
 * table, lets keys and present tensors switch its options, binds and checks the tensors of each
 * layer. Reads no weights: backends do, through moed_weight_read().
 * Letters: T rows, H hidden size, F expert width, E experts, K experts chosen a row. */
#ifndef MOED_MODEL_H
#define MOED_MODEL_H

#include "src/gguf/gguf.h"
#include "src/model/rule.h"

/* One matrix (or vector, rows = 1) of the block, bound to its place in the file. A view: `gate`
 * and `up` of a fused tensor share it with different first_row. Absent: tensor == NULL. */
struct moed_weight {
    const struct moed_gguf_tensor *tensor;
    const struct moed_format *format;
    uint64_t cols;      /* inputs: the fastest dimension */
    uint64_t rows;      /* outputs, of this view */
    uint64_t count;     /* experts held; 1 for what is not per expert */
    uint64_t first_row; /* of this view within one expert of the tensor */
    uint64_t stride;    /* rows of one expert in the tensor */
    uint64_t row_bytes;
    const uint32_t *picked; /* [count] which experts of the tensor; NULL: from 0 on, in order */
};

struct moed_experts {     /* a bank of experts: the routed ones, the shared one (count 1), chunks */
    uint32_t width;       /* F; 0 when the model has no such bank */
    const int32_t *place; /* where an expert is among those held, -1: not held; NULL: all are */
    struct moed_expert_rule rule;
    struct moed_weight gate, up, down;                /* [F,I] [F,I] [O,F]; gate absent: ungated */
    struct moed_weight gate_bias, up_bias, down_bias; /* [count,F] [count,F] [count,O] or absent */
    struct moed_weight gate_scale, up_scale, down_scale; /* one f32 an expert, or absent */
};

struct moed_layer {
    uint32_t index;   /* N of blk.N */
    uint32_t hidden;  /* H */
    uint32_t experts; /* E */
    uint32_t used;    /* K */
    uint32_t held;    /* of the E, served here */
    bool primary;     /* serves expert 0, and so what is computed once a row: the shared expert */
    uint32_t latent;  /* width that the routed experts read and write; H unless latent */
    struct moed_router_rule router;
    struct moed_weight router_weight; /* [E,H] */
    struct moed_weight router_bias;   /* [1,E] added to the logits, or absent */
    struct moed_weight select_bias;   /* [1,E] added for selection only, or absent */
    struct moed_experts routed, shared;
    /* A second, smaller bank: chunk g runs beside experts [g, g + 1) × chunk_size, with their
     * weights times chunk_scale. Width 0: none. */
    struct moed_experts chunks;
    uint32_t chunk_size; /* experts that share a chunk; 0: no chunks */
    float chunk_scale;
    struct moed_weight shared_gate; /* [1,H]: shared output × sigmoid(gate · x), or absent */
    struct moed_weight latent_down, latent_up, latent_norm; /* [L,H] [H,L] [1,L], or absent */
    struct moed_block_rule block;
    struct moed_weight norm, norm_bias, post_norm; /* [1,H] each, or absent */
    uint64_t bytes; /* of what is held of the weights above, in the file */
};

struct moed_model {
    struct moed_gguf *gguf;     /* owned */
    const char *name;           /* general.name, or the file's name without .gguf */
    const char *arch;           /* general.architecture */
    uint32_t block_count;       /* blocks of the model, dense ones too */
    uint32_t n_moe_layers;      /* MoE layers in the file, served or not */
    const uint32_t *moe_layers; /* their block numbers, ascending */
    uint32_t n_layers;          /* served ones */
    struct moed_layer *layers;  /* [n_layers], ascending index */
};

struct moed_model_options {
    const char *layers;    /* "0-23,40" selects block numbers; NULL: all MoE layers */
    const char *experts;   /* "0-63": those of each layer that are held; NULL: all */
    const char *arch_file; /* describes one more architecture (src/model/README.md), or NULL */
};

/* Opens a model; options NULL: all zeros. Naming a block that is no MoE layer, or an expert that a
 * layer does not have, is MOED_E_USAGE.
 * MOED_E_BAD_FILE and MOED_E_UNSUPPORTED name the file, the tensor, key or line, what was found
 * and what was expected. */
int moed_model_open(const char *path, const struct moed_model_options *options,
                    struct moed_model **out, struct moed_error *err);
void moed_model_close(struct moed_model *model); /* NULL is fine */

/* The served layer with block number `index`, or NULL. */
const struct moed_layer *moed_model_layer(const struct moed_model *model, uint32_t index);
/* Whether block `index` is an MoE layer of the file, served or not. */
bool moed_model_has_moe_layer(const struct moed_model *model, uint32_t index);
bool moed_layer_holds(const struct moed_layer *layer, uint32_t expert);
struct moed_set moed_model_served(const struct moed_model *model); /* block numbers */
struct moed_set moed_layer_held(const struct moed_layer *layer);   /* experts */

struct moed_weight_span { /* of one expert of a view */
    uint64_t expert, first, n;
};
/* Copies those rows, packed as in the file (n × row_bytes). Any thread. Bounds are the caller's
 * duty (asserted by MOED_E_INTERNAL). */
int moed_weight_read(const struct moed_model *model, const struct moed_weight *weight,
                     struct moed_weight_span rows, void *dst, struct moed_error *err);
/* All of a view that is small (router, bias, norm), decoded to f32: count × rows × cols floats,
 * aligned to 64 bytes; *out is freed by the caller; NULL and 0 for an absent one. */
int moed_weight_read_f32(const struct moed_model *model, const struct moed_weight *weight,
                         float **out, struct moed_error *err);

/* sha256 over the descriptors of the served layers' tensors (name, type, dims, rule) and their
 * bytes; `bytes_too` false leaves the bytes out (the cheap form, documented in API.md). */
int moed_model_fingerprint(const struct moed_model *model, bool bytes_too, char hex[65],
                           struct moed_error *err);

/* sha256 over one layer's rules, its descriptors and 64 bytes at 64 places of each tensor, evenly
 * spread: two trainings differ in it, a few damaged bytes are not found. Of the whole layer,
 * whichever experts are held. */
int moed_layer_fingerprint(const struct moed_model *model, const struct moed_layer *layer,
                           char hex[65], struct moed_error *err);

/* The router rule in words and as a formula, one paragraph, for inspect and info. */
void moed_router_describe(const struct moed_layer *layer, char *out, size_t size);

#endif
