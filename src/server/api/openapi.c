/* openapi.c: serves openapi.json, which the build puts into the binary. */
#include "openapi.h"

#include "service.h"

extern const unsigned char openapi_json[];
extern const size_t openapi_json_size;

void openapi_get(struct request *request)
{
    reply_borrow(request, "application/json", openapi_json, openapi_json_size);
    request_answer(request);
}
