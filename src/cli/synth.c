/* synth: writes a model of a known shape with random weights. */
#include "src/model/synth.h"
#include "src/model/model.h"

#include <string.h>

#include "command.h"
#include "describe.h"
#include "table.h"

static void set_defaults(void *arguments)
{
    struct moed_synth_options *synth = arguments;

    synth->preset = moed_synth_preset_name(0);
    synth->layers = 1;
    synth->seed = 1;
}

static int summarise(const char *path, double seconds, struct moed_error *err)
{
    const struct moed_layer *layer;
    struct moed_model *model;
    uint64_t bytes = 0;
    char types[256], size[16], rate[16];
    int status = moed_model_open(path, NULL, &model, err);

    if (status != 0)
        return status;
    for (uint32_t i = 0; i < model->n_layers; i++)
        bytes += model->layers[i].bytes;
    layer = &model->layers[0];
    describe_all_types(model, types, sizeof types);
    printf(
        "%s: %s, %u MoE layer%s of %u experts (top %u), H %u, F %u, %s\n"
        "%s of weights in %.1f s (%s/s)\n",
        path, model->arch, model->n_layers, model->n_layers == 1 ? "" : "s", layer->experts,
        layer->used, layer->hidden, layer->routed.width, types, format_size(bytes, size), seconds,
        format_size((uint64_t)((double)bytes / seconds), rate));
    moed_model_close(model);
    return 0;
}

static int run(const struct invocation *invocation, struct moed_error *err)
{
    const uint64_t begin = moed_now_ns();
    int status = moed_synth(invocation->operand, invocation->arguments, err);

    if (status != 0)
        return status;
    return summarise(invocation->operand, (double)(moed_now_ns() - begin + 1) * 1e-9, err);
}

static void print_list(const char *title, const char *(*name)(size_t i))
{
    size_t column = (size_t)printf("\n%s:", title);

    for (size_t i = 0; name(i); i++) {
        const size_t size = strlen(name(i)) + 1;

        if (column + size > 78)
            column = (size_t)printf("\n ") - 1;
        column += (size_t)printf(" %s", name(i));
    }
    printf("\n");
}

static const char *format_name(size_t i)
{
    size_t at = 0;

    for (; moed_format_at(at); at++) /* those that can be written */
        if (moed_format_at(at)->fill != NULL && i-- == 0)
            break;
    return moed_format_at(at) != NULL ? moed_format_at(at)->name : NULL;
}

static void print_names(void)
{
    print_list("Presets", moed_synth_preset_name);
    print_list("Mixes", moed_synth_mix_name);
    print_list("Types", format_name);
}

#define AT(field) offsetof(struct moed_synth_options, field)

static const struct option options[] = {
    {"preset", OPTION_TEXT, AT(preset), "NAME", .help = "the shape, of those below"},
    {"type", OPTION_TEXT, AT(type), "TYPE",
     .help = "weights: a type (q8_0, bf16) or a mix (q4_k_m)", .unset = "the preset's"},
    {"layers", OPTION_NUMBER, AT(layers), "N", .help = "MoE layers to write", .min = 1},
    {"force", OPTION_SWITCH, AT(replace), NULL, .help = "replace a file that is there"},
    {"seed", OPTION_SEED, AT(seed), "N", .help = "the same seed writes the same bytes"},
};

const struct command synth_command = {
    .name = "synth",
    .operand = "OUT.gguf",
    .summary = "write a model of a known shape with random weights",
    .details =
        "For trying things out and for benchmarks: the shape and the types are those of\n"
        "the real model, the weights are random at a realistic scale.",
    .examples =
        "  moed synth tiny.gguf --preset tiny\n"
        "  moed synth layer.gguf --preset qwen3-30b-a3b --layers 1 --type q4_k_m\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct moed_synth_options),
    .defaults = set_defaults,
    .print_more = print_names,
    .run = run,
};
