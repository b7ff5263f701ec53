/* verify: holds a backend to the float64 reference on random rows, layer by layer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "describe.h"
#include "rows.h"
#include "runner.h"
#include "src/model/scan.h"
#include "table.h"

#define EXACT_TOLERANCE  1e-6 /* of sums in float32, the rows as they are */
#define WEIGHT_TOLERANCE 1e-6 /* of router weights, which are float32 in both */

struct verify_arguments {
    struct moed_model_options model;
    const char *backend, *isa, *devices;
    bool invariant;
    uint32_t threads;
    uint32_t activations; /* 0 int8, 1 f32 */
    uint32_t rows;
    uint64_t seed;
};

struct verify {
    const struct verify_arguments *arguments;
    struct moed_model *model;
    struct runner reference, candidate;
    struct moed_random random;
    float *hidden;
    struct table table;
    uint32_t failures;
    uint32_t faults; /* of weights */
};

struct difference {
    double error;        /* relative L2 of the outputs */
    double weight_error; /* largest difference of two router weights of the same slot */
    bool same_ids;       /* the same experts in the same order */
};

/* What a type's arithmetic may cost: F16 and BF16 round the rows, quantised types take them to
 * int8 by blocks of 16; with f16 rows it is the weights that are rounded, to f16. */
static double type_tolerance(const struct moed_format *format, bool f16)
{
    static const struct {
        const char *name;
        double tolerance;
    } exact[] = {{"F32", EXACT_TOLERANCE}, {"F16", 4e-4}, {"BF16", 3e-3}};

    for (size_t i = 0; i < MOED_ARRAY_LEN(exact); i++)
        if (strcmp(format->name, exact[i].name) == 0)
            return exact[i].tolerance;
    return f16 ? 2e-3 : 1.25e-2;
}

static double bank_tolerance(const struct moed_experts *experts, bool f16)
{
    const struct moed_weight *weights[] = {&experts->gate, &experts->up, &experts->down};
    double tolerance = 0;

    for (size_t i = 0; i < MOED_ARRAY_LEN(weights); i++)
        if (weights[i]->tensor != NULL)
            tolerance = fmax(tolerance, type_tolerance(weights[i]->format, f16));
    return tolerance;
}

/* What the layer's types allow; with f32 rows nothing is rounded but the sums, as for F32. */
static double layer_tolerance(const struct verify *verify, const struct moed_layer *layer)
{
    const bool f16 = strcmp(moed_backend_activations(verify->candidate.backend), "f16") == 0;

    if (verify->arguments->activations == 1)
        return EXACT_TOLERANCE;
    return fmax(bank_tolerance(&layer->routed, f16), bank_tolerance(&layer->shared, f16));
}

static struct difference compare(const struct runner *a, const struct runner *b,
                                 const struct moed_layer *layer, uint32_t rows)
{
    double difference = 0, norm = 0;
    struct difference result = {.same_ids = true};

    for (size_t i = 0; i < (size_t)rows * layer->hidden; i++) {
        const double expected = a->output[i], delta = b->output[i] - expected;

        difference += delta * delta;
        norm += expected * expected;
    }
    for (size_t i = 0; i < (size_t)rows * layer->used; i++) {
        const double delta = fabs((double)a->weights[i] - b->weights[i]);

        result.same_ids = result.same_ids && a->ids[i] == b->ids[i];
        result.weight_error = fmax(result.weight_error, delta);
    }
    result.error = norm > 0 ? sqrt(difference / norm) : sqrt(difference);
    return result;
}

static int verify_layer(struct verify *verify, const struct moed_layer *layer,
                        struct moed_error *err)
{
    const uint32_t rows = verify->arguments->rows;
    const double tolerance = layer_tolerance(verify, layer);
    struct table *table = &verify->table;
    struct difference found;
    char types[64];
    bool fine;
    int status;

    rows_fill(&verify->random, verify->hidden, rows, layer->hidden);
    status = runner_forward(&verify->reference, layer, verify->hidden, rows, err);
    if (status == 0)
        status = runner_forward(&verify->candidate, layer, verify->hidden, rows, err);
    if (status != 0)
        return status;
    found = compare(&verify->reference, &verify->candidate, layer, rows);
    /* Written so that an error that is NaN fails too. */
    fine = found.error <= tolerance && found.same_ids && found.weight_error <= WEIGHT_TOLERANCE;
    verify->failures += !fine;
    describe_types(layer, types, sizeof types);
    table_cell(table, "%u", layer->index);
    table_cell(table, "%s", types);
    table_cell(table, "%.3g", found.error);
    table_cell(table, "%.3g", tolerance);
    table_cell(table, "%s", found.same_ids ? "same" : "differ");
    table_cell(table, "%.2g", found.weight_error);
    table_cell(table, "%s", fine ? "ok" : "FAILED");
    return 0;
}

static int prepare(struct verify *verify, const char *path, struct moed_error *err)
{
    const struct verify_arguments *arguments = verify->arguments;
    struct moed_backend_options reference = {.name = "reference", .max_rows = arguments->rows};
    struct moed_backend_options candidate = {
        .name = arguments->backend,
        .isa = arguments->isa,
        .devices = arguments->devices,
        .invariant = arguments->invariant,
        .threads = arguments->threads,
        .f32_rows = arguments->activations == 1,
        .max_rows = arguments->rows,
    };
    int status = moed_model_open(path, &arguments->model, &verify->model, err);

    if (status == 0)
        status = runner_open(&verify->reference, verify->model, &reference, err);
    if (status == 0)
        status = runner_open(&verify->candidate, verify->model, &candidate, err);
    if (status != 0)
        return status;
    verify->hidden =
        moed_aligned_alloc((uint64_t)arguments->rows * runner_hidden(verify->model), sizeof(float));
    if (verify->hidden == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "out of memory for %u rows", arguments->rows);
    moed_random_seed(&verify->random, arguments->seed);
    return 0;
}

