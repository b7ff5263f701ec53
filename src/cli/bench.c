/* bench: times the forward pass a batch size, beside this machine's memory bandwidth. */
#include <stdlib.h>
#include <string.h>

#include "ceilings.h"
#include "command.h"
#include "describe.h"
#include "json.h"
#include "probe.h"
#include "rows.h"
#include "runner.h"
#include "table.h"

enum { SAMPLES_MAX = 4096, SAMPLES_MIN = 3 };

struct bench_arguments {
    struct moed_backend_options backend;
    uint32_t load;        /* 0 resident, 1 mmap */
    uint32_t activations; /* 0 int8, 1 f32 */
    struct moed_model_options model;
    struct option_numbers rows;
    double seconds;
    uint64_t seed;
    bool json, ceilings;
};

struct sample {
    const struct moed_layer *layer;
    double seconds;
    double bytes; /* of weights */
    double flops;
    uint32_t active_experts;
};

struct bench {
    const struct bench_arguments *arguments;
    struct moed_model *model;
    struct runner runner;
    struct moed_random random;
    float *hidden; /* [largest size, H] */
    struct sample *samples;
    uint32_t next_layer; /* the rotation goes on over all sizes */
    char types[256];
    struct table table;
    struct ceilings ceilings; /* if asked for */
};

struct result {
    uint32_t rows;
    double seconds, gflops, weight_gbps, active_experts, dram_read_gbps;
    struct bound bound; /* with --ceilings */
};

static int by_seconds(const void *a, const void *b)
{
    const double x = ((const struct sample *)a)->seconds, y = ((const struct sample *)b)->seconds;

    return (x > y) - (x < y);
}

/* One forward pass of the next layer over fresh rows, by the device's own clock if it has one. */
static int take_sample(struct bench *bench, uint32_t rows, struct sample *sample,
                       struct moed_error *err)
{
    const uint32_t index = bench->next_layer++ % bench->model->n_layers;
    const struct moed_layer *layer = &bench->model->layers[index];
    uint64_t begin;
    int status;

    rows_fill(&bench->random, bench->hidden, rows, layer->hidden);
    sample->layer = layer;
    begin = moed_now_ns();
    status = runner_forward(&bench->runner, layer, bench->hidden, rows, err);
    sample->seconds = moed_workspace_device_seconds(bench->runner.workspace);
    if (sample->seconds == 0)
        sample->seconds = (double)(moed_now_ns() - begin) * 1e-9;
    sample->bytes = (double)bench->runner.weight_bytes;
    sample->flops = describe_flops(layer) * rows;
    sample->active_experts = bench->runner.active_experts;
    return status;
}

/* What weights can be read with at most: by the device, or by this CPU. */
static int read_bandwidth(struct bench *bench, double *gbps, struct moed_error *err)
{
    struct moed_backend *backend = bench->runner.backend;
    const int status = moed_backend_read_gbps(backend, gbps, err);

    if (status != 0 || *gbps > 0)
        return status;
    return probe_read_bandwidth(moed_backend_threads(backend), gbps, err);
}

/* Warms up every layer, samples for about `seconds`, and takes the median sample. Its bandwidth and
 * experts are its own; layers of different types in one model make the median that of a typical
 * layer. */
static int measure(struct bench *bench, uint32_t rows, struct result *result,
                   struct moed_error *err)
{
    const uint64_t budget = (uint64_t)(bench->arguments->seconds * 1e9);
    struct sample *median;
    uint64_t begin;
    uint32_t n = 0;
    int status = 0;

    for (uint32_t i = 0; i < 2 * bench->model->n_layers && status == 0; i++)
        status = take_sample(bench, rows, &bench->samples[0], err);
    begin = moed_now_ns();
    while (status == 0 && n < SAMPLES_MAX && (n < SAMPLES_MIN || moed_now_ns() - begin < budget))
        status = take_sample(bench, rows, &bench->samples[n++], err);
    if (status == 0)
        status = read_bandwidth(bench, &result->dram_read_gbps, err);
    if (status != 0)
        return status;
    qsort(bench->samples, n, sizeof *bench->samples, by_seconds);
    median = &bench->samples[n / 2];
    result->rows = rows;
    result->seconds = median->seconds;
    result->gflops = median->flops / median->seconds * 1e-9;
    result->weight_gbps = median->bytes / median->seconds * 1e-9;
    result->active_experts = median->active_experts;
    result->bound = ceilings_bound(&bench->ceilings, bench->runner.backend, median->layer,
                                   result->weight_gbps / result->dram_read_gbps, result->gflops);
    return 0;
}

