/* lane.h: load over lanes (<moed/client.h>): a thread a client, each with its own lane. */
#ifndef MOED_LOAD_LANE_H
#define MOED_LOAD_LANE_H

#include "src/load/load.h"

/* Whether the URL is one of a lane. */
bool lane_is_url(const char *url);
/* moed_load_run for such a URL. */
int lane_run(const struct moed_load_options *options, struct moed_load_result *result,
             struct moed_error *err);

#endif