static void print_fault(void *context, const struct moed_weight *weight, uint64_t at,
                        const char *fault)
{
    struct verify *verify = context;
    char name[160];

    moed_scan_name(weight, at, name, sizeof name);
    printf("%s %s\n", name, fault);
    verify->faults++;
}

/* Weights that cannot be right, whatever both backends make of them. */
static int scan_layers(struct verify *verify, struct moed_error *err)
{
    int status = 0;

    for (uint32_t i = 0; i < verify->model->n_layers && status == 0; i++)
        status =
            moed_scan_layer(verify->model, &verify->model->layers[i], print_fault, verify, err);
    return status;
}

static int verify_layers(struct verify *verify, struct moed_error *err)
{
    static const struct table_column columns[] = {
        {"layer", 5},   {"types", -22}, {"error", 9},    {"limit", 7},
        {"experts", 7}, {"weights", 8}, {"verdict", -1},
    };
    const struct moed_backend *backend = verify->candidate.backend;
    const uint32_t layers = verify->model->n_layers;
    int status = 0;

    printf("%s (%s, %s rows, %u threads) against the float64 reference, %u random rows a layer\n",
           moed_backend_name(backend), moed_backend_isa(backend), moed_backend_activations(backend),
           moed_backend_threads(backend), verify->arguments->rows);
    table_begin(&verify->table, stdout, columns, MOED_ARRAY_LEN(columns));
    for (uint32_t i = 0; i < layers && status == 0; i++)
        status = verify_layer(verify, &verify->model->layers[i], err);
    if (status == 0 && verify->failures > 0)
        status = moed_fail(err, MOED_E_INTERNAL,
                           "%u of %u layers differ from the reference by "
                           "more than their types explain",
                           verify->failures, layers);
    return status;
}

static int run(const struct invocation *invocation, struct moed_error *err)
{
    struct verify verify = {.arguments = invocation->arguments};
    int status = prepare(&verify, invocation->operand, err);

    if (status == 0)
        status = scan_layers(&verify, err);
    if (status == 0)
        status = verify_layers(&verify, err);
    if (status == 0 && verify.faults > 0)
        status = moed_fail(err, MOED_E_BAD_FILE,
                           "%s: %u weights, or experts of one, cannot be right (above): download "
                           "or convert the file again",
                           invocation->operand, verify.faults);
    free(verify.hidden);
    runner_close(&verify.candidate);
    runner_close(&verify.reference);
    moed_model_close(verify.model);
    return status;
}

static void set_defaults(void *arguments)
{
    struct verify_arguments *verify = arguments;

    verify->rows = 16;
    verify->seed = 1;
}

#define AT(field) offsetof(struct verify_arguments, field)

static const struct option options[] = {
    {"layers", OPTION_TEXT, AT(model.layers), "0-23,40", .help = "the blocks to verify",
     .unset = "all"},
    {"arch-file", OPTION_TEXT, AT(model.arch_file), "FILE",
     .help = "describes one more architecture, by its columns", .unset = "none"},
    {"rows", OPTION_NUMBER, AT(rows), "N", .help = "random rows a layer", .min = 1},
    {"backend", OPTION_TEXT, AT(backend), "NAME", .help = "what to hold to the reference",
     .unset = "auto"},
    {"isa", OPTION_TEXT, AT(isa), "NAME", .help = "instruction set of the cpu backend",
     .unset = "best found"},
    {"devices", OPTION_TEXT, AT(devices), "0,1",
     .help = "of the cuda backend; they share the layers", .unset = "the first"},
    {"activations", OPTION_CHOICE, AT(activations), "int8|f32",
     .help = "form of the rows: f32 is exact, and slower"},
    {"batch-invariant", OPTION_SWITCH, AT(invariant), NULL,
     .help = "on a GPU too, rows do not heed their batch; slower"},
    {"threads", OPTION_NUMBER, AT(threads), "N", .help = "threads of the team",
     .unset = "physical cores"},
    {"seed", OPTION_SEED, AT(seed), "N", .help = "seed of the random rows"},
};

const struct command verify_command = {
    .name = "verify",
    .operand = "MODEL.gguf",
    .summary = "compare a backend with the float64 reference",
    .details =
        "Prints a line a layer: the relative L2 error of the output, what the layer's\n"
        "types allow (1e-6 F32, 4e-4 F16, 3e-3 BF16, 1.25e-2 quantised; 2e-3 on a GPU;\n"
        "1e-6 all with --activations f32), and whether the same experts were chosen. Fails if any\n"
        "layer exceeds its limit, or if weights are NaN or infinite or an expert is all zeros,\n"
        "naming tensor and expert.",
    .examples =
        "  moed verify model.gguf\n"
        "  moed verify model.gguf --layers 0,47 --rows 64 --isa avx2\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct verify_arguments),
    .defaults = set_defaults,
    .run = run,
};
