/* report.c: what was measured, for a person or for a program; and whether all was well. */
#include "src/load/load.h"

#include <inttypes.h>

static const struct {
    const char *name;
    double share;
} points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

struct named {
    const char *name;
    const struct moed_latency *latency;
};

enum { LATENCIES = 5 };

static void list_latencies(const struct moed_load_result *result, struct named out[LATENCIES])
{
    const struct named all[LATENCIES] = {{"latency", &result->answered},
                                         {"queue", &result->queued},
                                         {"compute", &result->computed},
                                         {"added", &result->added},
                                         {"refused", &result->refused}};

    for (size_t i = 0; i < LATENCIES; i++)
        out[i] = all[i];
}

static void print_latencies(const struct moed_load_result *result, FILE *out)
{
    struct named all[LATENCIES];

    fprintf(out, "%-10s", "ms");
    for (size_t i = 0; i < MOED_ARRAY_LEN(points); i++)
        fprintf(out, " %10s", points[i].name);
    fputc('\n', out);
    list_latencies(result, all);
    for (size_t i = 0; i < LATENCIES; i++) {
        if (all[i].latency->count == 0)
            continue;
        fprintf(out, "%-10s", all[i].name);
        for (size_t j = 0; j < MOED_ARRAY_LEN(points); j++)
            fprintf(out, " %10.3f",
                    (double)moed_latency_at(all[i].latency, points[j].share) * 1e-6);
        fputc('\n', out);
    }
}

static void print_statuses(const struct moed_load_result *result, FILE *out, const char *form)
{
    const char *comma = "";

    for (unsigned i = 0; i < MOED_LOAD_STATUSES; i++) {
        if (result->status[i] == 0)
            continue;
        fputs(comma, out);
        fprintf(out, form, i, result->status[i]);
        comma = ", ";
    }
}

static void print_text(const struct moed_load_options *options,
                       const struct moed_load_result *result, FILE *out)
{
    const double answers = (double)result->answered.count;

    fprintf(out, "%s: %u client%s, ", options->url, options->clients,
            options->clients == 1 ? "" : "s");
    if (options->rate > 0)
        fprintf(out, "%u requests a second", options->rate);
    else
        fputs("each sends when it has its answer", out);
    fprintf(out, ", %g s, %u different request%s\n", options->seconds, result->distinct,
            result->distinct == 1 ? "" : "s");
    fprintf(out, "%.1f requests/s  %.1f rows/s  %.2f of a core used here\n",
            answers / result->seconds, (double)result->rows / result->seconds,
            result->cpu_seconds / result->seconds);
    fputs("status     ", out);
    print_statuses(result, out, "%u: %" PRIu64);
    fprintf(out,
            "\nno answer  broken: %" PRIu64 ", timed out: %" PRIu64 ", never sent: %" PRIu64
            ", abandoned: %" PRIu64 ", connected again: %" PRIu64 ", could not connect: %" PRIu64
            "\n",
            result->broken, result->timed_out, result->late, result->abandoned, result->connects,
            result->unreached);
    print_latencies(result, out);
    fprintf(out, "%" PRIu64 " answers compared with the first ones, %" PRIu64 " differ\n",
            result->compared, result->differ);
}

static void print_json(const struct moed_load_options *options,
                       const struct moed_load_result *result, FILE *out)
{
    struct named all[LATENCIES];

    fprintf(out,
            "{\"clients\":%u,\"rate\":%u,\"seconds\":%.6g,\"distinct\":%u,\"requests_per_s\":%.6g,"
            "\"rows_per_s\":%.6g,\"cores\":%.3f,\"status\":{",
            options->clients, options->rate, result->seconds, result->distinct,
            (double)result->answered.count / result->seconds,
            (double)result->rows / result->seconds, result->cpu_seconds / result->seconds);
    print_statuses(result, out, "\"%u\":%" PRIu64);
    fprintf(out,
            "},\"broken\":%" PRIu64 ",\"timed_out\":%" PRIu64 ",\"late\":%" PRIu64
            ",\"abandoned\":%" PRIu64 ",\"connects\":%" PRIu64 ",\"unreached\":%" PRIu64
            ",\"compared\":%" PRIu64 ",\"differ\":%" PRIu64,
            result->broken, result->timed_out, result->late, result->abandoned, result->connects,
            result->unreached, result->compared, result->differ);
    list_latencies(result, all);
    for (size_t i = 0; i < LATENCIES; i++) {
        fprintf(out, ",\"%s_ms\":{", all[i].name);
        for (size_t j = 0; j < MOED_ARRAY_LEN(points); j++)
            fprintf(out, "%s\"%s\":%.6g", j == 0 ? "" : ",", points[j].name,
                    (double)moed_latency_at(all[i].latency, points[j].share) * 1e-6);
        fputc('}', out);
    }
    fputs("}\n", out);
}

void moed_load_print(const struct moed_load_options *options, const struct moed_load_result *result,
                     bool json, FILE *out)
{
    if (json)
        print_json(options, result, out);
    else
        print_text(options, result, out);
}

/* Statuses that an overloaded or leaving server may give. */
static bool is_expected(unsigned status)
{
    return status == 200 || status == 429 || status == 503 || status == 504;
}

int moed_load_judge(const struct moed_load_result *result, struct moed_error *err)
{
    if (result->differ > 0 || result->broken > 0)
        return moed_fail(err, MOED_E_INTERNAL,
                         "%" PRIu64 " answers differ and %" PRIu64 " are broken; the first: %.600s",
                         result->differ, result->broken, result->first_fault.message);
    if (result->timed_out > 0)
        return moed_fail(err, MOED_E_INTERNAL, "%" PRIu64 " requests were not answered in time",
                         result->timed_out);
    if (result->unreached > 0)
        return moed_fail(err, MOED_E_INTERNAL,
                         "%" PRIu64 " attempts to connect failed; the first: %.600s",
                         result->unreached, result->first_unreached.message);
    for (unsigned i = 0; i < MOED_LOAD_STATUSES; i++)
        if (result->status[i] > 0 && !is_expected(i))
            return moed_fail(err, MOED_E_INTERNAL,
                             "expected answers of 200, 429, 503 and 504, found %" PRIu64 " of %u",
                             result->status[i], i);
    if (result->status[200] == 0)
        return moed_fail(err, MOED_E_INTERNAL, "not one request was answered with 200");
    return 0;
}
