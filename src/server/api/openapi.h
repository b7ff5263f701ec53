/* openapi.h: the description of the HTTP interface. */
#ifndef MOED_SERVER_OPENAPI_H
#define MOED_SERVER_OPENAPI_H

struct request;

void openapi_get(struct request *request);

#endif
