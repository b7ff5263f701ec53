/* health.h: is the process alive, is it ready: answered by the loop itself. */
#ifndef MOED_SERVER_HEALTH_H
#define MOED_SERVER_HEALTH_H

#include <stdbool.h>

struct request;
struct server;

void health_live(struct request *request);         /* 200 as long as the loop turns */
void health_ready(struct request *request);        /* 503 while loading or draining, or stuck */
bool health_is_ready(const struct server *server); /* whether health_ready() says 200 */

#endif
