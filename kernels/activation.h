/* activation: what an expert does between its up and its down projection, as data:
 * x -> down(act(gate x, up x)). */
#ifndef MOED_KERNELS_ACTIVATION_H
#define MOED_KERNELS_ACTIVATION_H

enum moed_activation {
    MOED_ACT_SILU,    /* silu(g) u, silu(v) = v sigmoid(v) */
    MOED_ACT_GELU,    /* gelu(g) u, the tanh form */
    MOED_ACT_RELU,    /* relu(g) u */
    MOED_ACT_RELU_SQ, /* relu(u)^2, ungated */
    /* g' = min(g, limit), u' = clamp(u, +-limit): g' sigmoid(alpha g') (u' + 1) */
    MOED_ACT_SWIGLU_OAI,
    /* beta tanh(g / beta) sigmoid(g) lambda tanh(u / lambda); with lambda 0 the last is u */
    MOED_ACT_SITU,
    MOED_ACT_GELU_UNGATED, /* gelu(u) */
    MOED_ACT_COUNT
};

enum moed_clamp {
    MOED_CLAMP_NONE,
    MOED_CLAMP_POST, /* u = clamp(u, +-clamp_limit), then min(act(g), clamp_limit) u */
    MOED_CLAMP_PRE   /* u = clamp(u, +-clamp_limit), then act(min(g, clamp_limit)) u */
};

struct moed_expert_rule {
    enum moed_activation activation;
    float alpha, limit; /* SWIGLU_OAI */
    float beta, lambda; /* SITU */
    enum moed_clamp clamp;
    float clamp_limit;
};

#endif
