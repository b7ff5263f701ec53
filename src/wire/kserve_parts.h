/* kserve_parts: what the readers of a KServe request share. */
#ifndef MOED_WIRE_KSERVE_PARTS_H
#define MOED_WIRE_KSERVE_PARTS_H

#include "src/wire/kserve.h"

#include "json_parts.h"

/* Whether the client said how it wants an output. */
enum kserve_form { KSERVE_UNSAID, KSERVE_TEXT, KSERVE_BINARY };

struct kserve_parts {
    struct json_parts json; /* first: a reader of its fields may be given ours */
    struct moed_kserve *kserve;
    struct moed_cursor blobs;                    /* behind the JSON, not taken for an input yet */
    uint32_t inputs;                             /* bits by kserve_name: those that came */
    enum kserve_form forms[MOED_KSERVE_OUTPUTS]; /* of kserve->outputs */
    enum kserve_form form;                       /* of those that are unsaid */
    uint64_t timeout_ms;
};

/* As clients write them; NULL ends a list. Types of floats stand in the order of enum moed_dtype.
 */
enum { KSERVE_INT32 = MOED_DTYPE_COUNT };
extern const char *const kserve_datatypes[];
enum kserve_name { KSERVE_HIDDEN, KSERVE_IDS, KSERVE_WEIGHTS };
extern const char *const kserve_inputs[];

/* ---- json_fields for `read`; context is a struct kserve_parts ---- */
int kserve_read_inputs(struct json_scan *s, void *context);
int kserve_read_outputs(struct json_scan *s, void *context);
/* And one for `value`. */
int kserve_get_binary_output(const cJSON *value, void *context, struct moed_error *err);

/* When all is read: settles which outputs are wanted and how. */
void kserve_settle_outputs(struct kserve_parts *parts);

#endif
