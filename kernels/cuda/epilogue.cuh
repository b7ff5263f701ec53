/* epilogue: what becomes of a product's sums: scales, biases and weights, the activation between up
 * and down, and its way out as f32 or as f16 in the units of its pair. */
#ifndef MOED_CUDA_EPILOGUE_CUH
#define MOED_CUDA_EPILOGUE_CUH

#include "cuda.h"
#include "guard.cuh"
#include "rows.cuh"

DEVICE float sigmoid(float x)
{
    return __fdividef(1.0F, 1.0F + expf(-x));
}

DEVICE float gelu(float x)
{
    return 0.5F * x * (1.0F + tanhf(0.79788456080286535588F * x * (1.0F + 0.044715F * x * x)));
}

DEVICE float gated(enum moed_activation activation, float g)
{
    if (activation == MOED_ACT_GELU)
        return gelu(g);
    if (activation == MOED_ACT_RELU)
        return fmaxf(g, 0.0F);
    return g * sigmoid(g);
}

DEVICE float activate(const struct moed_expert_rule &rule, float g, float u)
{
    switch (rule.activation) {
    case MOED_ACT_RELU_SQ:
        return fmaxf(u, 0.0F) * fmaxf(u, 0.0F);
    case MOED_ACT_GELU_UNGATED:
        return gelu(u);
    case MOED_ACT_SWIGLU_OAI:
        g = fminf(g, rule.limit);
        u = fmaxf(fminf(u, rule.limit), -rule.limit);
        return g * sigmoid(rule.alpha * g) * (u + 1.0F);
    case MOED_ACT_SITU:
        if (rule.lambda > 0.0F)
            u = rule.lambda * tanhf(u / rule.lambda);
        return rule.beta * tanhf(g / rule.beta) * sigmoid(g) * u;
    default:
        break;
    }
    if (rule.clamp == MOED_CLAMP_NONE)
        return gated(rule.activation, g) * u;
    u = fmaxf(fminf(u, rule.clamp_limit), -rule.clamp_limit);
    if (rule.clamp == MOED_CLAMP_PRE)
        return gated(rule.activation, fminf(g, rule.clamp_limit)) * u;
    return fminf(gated(rule.activation, g), rule.clamp_limit) * u;
}

/* One column of a product: a pair. */
struct column {
    uint32_t pair, expert; /* of its matrix */
    float factor;          /* the pair's units, and its weight where that is on the input */
    float units;           /* what its activations are multiplied by on their way out */
};

/* `unit` of the weights as they were multiplied. */
DEVICE column column_of(const struct moed_cuda_product &p, const struct moed_cuda_tile &t,
                        uint32_t i, float unit)
{
    const uint32_t pair = t.first + i;
    const uint32_t row = p.in_row ? p.in_row[pair] : pair;
    column c = {pair, t.expert, (p.in_factor ? p.in_factor[row] : 1.0F) / unit, 1.0F};

    if (p.weight_in)
        c.factor *= p.weight_in[pair];
    if (p.epilogue == MOED_CUDA_ACTIVATE && p.way != MOED_CUDA_EXACT)
        c.units = 1.0F / p.pair_factor[pair];
    else if (p.weight_out)
        c.units = p.weight_out[pair];
    return c;
}

DEVICE uint32_t features_of(const struct moed_cuda_product &p)
{
    return p.matrix.interleaved ? p.matrix.rows / 2 : p.matrix.rows;
}

/* `of` 1 is the up of an interleaved matrix; its rows are numbered by feature, as its bias is. */
DEVICE float finished(const struct moed_cuda_product &p, const column &c, int of, uint32_t row,
                      float sum)
{
    float value = sum * c.factor;

    if (p.scale[of])
        value *= p.scale[of][c.expert];
    if (p.bias[of])
        value += p.bias[of][(size_t)c.expert * features_of(p) + row];
    return value;
}

DEVICE void put_activation(const struct moed_cuda_product &p, const column &c, uint32_t feature,
                           float h)
{
    const size_t at = (size_t)c.pair * p.out_ld;

    if (p.way == MOED_CUDA_EXACT) {
        ((float *)p.out)[at + feature] = h;
        return;
    }
    h *= c.units;
    guard_note(p.guard + 4 * (size_t)c.pair, h);
    ((__half *)p.out)[at + position(feature, p.lane_order)] = __float2half_rn(h);
    if (feature + 1 == features_of(p)) /* what pads the pair is read too */
        for (uint32_t k = feature + 1; k < p.out_ld; k++)
            ((__half *)p.out)[at + position(k, p.lane_order)] = __float2half_rn(0.0F);
}

