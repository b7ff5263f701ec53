/* kserve: wire's second door: bodies of the Open Inference Protocol (KServe v2) with Triton's
 * binary tensor extension. Pure functions, like all of wire.
 *
 *   request   JSON, then the inputs that have a binary_data_size, in the order of "inputs"
 *   response  JSON, then the outputs that were asked for as binary, in the order of "outputs"
 *
 *   inputs    hidden_states FP32|FP16|BF16 [n,H]; expert_ids INT32 [n,k] and expert_weights FP32
 *             [n,k], both or none: the client's own routing
 *   outputs   output [n,H], of the hidden states' type unless output_dtype says otherwise;
 *             expert_ids INT32 [n,K]; expert_weights FP32 [n,K]
 *
 * The header Inference-Header-Content-Length says how long the JSON is. Sources: KServe's "Open
 * Inference Protocol", Triton's "Binary Tensor Data", "Parameters" and "Schedule Policy"
 * extensions. */
#ifndef MOED_KSERVE_H
#define MOED_KSERVE_H

#include "src/wire/wire.h"

enum moed_kserve_tensor { MOED_KSERVE_OUTPUT, MOED_KSERVE_IDS, MOED_KSERVE_WEIGHTS };
enum { MOED_KSERVE_OUTPUTS = 3 };

struct moed_kserve_output {
    enum moed_kserve_tensor tensor;
    bool binary; /* else numbers in the JSON */
};

/* What a request says beside its rows: how it wants to be answered. */
struct moed_kserve {
    char *id;           /* as it was spelled between its quotes; NULL: none. Owned */
    uint32_t n_outputs; /* in the order in which they were asked for; all, if none was named */
    struct moed_kserve_output outputs[MOED_KSERVE_OUTPUTS];
};
void moed_kserve_fini(struct moed_kserve *kserve);

/* A body and where its JSON ends. */
struct moed_kserve_body {
    char *data;
    size_t size, json_size;
};
#define MOED_KSERVE_NO_HEADER SIZE_MAX /* as json_size of a request: all of it is JSON */

/* With json_size 0 the body is nothing but FP32 rows, n follows from its length, and
 * limits->hidden is required. Rows that came as binary stay in the body (borrowed). Codes as of
 * moed_wire_parse_json; every message names the field, what was found and what was expected. After
 * a failure there is nothing to free. */
int moed_wire_parse_kserve(const struct moed_kserve_body *body,
                           const struct moed_wire_limits *limits, struct moed_request *out,
                           struct moed_kserve *kserve, struct moed_error *err);

/* The outputs that `kserve` lists, of the model `name` (plain text that needs no escape). What is
 * listed must be in the response. out->data is the caller's to free. MOED_E_NO_MEMORY;
 * MOED_E_NOT_FINITE if a number cannot be written in JSON. */
int moed_wire_print_kserve(const struct moed_response *response, const struct moed_kserve *kserve,
                           const char *name, struct moed_kserve_body *out, struct moed_error *err);

/* Whether an output is binary, so that the answer needs Inference-Header-Content-Length. */
bool moed_kserve_has_binary(const struct moed_kserve *kserve);

#endif
