/* inferences.h: what was asked of each layer and how long it took: KServe's statistics, which count
 * every request with rows, whatever its format. */
#ifndef MOED_SERVER_INFERENCES_H
#define MOED_SERVER_INFERENCES_H

#include "engine.h"

struct request;

/* The engine's, for each layer that it serves. */
int inferences_init(struct engine *engine, struct moed_error *err);
/* A request has ended. On the loop. */
void inferences_count(const struct request *request);

/* GET /v2/models/stats and /v2/models/{M}/stats */
void inferences_get(struct request *request);

#endif