DEVICE void put_row(const struct moed_cuda_product &p, const column &c, uint32_t row, float sum)
{
    if (row >= p.matrix.rows)
        return;

    float value = finished(p, c, 0, row, sum);

    if (p.epilogue == MOED_CUDA_ACTIVATE) {
        const float gate = p.gate ? p.gate[(size_t)c.pair * p.matrix.rows + row] : 0.0F;

        put_activation(p, c, row, activate(p.rule, gate, value));
        return;
    }
    ((float *)p.out)[(size_t)c.pair * p.out_ld + row] = value * c.units;
}

/* Rows g and g + 8 of block `block` of 16, which one thread has. */
DEVICE void epilogue_two(const struct moed_cuda_product &p, const column &c, uint32_t block,
                         uint32_t g, float lower, float upper)
{
    if (p.matrix.interleaved) {
        const uint32_t feature = block * 8 + g;

        if (feature < p.matrix.rows / 2)
            put_activation(p, c, feature,
                           activate(p.rule, finished(p, c, 0, feature, lower),
                                    finished(p, c, 1, feature, upper)));
        return;
    }
    put_row(p, c, block * 16 + g, lower);
    put_row(p, c, block * 16 + g + 8, upper);
}

/* ---- most products: no scales, no biases, and x · sigmoid(x) where there is an activation ---- */

DEVICE bool is_plain(const struct moed_cuda_product &p)
{
    if (p.scale[0] || p.scale[1] || p.bias[0] || p.bias[1] || p.way == MOED_CUDA_EXACT)
        return false;
    if (!p.matrix.interleaved)
        return p.epilogue == MOED_CUDA_STORE;
    return p.rule.activation == MOED_ACT_SILU && p.rule.clamp == MOED_CLAMP_NONE &&
           p.out_ld == p.matrix.rows / 2;
}

/* The same as epilogue_two() of a plain product. */
DEVICE void epilogue_plain(const struct moed_cuda_product &p, const column &c, uint32_t block,
                           uint32_t g, float lower, float upper)
{
    lower *= c.factor;
    upper *= c.factor;
    if (p.matrix.interleaved) {
        const uint32_t feature = block * 8 + g;
        const float h = lower * sigmoid(lower) * upper * c.units;

        if (feature >= p.out_ld)
            return;
        guard_note(p.guard + 4 * (size_t)c.pair, h);
        ((__half *)p.out)[(size_t)c.pair * p.out_ld + position(feature, p.lane_order)] =
            __float2half_rn(h);
        return;
    }

    float *out = (float *)p.out + (size_t)c.pair * p.out_ld + block * 16 + g;

    if (block * 16 + g < p.matrix.rows)
        out[0] = lower * c.units;
    if (block * 16 + g + 8 < p.matrix.rows)
        out[8] = upper * c.units;
}

template <bool PLAIN>
DEVICE void epilogue_either(const struct moed_cuda_product &p, const column &c, uint32_t block,
                            uint32_t g, float lower, float upper)
{
    if (PLAIN)
        epilogue_plain(p, c, block, g, lower, upper);
    else
        epilogue_two(p, c, block, g, lower, upper);
}

/* ---- what there is to do ---- */

struct work {
    uint32_t first, tiles;
};

DEVICE work work_of(const struct moed_cuda_product &p)
{
    if (!p.tiles)
        return {0, (p.batch->rows + p.columns - 1) / p.columns};

    /* Past L1, since this may be read before the launch before has ended (launch.cuh). */
    const uint32_t first = p.bank > 0 ? __ldcg(&p.tile_end[p.bank - 1]) : 0;

    return {first, __ldcg(&p.tile_end[p.bank]) - first};
}

DEVICE struct moed_cuda_tile tile_at(const struct moed_cuda_product &p, const work &w, uint32_t i)
{
    if (p.tiles) {
        const struct moed_cuda_tile *t = &p.tiles[w.first + i];

        return {__ldcg(&t->expert), __ldcg(&t->first), __ldcg(&t->n)};
    }

    const uint32_t first = i * p.columns;
    const uint32_t left = p.batch->rows - first;

    return {0, first, left < p.columns ? left : p.columns};
}

DEVICE const uint8_t *tiles_of(const struct moed_cuda_product &p, const struct moed_cuda_tile &t,
                               uint32_t block)
{
    return p.matrix.tiles + t.expert * p.matrix.expert_bytes + block * p.matrix.block_bytes;
}

#endif
