/* describe: the router rule for people: in words, then as the formula that runs. */
#include "src/model/model.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    char *at;
    size_t left; /* with the terminating NUL */
};

static void say(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What does not fit is cut off. */
static void say(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    if (n < 0 || t->left == 0)
        return;
    if ((size_t)n >= t->left)
        n = (int)t->left - 1;
    t->at += n;
    t->left -= (size_t)n;
}

struct score_names {
    const char *words, *function;
};

static const struct score_names scores[MOED_SCORE_COUNT] = {
    [MOED_SCORE_SOFTMAX] = {"a softmax over all logits", "softmax(l)"},
    [MOED_SCORE_SIGMOID] = {"the sigmoid of their logit", "sigmoid(l)"},
    [MOED_SCORE_IDENTITY] = {"their logit itself", "l"},
    [MOED_SCORE_SQRT_SOFTPLUS] = {"the root of their logit's softplus", "sqrt(softplus(l))"},
};

/* What the best are chosen by, before the selection bias. */
static const struct score_names selections[] = {
    [MOED_SELECT_SCORE] = {"score", "s"},
    [MOED_SELECT_LOGITS] = {"logit", "l"},
    [MOED_SELECT_SIGMOID] = {"the logit's sigmoid", "sigmoid(l)"},
};

static void say_choice(struct text *t, const struct moed_layer *layer)
{
    const struct moed_router_rule *r = &layer->router;

    say(t, "The %u experts are scored by %s; ", layer->experts, scores[r->score].words);
    if (r->groups > 1)
        say(t, "of %u groups only the %u best count, by their %s; ", r->groups, r->groups_used,
            r->group_score == MOED_GROUP_MAX ? "best expert" : "two best experts");
    say(t, "the %u best by %s%s %s chosen", layer->used, selections[r->select].words,
        layer->select_bias.tensor != NULL ? " plus a bias for selection alone" : "",
        layer->used == 1 ? "is" : "are");
    if (r->weight_from == MOED_WEIGHT_SOFTMAX_CHOSEN)
        say(t, ", weighted by a softmax over them");
    if (r->renorm)
        say(t, ", their weights divided by their sum");
    if (r->scale != 1.0F)
        say(t, ", times %g", (double)r->scale);
    say(t, "; ");
}

static void say_words(struct text *t, const struct moed_layer *layer)
{
    if (layer->router.refuses_routing != NULL)
        say(t, "Requests choose among the %u experts: %s; ", layer->experts,
            layer->router.refuses_routing);
    else
        say_choice(t, layer);
    say(t, "the weight multiplies the expert's %s.",
        layer->router.weight_on_input ? "input" : "output");
    if (layer->shared.width != 0)
        say(t, " A shared expert of width %u is added%s.", layer->shared.width,
            layer->shared_gate.tensor != NULL ? " behind its own sigmoid gate" : "");
    if (layer->chunk_size != 0)
        say(t, " Each %u neighbours share a chunk of width %u, which their weights, times %g, add.",
            layer->chunk_size, layer->chunks.width, (double)layer->chunk_scale);
}

static void say_weights(struct text *t, const struct moed_layer *layer)
{
    const struct moed_router_rule *r = &layer->router;
    const bool chosen = r->weight_from == MOED_WEIGHT_SOFTMAX_CHOSEN;

    say(t, "l = W x%s; s = %s; S = ", layer->router_bias.tensor != NULL ? " + b" : "",
        scores[r->score].function);
    say(t, "top%u(%s%s", layer->used, selections[r->select].function,
        layer->select_bias.tensor != NULL ? " + c" : "");
    if (r->groups > 1)
        say(t, " in the best %u of %u groups", r->groups_used, r->groups);
    say(t, "); w_e = ");
    if (r->scale != 1.0F)
        say(t, "%g ", (double)r->scale);
    say(t, chosen ? "softmax_S(s)_e" : "s_e");
    if (r->renorm)
        say(t, " / max(sum_S %s, %g)", chosen ? "softmax_S(s)" : "s", (double)r->renorm_floor);
    say(t, "; ");
}

static void say_formula(struct text *t, const struct moed_layer *layer)
{
    say(t, " ");
    if (layer->router.refuses_routing == NULL)
        say_weights(t, layer);
    say(t, "y = ");
    if (layer->block.ffn_scale != 1.0F)
        say(t, "%g (", (double)layer->block.ffn_scale);
    say(t, layer->router.weight_on_input ? "sum_S E_e(w_e x)" : "sum_S w_e E_e(x)");
    if (layer->shared.width != 0)
        say(t,
            layer->shared_gate.tensor != NULL ? " + sigmoid(g x) E_shared(x)" : " + E_shared(x)");
    if (layer->chunk_size != 0)
        say(t, " + %g sum_S w_e C_(e div %u)(x)", (double)layer->chunk_scale, layer->chunk_size);
    say(t, layer->block.ffn_scale != 1.0F ? ")" : "");
}

void moed_router_describe(const struct moed_layer *layer, char *out, size_t size)
{
    struct text t = {out, size};

    if (size > 0)
        out[0] = '\0';
    say_words(&t, layer);
    say_formula(&t, layer);
}
