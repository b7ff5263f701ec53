/* bench_wire: what one row costs on its way through JSON: read as a request, printed as an
 * answer; beside it what cJSON and C's own functions take for the same numbers.
 * Usage: bench_wire [H] */
#include "src/wire/wire.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/random.h"

enum { RUNS = 301 };

/* One row in one spelling, and what became of it. */
struct bench {
    uint32_t hidden;
    float *row;
    char *body; /* {"hidden_states":[[…]]} */
    size_t size;
};

typedef void step_fn(struct bench *b);

static void die(const char *what)
{
    fprintf(stderr, "bench_wire: %s\n", what);
    exit(1);
}

static void read_ours(struct bench *b)
{
    const struct moed_wire_limits limits = {.hidden = b->hidden, .max_rows = 1};
    struct moed_request request;

    if (moed_wire_parse_json(b->body, b->size, &limits, &request, NULL) != 0 ||
        memcmp(request.data, b->row, b->hidden * sizeof(float)) != 0)
        die("the row was not read as it was written");
    moed_request_fini(&request);
}

static void print_ours(struct bench *b)
{
    const struct moed_response response = {.rows = 1, .hidden = b->hidden, .output = b->row};
    char *body = NULL;
    size_t size = 0;

    if (moed_wire_print_json(&response, MOED_ENCODING_ARRAY, &body, &size, NULL) != 0)
        die("the row was not printed");
    free(body);
}

static void read_cjson(struct bench *b)
{
    cJSON *parsed = cJSON_ParseWithLength(b->body, b->size);
    const cJSON *item;
    float last = 0;

    cJSON_ArrayForEach(item, cJSON_GetArrayItem(cJSON_GetObjectItem(parsed, "hidden_states"), 0))
    {
        last = (float)item->valuedouble;
    }
    if (last != b->row[b->hidden - 1])
        die("cJSON did not read the row");
    cJSON_Delete(parsed);
}

static void print_cjson(struct bench *b)
{
    cJSON *body = cJSON_CreateObject();
    char *text;

    cJSON_AddItemToObject(body, "output", cJSON_CreateFloatArray(b->row, (int)b->hidden));
    text = cJSON_PrintUnformatted(body);
    if (text == NULL)
        die("cJSON did not print the row");
    free(text);
    cJSON_Delete(body);
}

/* The numbers alone, by the C library. */
static void read_strtof(struct bench *b)
{
    const char *at = strchr(b->body, '[') + 2;

    for (uint32_t i = 0; i < b->hidden; i++) {
        char *end;

        if (strtof(at, &end) != b->row[i])
            die("strtof did not read the row");
        at = end + 1;
    }
}

static void print_snprintf(struct bench *b)
{
    char text[32];
    size_t size = 0;

    for (uint32_t i = 0; i < b->hidden; i++)
        size += (size_t)snprintf(text, sizeof(text), "%.9g,", (double)b->row[i]);
    if (size < b->hidden)
        die("snprintf did not print the row");
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Median of RUNS, in microseconds. */
static double median_us(step_fn *step, struct bench *b)
{
    uint64_t ns[RUNS];

    for (int i = 0; i < RUNS; i++) {
        const uint64_t start = moed_now_ns();

        step(b);
        ns[i] = moed_now_ns() - start;
    }
    qsort(ns, RUNS, sizeof(ns[0]), ascending);

    const uint64_t median = ns[RUNS / 2];

    return (double)median / 1000;
}

/* `digits` 0: our shortest text; otherwise as many significant digits as clients may write. */
static void write_body(struct bench *b, int digits)
{
    char *at = b->body;

    at += sprintf(at, "{\"hidden_states\":[[");
    for (uint32_t i = 0; i < b->hidden; i++) {
        if (digits == 0)
            at += moed_wire_write_f32(b->row[i], at);
        else
            at += sprintf(at, "%.*g", digits, (double)b->row[i]);
        *at++ = ',';
    }
    at += sprintf(at - 1, "]]}") - 1;
    b->size = (size_t)(at - b->body);
}

static void report(const char *text, struct bench *b)
{
    const double reading = median_us(read_ours, b), printing = median_us(print_ours, b);

    printf("%s, %u numbers, %zu bytes\n", text, b->hidden, b->size);
    printf("  %-10s read %7.1f us   print %7.1f us   both %7.1f us\n", "moed", reading, printing,
           reading + printing);
    printf("  %-10s read %7.1f us   print %7.1f us\n", "cJSON", median_us(read_cjson, b),
           median_us(print_cjson, b));
    printf("  %-10s read %7.1f us   print %7.1f us\n", "C library", median_us(read_strtof, b),
           median_us(print_snprintf, b));
}

int main(int argc, char **argv)
{
    struct bench b = {.hidden = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 2048};
    struct moed_random random;

    if (b.hidden == 0)
        die("usage: bench_wire [H], H > 0");
    b.row = moed_calloc(b.hidden, sizeof(float));
    b.body = moed_calloc((uint64_t)b.hidden + 2, 32);
    if (b.row == NULL || b.body == NULL)
        die("no memory");
    moed_random_seed(&random, 1);
    for (uint32_t i = 0; i < b.hidden; i++)
        b.row[i] = moed_random_gaussian(&random);
    write_body(&b, 0);
    report("shortest text", &b);
    write_body(&b, 17);
    report("17 digits, as Python and JavaScript print a double", &b);
    free(b.body);
    free(b.row);
    return 0;
}
