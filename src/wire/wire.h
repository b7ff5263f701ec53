/* wire: bytes <-> rows. Pure functions over buffers: no sockets, no model, no threads of its own.
 * JSON, base64 and raw bodies into a moed_request; results into bodies; problem+json. */
#ifndef MOED_WIRE_H
#define MOED_WIRE_H

#include "src/base/base.h"

#include "kernels/dtype.h"

enum moed_shared_mode { MOED_SHARED_INCLUDE, MOED_SHARED_EXCLUDE, MOED_SHARED_ONLY };
enum moed_block_mode { MOED_BLOCK_FFN, MOED_BLOCK_NORM_FFN, MOED_BLOCK_NORM_FFN_RESIDUAL };
/* What becomes of a row's slot whose expert this shard does not hold. */
enum moed_missing { MOED_MISSING_ERROR, MOED_MISSING_SKIP };
enum moed_encoding { MOED_ENCODING_ARRAY, MOED_ENCODING_BASE64, MOED_ENCODING_RAW };
enum moed_return { /* bits */
                   MOED_RETURN_OUTPUT = 1,
                   MOED_RETURN_ROUTING = 2,
                   MOED_RETURN_LOGITS = 4,
                   MOED_RETURN_TIMING = 8
};

/* A forward or route request after parsing. Buffers are owned unless said otherwise. */
struct moed_request {
    bool has_layer;
    uint32_t layer;
    uint32_t rows, hidden; /* n, H as found; a flat JSON row has rows 1; 0 rows: H of caller */
    enum moed_dtype dtype; /* of `data` */
    const void *data;      /* [n, H]; borrowed from the body for raw requests */
    bool routed;           /* the client chose the experts */
    uint32_t slots;        /* its k */
    int32_t *expert_ids;   /* [n, k] */
    float *expert_weights; /* [n, k] */
    uint32_t returns;      /* moed_return bits; OUTPUT unless asked otherwise */
    enum moed_block_mode block;
    enum moed_shared_mode shared;
    enum moed_missing on_missing;
    enum moed_dtype output_dtype;
    enum moed_encoding encoding; /* of the response */
    uint64_t deadline_ms;        /* 0: none asked for */
    void *owned;                 /* what `data` stands in, when not borrowed */
};

/* What the parser may not exceed and what a body must fit. */
struct moed_wire_limits {
    uint32_t hidden;   /* H of the layer, when the path named it; 0: any, checked by the caller */
    uint32_t max_rows; /* of one request */
    uint32_t max_slots;
    /* What a JSON body leaves unsaid: returns, block, shared, on_missing, output_dtype and
     * deadline_ms of this; NULL: as moed_request says. */
    const struct moed_request *defaults;
};

void moed_request_fini(struct moed_request *request);

/* ---- JSON (API.md, "JSON"); unknown fields, wrong types and shapes are refused by name ----
 * MOED_E_MALFORMED, MOED_E_SHAPE, MOED_E_TOO_LARGE, MOED_E_UNPROCESSABLE (numbers out of range),
 * MOED_E_NOT_FINITE (base64 rows; names the row). `body` is not NUL-terminated. */
int moed_wire_parse_json(const char *body, size_t size, const struct moed_wire_limits *limits,
                         struct moed_request *out, struct moed_error *err);

/* ---- raw (API.md, "Raw bytes") ---- */
/* One parameter by its API name ("dtype", "k", …) and text, from the query or an X-MoE-* header;
 * call for each before moed_wire_parse_raw. MOED_E_MALFORMED names it and what is accepted. */
struct moed_raw_params {
    struct moed_request request; /* filled as parameters come; start from moed_raw_params_init */
    bool topk, has_out_dtype;
    uint32_t given; /* which came already: a parameter that comes twice is refused */
};
void moed_raw_params_init(struct moed_raw_params *params);
int moed_raw_param(struct moed_raw_params *params, const char *name, const char *value,
                   struct moed_error *err);
/* n follows from the length and limits->hidden (required here). Rows stay in `body` (borrowed);
 * ids and weights are copied. Rows that are not finite: MOED_E_NOT_FINITE naming the row. */
int moed_wire_parse_raw(const void *body, size_t size, const struct moed_wire_limits *limits,
                        const struct moed_raw_params *params, struct moed_request *out,
                        struct moed_error *err);

/* ---- responses ---- */
struct moed_response {
    uint32_t layer, rows, hidden, experts, slots;
    enum moed_dtype dtype;     /* of output */
    const void *output;        /* [n, H], or NULL */
    const int32_t *expert_ids; /* [n, slots], or NULL */
    const float *expert_weights;
    const float *logits; /* [n, E], or NULL */
    bool timing;
    uint64_t queue_ns, compute_ns;
    uint32_t batch_rows;
    bool partial; /* tells missing_slots: those whose expert this shard does not hold */
    uint64_t missing_slots;
};
/* A body in a buffer that the caller frees. JSON floats parse back to the same float32.
 * MOED_E_NO_MEMORY; MOED_E_NOT_FINITE if an output is not finite and the encoding is ARRAY. */
int moed_wire_print_json(const struct moed_response *response, enum moed_encoding encoding,
                         char **out, size_t *size, struct moed_error *err);
/* Raw: output, then ids and weights, then logits, where not NULL. */
int moed_wire_print_raw(const struct moed_response *response, char **out, size_t *size,
                        struct moed_error *err);
/* Ends a printed document with a newline, which takes the place of its NUL; returns its size. */
size_t moed_wire_end_line(char *text);

/* problem+json for an error; `detail` is a moed_error's message, `request_id` may be NULL. For the
 * caller to free; without memory a fixed text, and NULL only if not even that can be had. */
char *moed_wire_print_problem(int code, const char *detail, const char *request_id, size_t *size);

/* ---- numbers ---- */
/* Parses one JSON number at *at, exactly rounded to float32; advances *at. MOED_E_MALFORMED, or
 * MOED_E_UNPROCESSABLE when it is out of float32's range. Does not depend on the locale. */
int moed_wire_read_f32(const char **at, const char *end, float *out);
/* Shortest decimal text that reads back to the same float32, as JSON; returns its length
 * (at most MOED_WIRE_F32_MAX). `value` must be finite. Not NUL-terminated. */
#define MOED_WIRE_F32_MAX 16
size_t moed_wire_write_f32(float value, char *out);

/* ---- base64 (RFC 4648, with padding) ---- */
size_t moed_base64_encoded_size(size_t size);
void moed_base64_encode(const void *data, size_t size, char *out);
/* `out` holds size / 4 * 3 bytes; false for a character or padding that is not allowed. */
bool moed_base64_decode(const char *text, size_t size, void *out, size_t *out_size);

/* ---- memory of JSON documents (cJSON) ---- */
/* Has what is built and read by cJSON remember that there was no memory; once, before there are
 * other threads. Without it moed_wire_ran_out() is always false. */
void moed_wire_watch_memory(void);
/* Whether cJSON got no memory on this thread since somebody asked last: a document has fields
 * missing then, and what could not be read is not malformed. */
bool moed_wire_ran_out(void);

#endif
