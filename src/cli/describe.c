/* describe: what inspect, bench and verify say about a layer. */
#include "describe.h"

#include <stdio.h>
#include <string.h>

void describe_types(const struct moed_layer *layer, char *out, size_t size)
{
    const struct moed_experts *experts = &layer->routed;

    snprintf(out, size, "%s%s%s/%s", experts->gate.tensor != NULL ? experts->gate.format->name : "",
             experts->gate.tensor != NULL ? "/" : "", experts->up.format->name,
             experts->down.format->name);
}

/* Whether `text` has `word` between spaces or ends. */
static bool has_word(const char *text, const char *word)
{
    const size_t size = strlen(word);

    for (const char *at = text; (at = strstr(at, word)); at += size)
        if ((at == text || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
            return true;
    return false;
}

void describe_all_types(const struct moed_model *model, char *out, size_t size)
{
    size_t used = 0;

    *out = '\0';
    for (uint32_t i = 0; i < model->n_layers && used < size; i++) {
        char types[64];

        describe_types(&model->layers[i], types, sizeof types);
        if (!has_word(out, types))
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? " " : "", types);
    }
}

static double weight_flops(const struct moed_weight *weight)
{
    return weight->tensor != NULL ? 2.0 * (double)weight->rows * (double)weight->cols : 0.0;
}

static double bank_flops(const struct moed_experts *experts)
{
    return weight_flops(&experts->gate) + weight_flops(&experts->up) + weight_flops(&experts->down);
}

/* Of a row whose experts share no chunk: the most. */
static double chunk_flops(const struct moed_layer *layer)
{
    const uint32_t chunks = layer->chunk_size ? layer->experts / layer->chunk_size : 0;

    return (layer->used < chunks ? layer->used : chunks) * bank_flops(&layer->chunks);
}

double describe_flops(const struct moed_layer *layer)
{
    return weight_flops(&layer->router_weight) + layer->used * bank_flops(&layer->routed) +
           bank_flops(&layer->shared) + chunk_flops(layer) + weight_flops(&layer->latent_down) +
           weight_flops(&layer->latent_up);
}
