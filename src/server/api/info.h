/* info.h: what this server holds and accepts. */
#ifndef MOED_SERVER_INFO_H
#define MOED_SERVER_INFO_H

#include "engine.h"

struct request;

/* Prints the body of GET /v1/moe/info into the engine, once. */
int info_print(struct engine *engine, const struct moed_server_options *options,
               struct moed_error *err);
void info_get(struct request *request);

#endif
