/* inspect: what a model's MoE layers are: rule, shapes, types, bytes; reads no weights. */
#include "src/model/model.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "describe.h"
#include "json.h"
#include "table.h"

#define RULE_MAX 1024

struct inspect_arguments {
    struct moed_model_options model;
    bool json;
};

/* ---- text ---- */

/* Whether two layers print the same line. */
static bool alike(const struct moed_layer *a, const struct moed_layer *b)
{
    char types_a[64], types_b[64];

    describe_types(a, types_a, sizeof types_a);
    describe_types(b, types_b, sizeof types_b);
    return a->index + 1 == b->index && a->hidden == b->hidden && a->experts == b->experts &&
           a->used == b->used && a->routed.width == b->routed.width &&
           a->shared.width == b->shared.width &&
           a->router_weight.format == b->router_weight.format && a->bytes == b->bytes &&
           strcmp(types_a, types_b) == 0;
}

/* "7" or "0-23". */
static void format_range(const struct moed_layer *first, const struct moed_layer *last, char *out,
                         size_t size)
{
    if (first == last)
        snprintf(out, size, "%u", first->index);
    else
        snprintf(out, size, "%u-%u", first->index, last->index);
}

static void print_layer_line(struct table *table, const struct moed_layer *first,
                             const struct moed_layer *last)
{
    char range[32], types[64], bytes[16];

    format_range(first, last, range, sizeof range);
    describe_types(first, types, sizeof types);
    table_cell(table, "%s", range);
    table_cell(table, "%u", first->experts);
    table_cell(table, "%u", first->used);
    table_cell(table, "%u", first->hidden);
    table_cell(table, "%u", first->routed.width);
    table_cell(table, "%u", first->shared.width);
    table_cell(table, "%s", first->router_weight.format->name);
    table_cell(table, "%s", types);
    table_cell(table, "%s", format_size(first->bytes, bytes));
}

static void print_layers(const struct moed_model *model)
{
    static const struct table_column columns[] = {
        {"layers", -9}, {"experts", 7}, {"top", 4},     {"hidden", 6},         {"width", 6},
        {"shared", 6},  {"router", -6}, {"types", -22}, {"bytes a layer", 13},
    };
    struct table table;

    table_begin(&table, stdout, columns, MOED_ARRAY_LEN(columns));
    for (uint32_t i = 0; i < model->n_layers;) {
        const uint32_t first = i++;

        while (i < model->n_layers && alike(&model->layers[i - 1], &model->layers[i]))
            i++;
        print_layer_line(&table, &model->layers[first], &model->layers[i - 1]);
    }
}

static bool same_rule(const struct moed_layer *a, const struct moed_layer *b)
{
    char rule_a[RULE_MAX], rule_b[RULE_MAX];

    moed_router_describe(a, rule_a, sizeof rule_a);
    moed_router_describe(b, rule_b, sizeof rule_b);
    return a->index + 1 == b->index && strcmp(rule_a, rule_b) == 0;
}

/* The rule in words and as a formula, once for each run of layers that it holds for. */
static void print_rules(const struct moed_model *model)
{
    for (uint32_t i = 0; i < model->n_layers;) {
        const uint32_t first = i++;
        char rule[RULE_MAX], range[32];

        while (i < model->n_layers && same_rule(&model->layers[i - 1], &model->layers[i]))
            i++;
        moed_router_describe(&model->layers[first], rule, sizeof rule);
        format_range(&model->layers[first], &model->layers[i - 1], range, sizeof range);
        printf("router        layer%s %s: %s\n", first + 1 == i ? "" : "s", range, rule);
    }
}

static uint64_t total_bytes(const struct moed_model *model)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < model->n_layers; i++)
        bytes += model->layers[i].bytes;
    return bytes;
}

static void print_path(const char *title, const char *path)
{
    char *clean = malloc(3 * strlen(path) + 1);

    if (clean != NULL)
        moed_clean_text(clean, path, strlen(path));
    printf("%-13s %s\n", title, clean != NULL ? clean : "");
    free(clean);
}

static void print_text(const struct moed_model *model)
{
    char bytes[16];

    printf("name          %s\n", model->name);
    printf("architecture  %s\n", model->arch);
    for (uint32_t i = 0; i < moed_gguf_parts(model->gguf); i++)
        print_path(i == 0 ? "file" : "", moed_gguf_path(model->gguf, i));
    printf("format        GGUF version %u, %zu tensors\n", moed_gguf_version(model->gguf),
           moed_gguf_tensor_count(model->gguf));
    printf("blocks        %u, of which %u are MoE layers\n", model->block_count,
           model->n_moe_layers);
    printf("MoE weights   %s in %u layer%s\n", format_size(total_bytes(model), bytes),
           model->n_layers, model->n_layers == 1 ? "" : "s");
    print_rules(model);
    printf("\n");
    print_layers(model);
}

