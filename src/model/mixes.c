/* mixes: the table of mixes and the fallbacks of llama.cpp's quantiser. */
#include "mixes.h"

#include "synth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The first and last eighth of the blocks, and every third between. */
static bool in_ends_and_thirds(uint32_t block, uint32_t depth)
{
    const uint32_t eighth = depth / 8;

    return block < eighth || block >= 7 * depth / 8 || (block - eighth) % 3 == 2;
}

static bool in_first_eighth(uint32_t block, uint32_t depth)
{
    return block < depth / 8;
}

static bool in_all(uint32_t block, uint32_t depth)
{
    return block < depth;
}

static const struct model_mix mixes[] = {
    {"q2_k", "Q2_K", "Q3_K", NULL, in_all},
    {"q4_k_s", "Q4_K", "Q5_K", NULL, in_first_eighth},
    {"q4_k_m", "Q4_K", "Q6_K", NULL, in_ends_and_thirds},
    {"q5_k_m", "Q5_K", "Q6_K", NULL, in_ends_and_thirds},
    {"mxfp4_moe", "MXFP4", NULL, "Q8_0", NULL},
};

/* For rows that are no multiple of 256. */
static const struct {
    const char *from, *to;
} fallbacks[] = {
    {"Q4_K", "Q5_0"},      {"Q5_K", "Q5_1"},      {"Q6_K", "Q8_0"},     {"Q2_K", "Q4_0"},
    {"Q3_K", "Q4_0"},      {"TQ1_0", "Q4_0"},     {"TQ2_0", "Q4_0"},    {"IQ1_S", "IQ4_NL"},
    {"IQ1_M", "IQ4_NL"},   {"IQ2_XXS", "IQ4_NL"}, {"IQ2_XS", "IQ4_NL"}, {"IQ2_S", "IQ4_NL"},
    {"IQ3_XXS", "IQ4_NL"}, {"IQ3_S", "IQ4_NL"},   {"IQ4_XS", "IQ4_NL"},
};

static const struct moed_format *fallback_for(const struct moed_format *format)
{
    for (size_t i = 0; i < MOED_ARRAY_LEN(fallbacks); i++) {
        if (strcmp(fallbacks[i].from, format->name) == 0)
            return moed_format_by_name(fallbacks[i].to);
    }
    return moed_format_by_name("F16");
}

const struct moed_format *model_mix_format(const struct model_mix *mix,
                                           const struct model_place *place, uint64_t cols)
{
    const bool better =
        place->down && mix->better_in != NULL && mix->better_in(place->block, place->depth);
    const struct moed_format *format =
        moed_format_by_name(better                                 ? mix->better
                            : place->shared && mix->shared != NULL ? mix->shared
                                                                   : mix->base);

    if (cols % format->block != 0)
        format = fallback_for(format);
    if (cols % format->block != 0)
        format = moed_format_by_name("F16");
    return format;
}

static int unknown_type(const char *name, struct moed_error *err)
{
    const struct moed_format *format;
    char known[400] = "";
    size_t used = 0;

    for (size_t i = 0; i < MOED_ARRAY_LEN(mixes); i++)
        used += (size_t)snprintf(known + used, sizeof known - used, " %s", mixes[i].name);
    for (size_t i = 0; (format = moed_format_at(i)) && used < sizeof known; i++) {
        if (format->fill != NULL)
            used += (size_t)snprintf(known + used, sizeof known - used, " %s", format->name);
    }
    return moed_fail(err, MOED_E_USAGE, "type \"%.40s\" cannot be written; known:%s", name, known);
}

int model_mix_find(const char *name, struct model_mix *out, struct moed_error *err)
{
    const struct moed_format *format;

    for (size_t i = 0; i < MOED_ARRAY_LEN(mixes); i++) {
        if (strcasecmp(mixes[i].name, name) == 0) {
            *out = mixes[i];
            return 0;
        }
    }
    format = moed_format_by_name(name);
    if (format == NULL || format->fill == NULL)
        return unknown_type(name, err);
    *out = (struct model_mix){.name = format->name, .base = format->name};
    return 0;
}

const char *moed_synth_mix_name(size_t i)
{
    return i < MOED_ARRAY_LEN(mixes) ? mixes[i].name : NULL;
}
