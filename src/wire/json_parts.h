/* json_parts: what the readers of a JSON request's fields share. */
#ifndef MOED_WIRE_JSON_PARTS_H
#define MOED_WIRE_JSON_PARTS_H

#include "json_rows.h"

struct json_parts {
    const struct moed_wire_limits *limits;
    struct moed_request *request;
    struct json_rows ids, weights; /* of routing; given to the request at the end */
};

/* ---- json_fields for `read`; context is a struct json_parts ---- */
int json_read_hidden(struct json_scan *s, void *context);
int json_read_routing(struct json_scan *s, void *context);

/* ---- json_fields for `value`, likewise (json_options.c) ---- */
int json_get_layer(const cJSON *value, void *context, struct moed_error *err);
int json_get_block(const cJSON *value, void *context, struct moed_error *err);
int json_get_shared(const cJSON *value, void *context, struct moed_error *err);
int json_get_missing(const cJSON *value, void *context, struct moed_error *err);
int json_get_output_dtype(const cJSON *value, void *context, struct moed_error *err);
int json_get_deadline(const cJSON *value, void *context, struct moed_error *err);

/* ---- small values; `name` is the field's, with its path ---- */
int json_get_u32(const cJSON *value, const char *name, uint32_t *out, struct moed_error *err);
int json_get_choice(const cJSON *value, const char *name, const char *const *names, unsigned *out,
                    struct moed_error *err);
const char *json_kind_of(const cJSON *value);

#endif
