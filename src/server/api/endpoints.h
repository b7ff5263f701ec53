/* endpoints.h: the table of endpoints. */
#ifndef MOED_SERVER_ENDPOINTS_H
#define MOED_SERVER_ENDPOINTS_H

#include "src/server/http/routes.h"

extern const struct route_table endpoints;

#endif
