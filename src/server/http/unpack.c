/* unpack.c: bodies that came compressed. What they inflate to counts among what all bodies may
 * hold, as it grows. */
#include "request.h"

#include <stdlib.h>

int body_read_coding(struct request *request, struct moed_error *err)
{
    const char *coding = request_header(request, "Content-Encoding");

    if (coding == NULL || moed_coding_from_name(coding, &request->body.coding))
        return 0;
    return moed_fail(err, MOED_E_MEDIA_TYPE,
                     "Content-Encoding: found %.64s, accepted are gzip, deflate and identity",
                     coding);
}

static int take(void *context, size_t more, struct moed_error *err)
{
    struct request *request = context;
    int rc = body_take_room(request->host, more, err);

    if (rc == 0)
        request->body.capacity += more;
    return rc;
}

int body_unpack(struct request *request, struct moed_error *err)
{
    struct body *body = &request->body;
    const struct moed_inflate how = {body->coding, request->host->options->max_body_bytes, take,
                                     request};
    size_t packed = body->capacity, size;
    char *data;
    int rc = moed_wire_inflate(&how, body->data != NULL ? body->data : "", body->size, &data, &size,
                               err);

    if (rc != 0)
        return rc; /* what was taken is given back with the body */
    free(body->data);
    body->data = data;
    body->size = size;
    body->capacity -= packed;
    body_give_room(request->host, packed);
    return 0;
}
