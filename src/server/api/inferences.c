/* inferences.c: sums a layer, written and read on the loop. */
#include "inferences.h"

#include "forward.h"
#include "kserve.h"
#include "service.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct duration {
    uint64_t count, ns;
};

struct inferences {
    uint64_t rows, last_ms; /* since 1970; 0: none yet */
    double batches;
    struct duration success, fail, queue, read, compute, print;
};

int inferences_init(struct engine *engine, struct moed_error *err)
{
    engine->inferences = moed_calloc(engine->model->n_layers, sizeof *engine->inferences);
    return engine->inferences != NULL ? 0
                                      : moed_fail(err, MOED_E_NO_MEMORY, "no memory for counts");
}

static void add(struct duration *sum, uint64_t count, uint64_t ns)
{
    sum->count += count;
    sum->ns += ns;
}

static void add_success(struct inferences *sum, const struct forward *f, uint64_t ns)
{
    const struct moed_job *job = &f->job;

    sum->rows += job->rows;
    sum->last_ms = moed_wall_ms();
    /* Its part of the batches that it shared: over all requests, this makes whole ones. */
    if (job->batch_rows > 0)
        sum->batches += (double)job->rows / job->batch_rows;
    add(&sum->success, 1, ns);
    add(&sum->queue, 1, job->queue_ns);
    add(&sum->read, 1, f->read_ns);
    add(&sum->compute, 1, job->compute_ns);
    add(&sum->print, 1, f->print_ns);
}

void inferences_count(const struct request *request)
{
    const struct engine *engine = &service_of(request)->engine;
    const uint64_t ns = moed_now_ns() - request->started_ns;
    const struct forward *f;
    struct inferences *sum;

    if (!forward_is_of(request))
        return;
    f = forward_of(request);
    if (f->layer == NULL || request->reply.status == 0) /* no layer's; not all of it came */
        return;
    sum = &engine->inferences[f->layer - engine->model->layers];
    if (request->reply.code == 0)
        add_success(sum, f, ns);
    else
        add(&sum->fail, 1, ns);
}

static void add_sum(struct inferences *total, const struct inferences *sum)
{
    total->rows += sum->rows;
    total->batches += sum->batches;
    if (sum->last_ms > total->last_ms)
        total->last_ms = sum->last_ms;
    add(&total->success, sum->success.count, sum->success.ns);
    add(&total->fail, sum->fail.count, sum->fail.ns);
    add(&total->queue, sum->queue.count, sum->queue.ns);
    add(&total->read, sum->read.count, sum->read.ns);
    add(&total->compute, sum->compute.count, sum->compute.ns);
    add(&total->print, sum->print.count, sum->print.ns);
}

static void print_duration(FILE *out, const char *name, const struct duration *sum)
{
    fprintf(out, "\"%s\":{\"count\":%" PRIu64 ",\"ns\":%" PRIu64 "}", name, sum->count, sum->ns);
}

/* Triton's names; clients want as many of compute_* as of success. */
static void print_sum(FILE *out, const char *name, const struct inferences *sum)
{
    const struct {
        const char *name;
        const struct duration *sum;
    } durations[] = {
        {"success", &sum->success},       {"fail", &sum->fail},
        {"queue", &sum->queue},           {"compute_input", &sum->read},
        {"compute_infer", &sum->compute}, {"compute_output", &sum->print},
    };

    fprintf(out,
            "{\"name\":\"%s\",\"version\":\"1\",\"last_inference\":%" PRIu64
            ",\"inference_count\":%" PRIu64 ",\"execution_count\":%.0f,\"inference_stats\":{",
            name, sum->last_ms, sum->rows, round(sum->batches));
    for (size_t i = 0; i < MOED_ARRAY_LEN(durations); i++) {
        fputs(i > 0 ? "," : "", out);
        print_duration(out, durations[i].name, durations[i].sum);
    }
    fputs("},\"batch_stats\":[]}", out);
}

static void print_total(FILE *out, const struct engine *engine)
{
    struct inferences total = {0};

    for (uint32_t i = 0; i < engine->model->n_layers; i++)
        add_sum(&total, &engine->inferences[i]);
    print_sum(out, engine->alias, &total);
}

static void print_layer(FILE *out, const struct engine *engine, const struct moed_layer *layer)
{
    char name[KSERVE_NAME_MAX];

    kserve_layer_name(engine, layer->index, name);
    print_sum(out, name, &engine->inferences[layer - engine->model->layers]);
}

/* The model that the path names; all of them, if it names none. */
static void print(FILE *out, const struct request *request)
{
    const struct engine *engine = &service_of(request)->engine;
    const bool all = strchr(request->route->path, '{') == NULL;

    fputs("{\"model_stats\":[", out);
    if (request->has_path_layer)
        print_layer(out, engine, moed_model_layer(engine->model, request->path_layer));
    else
        print_total(out, engine);
    for (uint32_t i = 0; all && i < engine->model->n_layers; i++) {
        fputs(",", out);
        print_layer(out, engine, &engine->model->layers[i]);
    }
    fputs("]}\n", out);
}

void inferences_get(struct request *request)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool good = out != NULL;

    if (good) {
        print(out, request);
        good = ferror(out) == 0;
        good = fclose(out) == 0 && good;
    }
    if (good) {
        reply_take(request, "application/json", text, size);
    } else {
        free(text);
        reply_problem(request, MOED_E_NO_MEMORY, "no memory for the statistics");
    }
    request_answer(request);
}
