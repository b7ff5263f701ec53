/* describe: what inspect, bench and verify say about a layer. */
#ifndef MOED_CLI_DESCRIBE_H
#define MOED_CLI_DESCRIBE_H

#include "src/model/model.h"

/* "Q4_K/Q4_K/Q6_K": types of gate, up and down of the routed experts; without gate where they are
 * ungated. */
void describe_types(const struct moed_layer *layer, char *out, size_t size);
/* The different describe_types of the model's served layers, with spaces between. */
void describe_all_types(const struct moed_model *model, char *out, size_t size);
/* Multiplications and additions of a row: router, K routed experts, the shared one. */
double describe_flops(const struct moed_layer *layer);

#endif
