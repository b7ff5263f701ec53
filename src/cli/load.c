/* load: the options of the load generator, and its report. */
#include "src/load/load.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "rows.h"
#include "trust.h"
#include "value.h"

struct load_arguments {
    struct moed_load_options load;
    struct option_numbers layers, rows;
    struct option_texts dtypes, formats, headers;
    bool json;
};

_Static_assert(MOED_LOAD_LIST_MAX == OPTION_LIST_MAX, "lists are copied whole");

#define AT(field)   offsetof(struct load_arguments, field)
#define LOAD(field) offsetof(struct load_arguments, load.field)

static const struct option options[] = {
    {"clients", OPTION_NUMBER, LOAD(clients), "N", .help = "connections that ask", .min = 1},
    {"in-flight", OPTION_NUMBER, LOAD(in_flight), "N",
     .help = "requests of each client at a time, on a lane", .min = 1},
    {"api-key", OPTION_TEXT, LOAD(api_key), "KEY", .help = "of a lane", .unset = "none",
     .secret = true},
    {"seconds", OPTION_SECONDS, LOAD(seconds), "S", .help = "how long"},
    {"rate", OPTION_NUMBER, LOAD(rate), "N",
     .help = "requests a second; latency counts from when one is due", .unset = "any"},
    {"rows", OPTION_NUMBERS, AT(rows), "LIST", .help = "rows of a request, like 1,16", .min = 1},
    {"layers", OPTION_NUMBERS, AT(layers), "LIST", .help = "the blocks to ask for", .unset = "all"},
    {"dtype", OPTION_TEXTS, AT(dtypes), "NAME", .help = "f32, f16 or bf16; may be repeated"},
    {"format", OPTION_TEXTS, AT(formats), "NAME", .help = "raw, json or kserve; may be repeated"},
    {"distinct", OPTION_NUMBER, LOAD(distinct), "N", .help = "different requests",
     .unset = "one a client"},
    {"header", OPTION_TEXTS, AT(headers), "'NAME: VALUE'",
     .help = "sent with every request; may be repeated", .secret = true},
    TRUST_OPTIONS(LOAD(trust)),
    {"get", OPTION_TEXT, LOAD(get), "PATH", .help = "GET this instead, without comparing",
     .unset = "no"},
    {"idle", OPTION_NUMBER, LOAD(idle), "N", .help = "more connections that say nothing"},
    {"slow", OPTION_NUMBER, LOAD(slow), "N", .help = "more connections that send a byte a second"},
    {"abandon", OPTION_NUMBER, LOAD(abandon_percent), "PERCENT",
     .help = "of the requests are cut off by their client"},
    {"spin-us", OPTION_NUMBER, LOAD(spin_us), "N",
     .help = "look so long for an answer before sleeping"},
    {"hidden", OPTION_NUMBER, LOAD(hidden), "N",
     .help = "width of a row, of a server that does not say", .unset = "the server's"},
    {"timeout-ms", OPTION_NUMBER, LOAD(timeout_ms), "N", .help = "patience for an answer",
     .min = 1},
    {"seed", OPTION_SEED, LOAD(seed), "N", .help = "of the rows"},
    {"json", OPTION_SWITCH, AT(json), NULL, .help = "one JSON object"},
};

static void set_defaults(void *arguments)
{
    struct load_arguments *a = arguments;

    moed_load_options_init(&a->load);
    a->rows = (struct option_numbers){.at = {1}, .n = 1};
    a->dtypes.at[a->dtypes.n++] = "f32";
    a->formats.at[a->formats.n++] = "raw";
}

static int read_dtypes(const struct option_texts *texts, struct moed_load_options *load,
                       struct moed_error *err)
{
    for (uint32_t i = 0; i < texts->n; i++) {
        int dtype = moed_dtype_parse(texts->at[i]);

        if (dtype < 0)
            return moed_fail(err, MOED_E_USAGE, "--dtype: expected f32, f16 or bf16, found \"%s\"",
                             texts->at[i]);
        load->dtypes[i] = (enum moed_dtype)dtype;
    }
    load->n_dtypes = texts->n;
    return 0;
}

static int read_formats(const struct option_texts *texts, struct moed_load_options *load,
                        struct moed_error *err)
{
    static const char *const names[MOED_LOAD_FORMATS] = {"raw", "json", "kserve"};

    for (uint32_t i = 0; i < texts->n; i++) {
        unsigned format = 0;

        while (format < MOED_LOAD_FORMATS && strcmp(names[format], texts->at[i]) != 0)
            format++;
        if (format == MOED_LOAD_FORMATS)
            return moed_fail(err, MOED_E_USAGE,
                             "--format: expected raw, json or kserve, found \"%s\"", texts->at[i]);
        load->formats[i] = (enum moed_load_format)format;
    }
    load->n_formats = texts->n;
    return 0;
}

static int read_arguments(struct load_arguments *a, struct moed_error *err)
{
    int status = read_dtypes(&a->dtypes, &a->load, err);

    if (status == 0)
        status = read_formats(&a->formats, &a->load, err);
    if (status == 0)
        status = value_check_headers(&a->headers, err);
    if (status == 0 && a->load.hidden > 0 && a->layers.n == 0)
        status = moed_fail(err, MOED_E_USAGE, "--hidden: expected --layers beside it");
    if (status == 0 && a->load.abandon_percent > 100)
        status = moed_fail(err, MOED_E_USAGE, "--abandon: expected up to 100 percent, found %u",
                           a->load.abandon_percent);
    memcpy(a->load.rows, a->rows.at, sizeof a->load.rows);
    memcpy(a->load.layers, a->layers.at, sizeof a->load.layers);
    memcpy(a->load.headers, a->headers.at, sizeof a->load.headers);
    a->load.n_headers = a->headers.n;
    a->load.n_rows = a->rows.n;
    a->load.n_layers = a->layers.n;
    return status;
}

static int run(const struct invocation *invocation, struct moed_error *err)
{
    struct load_arguments *a = invocation->arguments;
    struct moed_load_result *result;
    int status = read_arguments(a, err);

    if (status != 0)
        return status;
    result = moed_calloc(1, sizeof *result);
    if (result == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the measurements");
    a->load.url = invocation->operand;
    a->load.fill = rows_fill;
    status = moed_load_run(&a->load, result, err);
    if (status == 0) {
        moed_load_print(&a->load, result, a->json, stdout);
        status = moed_load_judge(result, err);
    }
    free(result);
    return status;
}

const struct command load_command = {
    .name = "load",
    .operand = "URL",
    .summary = "put a server under load: rates, latencies, answers compared",
    .details =
        "Learns the answer of each request while nobody else asks, then asks with all\n"
        "clients and compares every answer with it, bit for bit. \"added\" is what a\n"
        "request took beyond computing, by the server's Server-Timing. The exit status is 1\n"
        "when an answer differs, is broken or missing, or is none of 200, 429, 503 and 504,\n"
        "when none is 200, and when the server could not be connected to at some time.",
    .examples =
        "  moed load http://127.0.0.1:8080 --clients 32\n"
        "  moed load http://127.0.0.1:8080 --clients 2000 --rate 8000 --seconds 60\n"
        "  moed load http://127.0.0.1:8080 --clients 64 --rows 1,4,64 --dtype f32 --dtype f16\n"
        "  moed load https://moed.example --ca authority.pem --header 'X-API-Key: s3cret'\n"
        "  moed load unix:/run/moed.sock --format json --json\n"
        "  moed load lane:/run/moed.lane --clients 4 --in-flight 16 --dtype bf16\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct load_arguments),
    .defaults = set_defaults,
    .run = run,
};
