/* fleet: what servers say of themselves in /v1/moe/info, and whether together they are one model:
 * every layer and expert somewhere, nothing twice in a sum, the same weights everywhere. */
#ifndef MOED_CLI_FLEET_H
#define MOED_CLI_FLEET_H

#include "src/model/rule.h"
#include <stdio.h>

#include "command.h"

struct fleet_layer {
    uint32_t layer, experts;
    uint64_t held[MOED_MAX_EXPERTS / 64]; /* a bit an expert */
    char fingerprint[96];
};

struct fleet_server {
    const char *url; /* borrowed */
    char name[64], arch[64];
    char computes[64];    /* "cpu avx512 int8": servers that differ in it round differently */
    double bytes;         /* of resident weights */
    uint32_t *moe_layers; /* of the whole model, ascending */
    uint32_t n_moe_layers;
    struct fleet_layer *layers; /* that it serves */
    uint32_t n_layers;
};

/* Fills `out` (all zeros but for its url) from the body of /v1/moe/info. MOED_E_MALFORMED with what
 * is missing. */
int fleet_read(const char *json, struct fleet_server *out, struct moed_error *err);
void fleet_server_fini(struct fleet_server *server);

/* Prints which layers and experts are where, layers that agree in one paragraph, and what is wrong.
 * Returns the number of faults. */
uint32_t fleet_report(const struct fleet_server *servers, uint32_t n, FILE *out);

#endif