static void print_json(const struct bench *bench, const struct result *r)
{
    const struct moed_backend *backend = bench->runner.backend;

    printf(
        "{\"rows\":%u,\"ms\":%.6g,\"rows_per_s\":%.6g,\"gflops\":%.6g,\"weight_gbps\":%.6g,"
        "\"active_experts\":%.0f,\"dram_read_gbps\":%.6g,\"backend\":",
        r->rows, r->seconds * 1e3, r->rows / r->seconds, r->gflops, r->weight_gbps,
        r->active_experts, r->dram_read_gbps);
    json_string(stdout, moed_backend_name(backend));
    printf(",\"isa\":");
    json_string(stdout, moed_backend_isa(backend));
    printf(",\"threads\":%u,\"types\":", moed_backend_threads(backend));
    json_string(stdout, bench->types);
    printf("}\n");
    if (bench->arguments->ceilings) {
        printf("{\"rows\":%u,\"bound\":", r->rows);
        json_string(stdout, r->bound.name);
        printf(",\"fraction\":%.6g}\n", r->bound.fraction);
    }
    fflush(stdout);
}

static const struct table_column columns[] = {
    {"rows", 5},
    {"ms", 9},
    {"rows_per_s", 10},
    {"gflops", 8},
    {"weight_gbps", 11},
    {"active_experts", 14},
    {"dram_read_gbps", 14},
    {"backend", -9},
    {"isa", -7},
    {"threads", 7},
    {"types", -22},
    {"bound", -14}, /* from here on with --ceilings */
    {"of_bound", 8},
};

#define CEILING_COLUMNS 2

static void print_row(struct bench *bench, const struct result *r)
{
    const struct moed_backend *backend = bench->runner.backend;
    struct table *table = &bench->table;

    table_cell(table, "%u", r->rows);
    table_cell(table, "%.3f", r->seconds * 1e3);
    table_cell(table, "%.0f", r->rows / r->seconds);
    table_cell(table, "%.1f", r->gflops);
    table_cell(table, "%.2f", r->weight_gbps);
    table_cell(table, "%.0f", r->active_experts);
    table_cell(table, "%.1f", r->dram_read_gbps);
    table_cell(table, "%s", moed_backend_name(backend));
    table_cell(table, "%s", moed_backend_isa(backend));
    table_cell(table, "%u", moed_backend_threads(backend));
    table_cell(table, "%s", bench->types);
    if (bench->arguments->ceilings) {
        table_cell(table, "%s", r->bound.name);
        table_cell(table, "%.1f%%", r->bound.fraction * 100);
    }
}

static uint32_t largest(const struct option_numbers *numbers)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < numbers->n; i++)
        if (numbers->at[i] > most)
            most = numbers->at[i];
    return most;
}

static int prepare(struct bench *bench, const char *path, struct moed_error *err)
{
    struct moed_backend_options backend = bench->arguments->backend;
    int status = moed_model_open(path, &bench->arguments->model, &bench->model, err);

    if (status != 0)
        return status;
    backend.solo_work = MOED_SOLO_WORK; /* as in the server */
    backend.max_rows = largest(&bench->arguments->rows);
    backend.map = bench->arguments->load == 1;
    backend.f32_rows = bench->arguments->activations == 1;
    status = runner_open(&bench->runner, bench->model, &backend, err);
    if (status != 0)
        return status;
    bench->hidden =
        moed_aligned_alloc((uint64_t)backend.max_rows * runner_hidden(bench->model), sizeof(float));
    bench->samples = moed_calloc(SAMPLES_MAX, sizeof *bench->samples);
    if (bench->hidden == NULL || bench->samples == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "out of memory for %u rows", backend.max_rows);
    moed_random_seed(&bench->random, bench->arguments->seed);
    describe_all_types(bench->model, bench->types, sizeof bench->types);
    if (backend.f32_rows)
        strncat(bench->types, " x f32", sizeof bench->types - strlen(bench->types) - 1);
    return 0;
}

/* A device has other arithmetic than that of the CPU's ceilings. */
static bool on_device(const struct bench *bench)
{
    return strcmp(moed_backend_name(bench->runner.backend), "cuda") == 0;
}

