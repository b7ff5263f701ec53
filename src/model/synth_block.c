/* synth_block: see synth_block.h. Scales are chosen so that rows of unit variance behave as in a
 * real model: experts' weights deviate by 1/sqrt(inputs), so activations stay near 1; the
 * router's logits deviate by 1.5, so some experts are clearly preferred and none is alone. */
#include "synth_block.h"

#include <math.h>
#include <stdio.h>

#define ROUTER_SIGMA 1.5F
#define SMALL_SIGMA  0.1F /* of biases, and of norms around 1 */
#define DEFAULT_NORM "ffn_norm"

static struct synth_tensor *add(struct synth_block *b, const char *name, const char *suffix)
{
    struct synth_tensor *t = &b->tensors[b->n++];

    *t = (struct synth_tensor){.format = moed_format_by_name("F32"), .sigma = SMALL_SIGMA};
    (void)snprintf(t->name, sizeof t->name, "blk.%u.%s%s", b->index, name, suffix);
    return t;
}

static struct synth_tensor *add_vector(struct synth_block *b, const char *name, const char *suffix,
                                       uint64_t cols, uint64_t count)
{
    struct synth_tensor *t = add(b, name, suffix);

    t->dims[0] = cols;
    t->dims[1] = count;
    t->n_dims = count > 1 ? 2 : 1;
    return t;
}

static void add_matrix(struct synth_block *b, const char *name, bool down, const uint64_t dims[3])
{
    const struct model_place place = {
        .down = down, .shared = dims[2] == 1, .block = b->index, .depth = b->shape->depth};
    struct synth_tensor *t = add(b, name, ".weight");

    t->n_dims = dims[2] == 1 ? 2 : 3;
    for (int i = 0; i < 3; i++)
        t->dims[i] = dims[i];
    t->format = model_mix_format(&b->shape->mix, &place, dims[0]);
    t->sigma = 1.0F / sqrtf((float)dims[0]);
}

static void add_bank(struct synth_block *b, const char *suffix, uint64_t width, uint64_t count)
{
    const uint64_t hidden = b->shape->preset->hidden;
    const uint64_t in[3] = {hidden, width, count}, out[3] = {width, hidden, count};
    char gate[32], up[32], down[32];

    (void)snprintf(gate, sizeof gate, "ffn_gate%s", suffix);
    (void)snprintf(up, sizeof up, "ffn_up%s", suffix);
    (void)snprintf(down, sizeof down, "ffn_down%s", suffix);
    add_matrix(b, gate, false, in);
    add_matrix(b, up, false, in);
    add_matrix(b, down, true, out);
    if (b->shape->preset->extras & PRESET_BIASES) {
        add_vector(b, gate, ".bias", width, count);
        add_vector(b, up, ".bias", width, count);
        add_vector(b, down, ".bias", hidden, count);
    }
}

void synth_block_init(struct synth_block *b, const struct synth_shape *shape, uint32_t index)
{
    const struct model_preset *p = shape->preset;
    struct synth_tensor *t;

    b->shape = shape;
    b->index = index;
    b->n = 0;
    t = add_vector(b, shape->arch->norm != NULL ? shape->arch->norm : DEFAULT_NORM, ".weight",
                   p->hidden, 1);
    t->mean = 1.0F;
    t = add_vector(b, "ffn_gate_inp", ".weight", p->hidden, p->experts);
    t->sigma = ROUTER_SIGMA / sqrtf((float)p->hidden);
    if (p->extras & PRESET_BIASES)
        add_vector(b, "ffn_gate_inp", ".bias", p->experts, 1);
    if (p->extras & PRESET_SELECT_BIAS)
        add_vector(b, "exp_probs_b", ".bias", p->experts, 1);
    add_bank(b, "_exps", p->width, p->experts);
    if (p->shared_width)
        add_bank(b, "_shexp", p->shared_width, 1);
    if (p->extras & PRESET_SHARED_GATE) {
        t = add_vector(b, "ffn_gate_inp_shexp", ".weight", p->hidden, 1);
        t->sigma = 1.0F / sqrtf((float)p->hidden);
    }
}
