/* kserve.h: the Open Inference Protocol's models and documents. The whole model is one of them,
 * whose requests name the layer, and so is each served layer, as "NAME.layerL". Either has a second
 * name that ends in ".routed" and shows the inputs of the caller's own routing. */
#ifndef MOED_SERVER_KSERVE_H
#define MOED_SERVER_KSERVE_H

#include "engine.h"

struct request;
struct route_match;

enum { KSERVE_NAME_MAX = 128 };

/* A model's name with '-' for all but letters, digits, '.', '_' and '-': what it is called here,
 * though its own name is understood too, where a path can hold it. */
void kserve_alias(const char *name, char *out, size_t size);
/* Finds the model and the version of a path and leaves the layer in the request; MOED_E_NOT_FOUND,
 * and MOED_E_NOT_SERVED as engine_layer. */
int kserve_find(struct request *request, const struct route_match *match, struct moed_error *err);
/* What a layer is called, and what the path of the request calls its model. Any thread that has
 * the request. */
void kserve_layer_name(const struct engine *engine, uint32_t layer, char out[KSERVE_NAME_MAX]);
void kserve_name(const struct request *request, char out[KSERVE_NAME_MAX]);

void kserve_server(struct request *request); /* GET /v2 */
void kserve_model(struct request *request);  /* GET /v2/models/{M} */
void kserve_config(struct request *request); /* GET /v2/models/{M}/config */
void kserve_index(struct request *request);  /* POST /v2/repository/index */

#endif
