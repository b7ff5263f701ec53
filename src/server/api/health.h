/* health.h: is the process alive, is it ready: answered by the loop itself. */
#ifndef MOED_SERVER_HEALTH_H
#define MOED_SERVER_HEALTH_H

#include "src/base/base.h"

struct request;
struct service;

void health_live(struct request *request);  /* 200 as long as the loop turns */
void health_ready(struct request *request); /* 503 while loading or draining, or stuck */
/* 0; MOED_E_DEVICE, which only a new process mends; or MOED_E_STUCK: which worker has been at one
 * batch for longer than --watchdog-ms. */
int health_check(const struct service *service, struct moed_error *err);
bool health_is_ready(const struct service *service); /* whether health_ready() says 200 */

#endif
