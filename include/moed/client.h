/* client: libmoed-client, which asks a moed server for MoE layers. Version 1 reaches servers of the
 * same host through shared memory ("lane:PATH", <moed/lane.h>).
 *
 *     struct moed_client *client;
 *     struct moed_error err;
 *     struct moed_call call = {.layer = 3, .rows = 4, .hidden = in, .output = out};
 *     if (moed_client_open("lane:/run/moed.lane", NULL, &client, &err) != 0 ||
 *         moed_client_forward(client, &call, &err) != 0)
 *         fprintf(stderr, "%s\n", err.message);
 *     moed_client_close(client);
 *
 * Threads: all functions of one client may be called by any thread at any time, but for open and
 * close. A client must not be used after fork() by the child. Letters: rows T, hidden size H,
 * experts E, experts a row K. */
#ifndef MOED_CLIENT_H
#define MOED_CLIENT_H

#include <moed/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct moed_client; /* one connection, with many requests in flight */

struct moed_client_options { /* zeros: the defaults */
    size_t size;             /* sizeof(struct moed_client_options) */
    const char *api_key;     /* NULL: none */
    uint32_t slots;          /* requests in flight; 0: as many as the server gives */
    uint32_t max_rows;       /* of one request, f32 both ways with routing and logits; 0: 512 */
    uint32_t spin_us;        /* look so long for an answer before sleeping; 0: sleep at once */
    uint32_t timeout_ms;     /* of opening, and of a call; 0: 30000 */
};

struct moed_client_layer {
    uint32_t layer, hidden, experts, used; /* block number, H, E, K */
};

/* Numbers of rows: in and out. */
enum moed_client_dtype { MOED_CLIENT_F32, MOED_CLIENT_F16, MOED_CLIENT_BF16 };

/* As "block", "shared_experts" and "on_missing_expert" of the HTTP interface (deploy/API.md). */
enum moed_call_flags {
    MOED_CALL_NO_SHARED = 1,
    MOED_CALL_ONLY_SHARED = 2,
    MOED_CALL_NORM = 4,
    MOED_CALL_RESIDUAL = 8, /* with NORM */
    MOED_CALL_SKIP_MISSING = 16
};

/* What moed_client_place() makes room for. */
enum moed_call_wants { MOED_WANT_OUTPUT = 1, MOED_WANT_ROUTING = 2, MOED_WANT_LOGITS = 4 };

/* A request and its answer: what it points to is the caller's and stays until it is answered. */
struct moed_call {
    size_t size;    /* sizeof(struct moed_call), or 0 for the same */
    uint32_t layer; /* a block number */
    uint32_t rows;  /* T */
    uint32_t flags; /* moed_call_flags */
    enum moed_client_dtype hidden_dtype, output_dtype;
    uint32_t deadline_us;  /* after which the answer is of no use; 0: the server's default */
    const void *hidden;    /* [T, H] */
    void *output;          /* [T, H]; NULL: the routing alone is asked for */
    uint32_t experts;      /* K of supplied routing, or 0: the router chooses */
    const int32_t *ids;    /* [T, experts], -1 skips; with experts > 0 */
    const float *weights;  /* [T, experts] */
    int32_t *chosen_ids;   /* [T, K] of the router; NULL: not wanted */
    float *chosen_weights; /* [T, K]; wanted together with the ids */
    float *logits;         /* [T, E]; NULL: not wanted */

    /* Set by the answer: */
    uint64_t queue_ns, compute_ns; /* that the server spent */
    uint32_t batch_rows;           /* of the batch that the rows were computed in */
    uint64_t missing_slots;        /* with SKIP_MISSING */

    uint32_t slot; /* the library's own */
    bool placed;
};

/* `url` is "lane:PATH". MOED_E_USAGE, MOED_E_IO where nobody is there, MOED_E_UNAUTHORIZED,
 * MOED_E_LOADING and MOED_E_DRAINING (try again), MOED_E_UNSUPPORTED (another version),
 * MOED_E_NO_MEMORY, MOED_E_QUEUE_FULL (the server's memory for lanes is taken). */
MOED_API int moed_client_open(const char *url, const struct moed_client_options *options,
                              struct moed_client **out, struct moed_error *err);
/* Gives up what is in flight. NULL is fine. */
MOED_API void moed_client_close(struct moed_client *client);

/* The layers that the server has, in order; borrowed until close. */
MOED_API const struct moed_client_layer *moed_client_layers(const struct moed_client *client,
                                                            uint32_t *n);
/* The server's description: the JSON of GET /v1/moe/info, NUL-terminated; borrowed until close. */
MOED_API const char *moed_client_info(const struct moed_client *client);
/* Requests that may be in flight at a time. */
MOED_API uint32_t moed_client_slots(const struct moed_client *client);

/* Sends a call; where all slots are in flight, waits for one. MOED_E_NOT_SERVED (the layer),
 * MOED_E_TOO_LARGE (more rows than a slot takes), MOED_E_DEADLINE (no slot within timeout_ms),
 * MOED_E_IO (the server is gone). */
MOED_API int moed_client_submit(struct moed_client *client, struct moed_call *call,
                                struct moed_error *err);
/* Whether a call that was submitted has its answer, so that wait returns at once. */
MOED_API bool moed_client_poll(struct moed_client *client, const struct moed_call *call);
/* Waits for the answer of a call and takes it; once for each submit. The server's error, in its
 * words; MOED_E_DEADLINE (nothing within timeout_ms, after which the client is of no more use);
 * MOED_E_IO (the server is gone without an answer). */
MOED_API int moed_client_wait(struct moed_client *client, struct moed_call *call,
                              struct moed_error *err);
/* Rows and answers without a copy: takes a slot of shared memory for a call whose layer, rows,
 * flags, types and supplied routing are set, and points `hidden`, and what moed_call_wants names of
 * output, chosen_ids, chosen_weights and logits, into it. Write the rows to *hidden, submit, wait,
 * read the answer where it is; as often as you like, until release gives the slot back. Rows stay
 * as they were written. The errors of submit. */
MOED_API int moed_client_place(struct moed_client *client, struct moed_call *call, uint32_t wants,
                               void **hidden, struct moed_error *err);
/* Gives back the slot of a call that was placed and is not in flight. */
MOED_API void moed_client_release(struct moed_client *client, struct moed_call *call);
/* Submits and waits. */
MOED_API int moed_client_forward(struct moed_client *client, struct moed_call *call,
                                 struct moed_error *err);

#ifdef __cplusplus
}
#endif
#endif
