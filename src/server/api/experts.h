/* experts.h: load statistics. */
#ifndef MOED_SERVER_EXPERTS_H
#define MOED_SERVER_EXPERTS_H

struct request;

void experts_get(struct request *request);
void experts_delete(struct request *request);

#endif
