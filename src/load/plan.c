/* plan.c: makes the requests of a run and learns their answers. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DISTINCT_MAX = 4096,     /* chosen for them, not by them */
    BYTES_MAX = 256 << 20,   /* likewise: of rows */
    REFUSED_TIMES_MAX = 250, /* a server under somebody else's load may refuse so often */
    REFUSED_PAUSE_NS = 20000000
};

/* As many as make each combination and give each client rows of its own, within a bound on
 * memory. */
static uint32_t choose_count(const struct plan *plan)
{
    const struct moed_load_options *o = plan->options;
    uint64_t combinations = (uint64_t)plan->n_layers * o->n_rows * o->n_dtypes * o->n_formats;
    uint64_t largest = 1, n = combinations;

    if (o->distinct > 0)
        return o->distinct;
    for (uint32_t i = 0; i < o->n_rows; i++)
        for (uint32_t j = 0; j < plan->n_layers; j++)
            if ((uint64_t)o->rows[i] * plan->hidden[j] * sizeof(float) > largest)
                largest = (uint64_t)o->rows[i] * plan->hidden[j] * sizeof(float);
    while (n < o->clients && (n + combinations) * largest <= BYTES_MAX)
        n += combinations;
    return n < DISTINCT_MAX ? (uint32_t)n : DISTINCT_MAX;
}

/* Request `i` is one of all combinations, the layer changing fastest. */
static int make_request(const struct plan *plan, uint32_t i, struct moed_random *random,
                        struct planned *out, struct moed_error *err)
{
    const struct moed_load_options *o = plan->options;
    float *rows;
    int rc;

    out->layer = plan->layers[i % plan->n_layers];
    out->hidden = plan->hidden[i % plan->n_layers];
    i /= plan->n_layers;
    out->rows = o->rows[i % o->n_rows];
    i /= o->n_rows;
    out->dtype = o->dtypes[i % o->n_dtypes];
    i /= o->n_dtypes;
    out->format = o->formats[i % o->n_formats];
    rows = moed_aligned_alloc((uint64_t)out->rows * out->hidden, sizeof(float));
    if (rows == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a request of %u rows", out->rows);
    o->fill(random, rows, out->rows, out->hidden);
    rc = plan_write_forward(plan, rows, out, err);
    free(rows);
    return rc;
}

static int make_requests(struct plan *plan, struct moed_error *err)
{
    struct moed_random random;
    int rc = 0;

    plan->n = plan->options->get != NULL ? 1 : choose_count(plan);
    plan->requests = moed_calloc(plan->n, sizeof *plan->requests);
    if (plan->requests == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u requests", plan->n);
    if (plan->options->get != NULL)
        return plan_write_get(plan, plan->options->get, &plan->requests[0], err);
    moed_random_seed(&random, plan->options->seed);
    for (uint32_t i = 0; rc == 0 && i < plan->n; i++)
        rc = make_request(plan, i, &random, &plan->requests[i], err);
    return rc;
}

static bool is_refusal(unsigned status)
{
    return status == 429 || status == 503 || status == 504;
}

/* Asks alone, and again where the server is busy with others. */
static int learn(struct moed_asker *asker, struct planned *request, bool compare,
                 struct moed_error *err)
{
    const struct timespec pause = {.tv_nsec = REFUSED_PAUSE_NS};
    struct moed_asked answer;
    char what[96];
    int rc = moed_asker_ask(asker, request->bytes, request->size, &answer, err);

    for (int times = 1; rc == 0 && is_refusal(answer.status) && times < REFUSED_TIMES_MAX;
         times++) {
        free(answer.body);
        nanosleep(&pause, NULL);
        rc = moed_asker_ask(asker, request->bytes, request->size, &answer, err);
    }
    if (rc == 0 && answer.status != 200)
        rc = moed_fail(err, MOED_E_UNSUPPORTED, "expected 200, found %u: %.300s", answer.status,
                       answer.body);
    if (rc != 0)
        moed_error_prefix(err, "%s", planned_describe(request, what));
    if (rc == 0 && compare) {
        request->expected = answer.body;
        request->expected_size = answer.size;
    } else {
        free(answer.body);
    }
    return rc;
}

static int learn_all(struct plan *plan, struct moed_error *err)
{
    struct moed_asker asker;
    int rc = 0;

    moed_asker_init(&asker, &plan->url, plan->trust, plan->options->timeout_ms);
    for (uint32_t i = 0; rc == 0 && i < plan->n; i++)
        rc = learn(&asker, &plan->requests[i], plan->options->get == NULL, err);
    plan->address = asker.address;
    moed_asker_fini(&asker);
    return rc;
}

int plan_init(struct plan *plan, const struct moed_load_options *options, struct moed_error *err)
{
    int rc = moed_url_parse(options->url, &plan->url, err);
    size_t prefix = strlen(plan->url.path);

    if (prefix > 0 && plan->url.path[prefix - 1] == '/')
        plan->url.path[prefix - 1] = '\0';
    plan->options = options;
    if (rc == 0 && plan->url.is_tls)
        rc = moed_trust_create(&options->trust, &plan->trust, err);
    if (rc == 0 && options->get == NULL)
        rc = plan_find_layers(plan, err);
    if (rc == 0)
        rc = make_requests(plan, err);
    return rc != 0 ? rc : learn_all(plan, err);
}

void plan_fini(struct plan *plan)
{
    for (uint32_t i = 0; plan->requests != NULL && i < plan->n; i++) {
        free(plan->requests[i].bytes);
        free(plan->requests[i].expected);
    }
    free(plan->requests);
    free(plan->layers);
    free(plan->hidden);
    moed_trust_destroy(plan->trust);
    *plan = (struct plan){0};
}

const char *planned_describe(const struct planned *planned, char out[96])
{
    static const char *const formats[] = {"raw", "json", "kserve"};

    if (planned->rows == 0)
        snprintf(out, 96, "GET");
    else
        snprintf(out, 96, "layer %u, %u row%s of %s, %s", planned->layer, planned->rows,
                 planned->rows == 1 ? "" : "s", moed_dtype_name(planned->dtype),
                 formats[planned->format]);
    return out;
}
