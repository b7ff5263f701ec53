/* lane: moed's shared-memory interface for clients of the same host, version 1: all that a client
 * in any language needs beside deploy/LANE.md, which has the protocol step by step. libmoed-client
 * (<moed/client.h>) is one such client.
 *
 * The memory holds struct moed_lane at 0 and slot i at slots_at + i * slot_stride: a struct
 * moed_lane_slot, followed by slot_bytes for arrays. Numbers are little-endian; those that both
 * sides write are atomic. Sizes and offsets are in bytes. Letters: rows T, hidden size H, experts
 * E, experts a row K. */
#ifndef MOED_LANE_H
#define MOED_LANE_H

#include <stdint.h>

#define MOED_LANE_MAGIC      UINT64_C(0x454e414c44454f4d) /* "MOEDLANE" */
#define MOED_LANE_VERSION    1u
#define MOED_LANE_MAX_SLOTS  256u
#define MOED_LANE_KEY_BYTES  264
#define MOED_LANE_ALIGNMENT  64u /* of each array in a slot */
#define MOED_LANE_TEXT_BYTES 512

/* The handshake, from the client and from the server. */
struct moed_lane_hello {
    uint64_t magic;
    uint32_t version;
    uint32_t slots;      /* wanted; 0: the server's --lane-slots, which is also the most */
    uint64_t slot_bytes; /* wanted for the arrays of one request, both ways */
    char key[MOED_LANE_KEY_BYTES]; /* NUL-terminated API key, or empty */
};

struct moed_lane_welcome {
    uint64_t magic;
    uint32_t version;
    int32_t status; /* 0, or an error's number (<moed/error.h>) */
    uint32_t slots, reserved;
    uint64_t slot_bytes, slot_stride, slots_at, size;
    char message[MOED_LANE_TEXT_BYTES]; /* why the status is not 0 */
};

struct moed_lane {  /* written by: */
    uint64_t magic; /* the server, once */
    uint32_t version, slots;
    uint64_t slot_bytes, slot_stride, slots_at;
    uint32_t submitted __attribute__((aligned(64))); /* the client */
    uint32_t asleep __attribute__((aligned(64)));    /* both: 1 when a byte must wake the server */
    uint32_t answered __attribute__((aligned(64)));  /* the server: a futex */
    uint32_t waits __attribute__((aligned(64)));     /* the client: 1 futex, 2 socket, 0 neither */
    uint32_t queue[MOED_LANE_MAX_SLOTS] __attribute__((aligned(64))); /* the client */
};

enum moed_lane_kind {
    MOED_LANE_FORWARD = 1, /* outputs; routing and logits if flagged */
    MOED_LANE_ROUTE = 2,   /* routing, logits if flagged, no outputs */
    MOED_LANE_INFO = 3     /* the arrays hold the JSON of GET /v1/moe/info, `bytes` of it */
};

enum moed_lane_dtype { MOED_LANE_F32, MOED_LANE_F16, MOED_LANE_BF16 };

enum moed_lane_flags {
    MOED_LANE_NO_SHARED = 1,     /* "shared_experts": "exclude" */
    MOED_LANE_ONLY_SHARED = 2,   /* "only" */
    MOED_LANE_NORM = 4,          /* "block": "norm_ffn" */
    MOED_LANE_RESIDUAL = 8,      /* with NORM: "norm_ffn_residual" */
    MOED_LANE_SKIP_MISSING = 16, /* "on_missing_expert": "skip" */
    MOED_LANE_WANT_ROUTING = 32, /* ids and weights that the router chose */
    MOED_LANE_WANT_LOGITS = 64   /* of the router */
};

enum moed_lane_state { MOED_LANE_FREE, MOED_LANE_SUBMITTED, MOED_LANE_ANSWERED };

struct moed_lane_request {
    uint32_t kind, layer; /* layer: a block number that the server serves */
    uint32_t rows;        /* T */
    uint32_t experts;     /* K of supplied routing; 0: the router chooses */
    uint32_t flags;
    uint32_t hidden_dtype, output_dtype;
    uint32_t deadline_us; /* from when the server sees it; 0: --default-deadline-ms */
    uint64_t id;          /* the client's own, for the server's log */
};

struct moed_lane_answer {
    int32_t status;   /* 0, or an error's number; then `message` says why */
    uint32_t experts; /* K of the routing that follows */
    uint32_t batch_rows, reserved;
    uint64_t queue_ns, compute_ns;
    uint64_t missing_slots; /* with SKIP_MISSING: left out, served elsewhere */
    uint64_t bytes;         /* of all arrays of the answer */
    char message[MOED_LANE_TEXT_BYTES - 128];
};

struct moed_lane_slot {
    struct moed_lane_request request __attribute__((aligned(64)));
    uint32_t state __attribute__((aligned(64)));
    struct moed_lane_answer answer;
};

/* Where the arrays of a request stand behind its slot: row-major, in this order, each at the next
 * multiple of MOED_LANE_ALIGNMENT; `size` is what all need. Absent arrays take nothing. */
struct moed_lane_arrays {
    uint64_t hidden;               /* [T, H] of hidden_dtype */
    uint64_t ids, weights;         /* [T, experts] int32 and float: supplied routing; id -1 skips */
    uint64_t output;               /* [T, H] of output_dtype, but for ROUTE */
    uint64_t out_ids, out_weights; /* [T, K]: with WANT_ROUTING, and for ROUTE */
    uint64_t logits;               /* [T, E] float, with WANT_LOGITS */
    uint64_t size;
};
static inline uint64_t moed_lane_place(uint64_t *at, uint64_t bytes)
{
    const uint64_t place = *at;

    *at += (bytes + MOED_LANE_ALIGNMENT - 1) / MOED_LANE_ALIGNMENT * MOED_LANE_ALIGNMENT;
    return place;
}

/* H, K and E are the layer's. */
static inline struct moed_lane_arrays moed_lane_layout(const struct moed_lane_request *request,
                                                       uint32_t hidden, uint32_t used,
                                                       uint32_t experts)
{
    const uint64_t rows = request->rows;
    const int route = request->kind == MOED_LANE_ROUTE;
    const int routing = (request->flags & MOED_LANE_WANT_ROUTING) != 0 || route;
    const uint64_t in = request->hidden_dtype == MOED_LANE_F32 ? 4 : 2;
    const uint64_t out = request->output_dtype == MOED_LANE_F32 ? 4 : 2;
    const uint64_t supplied = rows * request->experts * 4;
    const uint64_t chosen = routing && request->experts == 0 ? rows * used * 4 : 0;
    struct moed_lane_arrays arrays;
    uint64_t at = 0;

    arrays.hidden = moed_lane_place(&at, rows * hidden * in);
    arrays.ids = moed_lane_place(&at, supplied);
    arrays.weights = moed_lane_place(&at, supplied);
    arrays.output = moed_lane_place(&at, route ? 0 : rows * hidden * out);
    arrays.out_ids = moed_lane_place(&at, chosen);
    arrays.out_weights = moed_lane_place(&at, chosen);
    arrays.logits = moed_lane_place(
        &at, (request->flags & MOED_LANE_WANT_LOGITS) != 0 ? rows * experts * 4 : 0);
    arrays.size = at;
    return arrays;
}

#endif
