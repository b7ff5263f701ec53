/* load: puts a server under load over HTTP and measures it: as many connections as asked for, one
 * thread, requests made beforehand, and every answer compared with the one that the same request
 * got when nobody else asked. */
#ifndef MOED_LOAD_H
#define MOED_LOAD_H

#include "src/client/client.h"
#include <stdio.h>

#include "kernels/dtype.h"
#include "kernels/random.h"

#define MOED_LOAD_LIST_MAX 16

enum moed_load_format { MOED_LOAD_RAW, MOED_LOAD_JSON, MOED_LOAD_KSERVE, MOED_LOAD_FORMATS };

struct moed_load_options {
    const char *url;                 /* "http://HOST:PORT[/PREFIX]", "https://…", "unix:PATH" or
                                        "lane:PATH" */
    struct moed_trust_options trust; /* of https */
    const char *get; /* GET this path instead of computing; such answers are not compared */
    uint32_t clients;
    double seconds;
    uint32_t rate;       /* requests a second, sent when they are due; 0: each client sends its next
                            request when it has the answer to the last */
    uint32_t in_flight;  /* requests of each client at a time; more than 1: lanes only */
    const char *api_key; /* of a lane; NULL: none */
    uint32_t spin_us;    /* look so long for an answer before sleeping */
    uint32_t distinct;   /* different requests; 0: enough for each client and each combination */
    uint32_t hidden;     /* width of a row, with `layers`: the server is not asked; 0: it is */
    uint32_t timeout_ms; /* patience for an answer */
    uint64_t seed;
    uint32_t abandon_percent; /* of the requests: their client hangs up in the midst of them */
    uint32_t idle, slow;      /* connections beside the clients: silent; sending a byte a second */

    /* The requests are all combinations of these. */
    uint32_t layers[MOED_LOAD_LIST_MAX], n_layers; /* 0: all that are served */
    uint32_t rows[MOED_LOAD_LIST_MAX], n_rows;
    enum moed_dtype dtypes[MOED_LOAD_LIST_MAX];
    uint32_t n_dtypes;
    enum moed_load_format formats[MOED_LOAD_LIST_MAX];
    uint32_t n_formats;
    const char *headers[MOED_LOAD_LIST_MAX]; /* "Name: value", sent with every request */
    uint32_t n_headers;

    /* Fills rows[n, hidden] with what hidden states look like. */
    void (*fill)(struct moed_random *random, float *rows, size_t n, size_t hidden);
};

/* 1 client, 1 row, raw f32, 10 seconds; `url` and `fill` are the caller's to set. */
void moed_load_options_init(struct moed_load_options *options);

/* Times in nanoseconds, in bins that are 1/128 of their value wide or less. */
#define MOED_LATENCY_BINS 7424
struct moed_latency {
    uint64_t count, max;
    uint64_t bins[MOED_LATENCY_BINS];
};
void moed_latency_add(struct moed_latency *latency, uint64_t ns);
/* The time that `share` of all do not exceed, by at most a bin's width too large; 0: there are
 * none. */
uint64_t moed_latency_at(const struct moed_latency *latency, double share);

#define MOED_LOAD_STATUSES 600
struct moed_load_result {
    double seconds, cpu_seconds; /* until the last answer; that this process used meanwhile */
    uint64_t status[MOED_LOAD_STATUSES]; /* answers */
    uint64_t rows;                       /* computed for answers of 200 */
    uint64_t compared, differ;           /* answers of 200; those unlike the first */
    uint64_t broken;                     /* no HTTP, or a connection that ended before its answer */
    uint64_t timed_out;                  /* no answer in time */
    uint64_t abandoned;                  /* on purpose */
    uint64_t late;                       /* due, and never sent since no client was free */
    uint64_t unreached;                  /* attempts to connect that failed */
    uint64_t connects;                   /* connections, without those at the start */
    struct moed_latency answered;        /* of 200; from the time a request was due */
    struct moed_latency queued, computed; /* what the server says of them (Server-Timing) */
    struct moed_latency added;            /* what they took beyond computing */
    struct moed_latency refused;          /* of all other statuses */
    uint32_t distinct, n_layers;
    struct moed_error first_fault;     /* of the first that differed or broke */
    struct moed_error first_unreached; /* why the first could not connect */
};

/* Runs; blocks for the time asked for and what it takes to learn the first answers. 0 with the
 * result filled, whatever the server answered. MOED_E_USAGE, MOED_E_IO where it cannot be reached,
 * or MOED_E_UNSUPPORTED where it answers a request alone with an error. */
int moed_load_run(const struct moed_load_options *options, struct moed_load_result *result,
                  struct moed_error *err);
/* Whether all answers were good: MOED_E_INTERNAL for different ones, broken ones, statuses that do
 * not stand for rows, overload or a deadline, for none at all, and for a server that could not be
 * connected to at some time. */
int moed_load_judge(const struct moed_load_result *result, struct moed_error *err);
void moed_load_print(const struct moed_load_options *options, const struct moed_load_result *result,
                     bool json, FILE *out);

#endif