/* ---- JSON ---- */

static void print_json_weight(const char *name, const struct moed_weight *weight)
{
    if (weight->tensor == NULL)
        return;
    printf(",\"%s\":{\"tensor\":", name);
    json_string(stdout, weight->tensor->name);
    printf(",\"type\":\"%s\",\"shape\":[%llu,%llu,%llu]}", weight->format->name,
           (unsigned long long)weight->count, (unsigned long long)weight->rows,
           (unsigned long long)weight->cols);
}

static void print_json_layer(const struct moed_layer *layer)
{
    char rule[RULE_MAX];

    printf(
        "{\"layer\":%u,\"hidden\":%u,\"experts\":%u,\"experts_used\":%u,\"expert_width\":%u,"
        "\"shared_width\":%u,\"chunk_width\":%u,\"bytes\":%llu,\"router_rule\":",
        layer->index, layer->hidden, layer->experts, layer->used, layer->routed.width,
        layer->shared.width, layer->chunks.width, (unsigned long long)layer->bytes);
    moed_router_describe(layer, rule, sizeof rule);
    json_string(stdout, rule);
    if (layer->router.refuses_routing != NULL) {
        printf(",\"refuses_routing\":");
        json_string(stdout, layer->router.refuses_routing);
    }
    print_json_weight("router", &layer->router_weight);
    print_json_weight("gate", &layer->routed.gate);
    print_json_weight("up", &layer->routed.up);
    print_json_weight("down", &layer->routed.down);
    print_json_weight("shared_gate", &layer->shared.gate);
    print_json_weight("shared_up", &layer->shared.up);
    print_json_weight("shared_down", &layer->shared.down);
    print_json_weight("chunk_gate", &layer->chunks.gate);
    print_json_weight("chunk_up", &layer->chunks.up);
    print_json_weight("chunk_down", &layer->chunks.down);
    printf("}");
}

static void print_json(const struct moed_model *model)
{
    printf("{\"name\":");
    json_string(stdout, model->name);
    printf(",\"architecture\":");
    json_string(stdout, model->arch);
    printf(",\"files\":[");
    for (uint32_t i = 0; i < moed_gguf_parts(model->gguf); i++) {
        if (i > 0)
            printf(",");
        json_string(stdout, moed_gguf_path(model->gguf, i));
    }
    printf(
        "],\"gguf_version\":%u,\"tensors\":%zu,\"blocks\":%u,\"moe_layers\":%u,\"bytes\":%llu,"
        "\"layers\":[",
        moed_gguf_version(model->gguf), moed_gguf_tensor_count(model->gguf), model->block_count,
        model->n_moe_layers, (unsigned long long)total_bytes(model));
    for (uint32_t i = 0; i < model->n_layers; i++) {
        if (i > 0)
            printf(",");
        print_json_layer(&model->layers[i]);
    }
    printf("]}\n");
}

static int run(const struct invocation *invocation, struct moed_error *err)
{
    const struct inspect_arguments *arguments = invocation->arguments;
    struct moed_model *model;
    int status = moed_model_open(invocation->operand, &arguments->model, &model, err);

    if (status != 0)
        return status;
    if (arguments->json)
        print_json(model);
    else
        print_text(model);
    moed_model_close(model);
    return 0;
}

#define AT(field) offsetof(struct inspect_arguments, field)

static const struct option options[] = {
    {"layers", OPTION_TEXT, AT(model.layers), "0-23,40", .help = "the blocks to show",
     .unset = "all"},
    {"arch-file", OPTION_TEXT, AT(model.arch_file), "FILE",
     .help = "describes one more architecture, by its columns", .unset = "none"},
    {"json", OPTION_SWITCH, AT(json), NULL, .help = "one JSON object"},
};

const struct command inspect_command = {
    .name = "inspect",
    .operand = "MODEL.gguf",
    .summary = "show architecture, router rule, layers, shapes, types and bytes",
    .details =
        "Reads the headers alone, and checks them as `serve` would. Shapes in JSON are\n"
        "[experts, rows, columns].",
    .examples =
        "  moed inspect model.gguf\n"
        "  moed inspect model-00001-of-00003.gguf --json | jq '.layers[0]'\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct inspect_arguments),
    .run = run,
};