static int begin_output(struct bench *bench, struct moed_error *err)
{
    const struct bench_arguments *arguments = bench->arguments;
    const size_t n = MOED_ARRAY_LEN(columns) - (arguments->ceilings ? 0 : CEILING_COLUMNS);
    int status = 0;

    if (arguments->ceilings)
        status = read_bandwidth(bench, &bench->ceilings.dram_read_gbps, err);
    if (arguments->ceilings && status == 0 && !on_device(bench))
        status =
            ceilings_measure(moed_backend_threads(bench->runner.backend), &bench->ceilings, err);
    if (status != 0)
        return status;
    if (arguments->ceilings && arguments->json)
        ceilings_print_json(&bench->ceilings, stdout);
    else if (arguments->ceilings)
        ceilings_print(&bench->ceilings, stdout);
    if (!arguments->json)
        table_begin(&bench->table, stdout, columns, n);
    return 0;
}

static int run(const struct invocation *invocation, struct moed_error *err)
{
    const struct bench_arguments *arguments = invocation->arguments;
    struct bench bench = {.arguments = arguments};
    int status = prepare(&bench, invocation->operand, err);

    if (status == 0)
        status = begin_output(&bench, err);
    for (uint32_t i = 0; status == 0 && i < arguments->rows.n; i++) {
        struct result result = {0};

        status = measure(&bench, arguments->rows.at[i], &result, err);
        if (status != 0)
            break;
        if (arguments->json)
            print_json(&bench, &result);
        else
            print_row(&bench, &result);
    }
    free(bench.samples);
    free(bench.hidden);
    runner_close(&bench.runner);
    moed_model_close(bench.model);
    return status;
}

static void set_defaults(void *arguments)
{
    struct bench_arguments *bench = arguments;

    bench->rows = (struct option_numbers){{1, 8, 64, 512}, 4};
    bench->seconds = 1;
    bench->seed = 1;
}

#define AT(field) offsetof(struct bench_arguments, field)

static const struct option options[] = {
    {"layer", OPTION_TEXT, AT(model.layers), "L",
     .help = "one block, or a list like 0-3,8; the bench rotates over them", .unset = "all"},
    {"arch-file", OPTION_TEXT, AT(model.arch_file), "FILE",
     .help = "describes one more architecture, by its columns", .unset = "none"},
    {"rows", OPTION_NUMBERS, AT(rows), "N,N...", .help = "batch sizes", .min = 1},
    {"threads", OPTION_NUMBER, AT(backend.threads), "N", .help = "threads of the team",
     .unset = "physical cores"},
    {"backend", OPTION_TEXT, AT(backend.name), "NAME", .help = "auto, cpu, cuda or reference",
     .unset = "auto"},
    {"isa", OPTION_TEXT, AT(backend.isa), "NAME", .help = "instruction set of the cpu backend",
     .unset = "best found"},
    {"devices", OPTION_TEXT, AT(backend.devices), "0,1",
     .help = "of the cuda backend; they share the layers", .unset = "the first"},
    {"activations", OPTION_CHOICE, AT(activations), "int8|f32",
     .help = "form of the rows: f32 is exact, and slower"},
    {"batch-invariant", OPTION_SWITCH, AT(backend.invariant), NULL,
     .help = "on a GPU too, rows do not heed their batch; slower"},
    {"load", OPTION_CHOICE, AT(load), "resident|mmap",
     .help = "weights in private memory or in the file's mapping"},
    {"seconds", OPTION_SECONDS, AT(seconds), "S", .help = "time to measure each size"},
    {"seed", OPTION_SEED, AT(seed), "N", .help = "seed of the random rows"},
    {"json", OPTION_SWITCH, AT(json), NULL, .help = "one JSON object a line"},
    {"ceilings", OPTION_SWITCH, AT(ceilings), NULL,
     .help = "measure the peaks of memory and arithmetic, and compare with them"},
};

const struct command bench_command = {
    .name = "bench",
    .operand = "MODEL.gguf",
    .summary = "time the forward pass, a line a batch size",
    .details =
        "Rotates over the layers with fresh random rows, so that weights come from memory\n"
        "and not from a cache, and prints the median. weight_gbps counts the bytes of the\n"
        "experts that had a row; dram_read_gbps is what this machine's memory gave in the\n"
        "same run. Models of several layers, larger than the caches, give honest numbers.\n"
        "The cuda backend's times are the device's, without the rows' way there and back.\n"
        "--ceilings prints what memory and each arithmetic unit can do at most, and for each\n"
        "size the bound that applies, the one that would take longer: memory's, or that of\n"
        "the unit that the up projections use; and how much of it was reached.",
    .examples =
        "  moed bench model.gguf\n"
        "  moed bench model.gguf --rows 1,4,16 --threads 8 --isa avx2\n"
        "  moed bench model.gguf --layer 0 --rows 512 --json\n"
        "  moed bench model.gguf --ceilings\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct bench_arguments),
    .defaults = set_defaults,
    .run = run,
};
