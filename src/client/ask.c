/* ask.c: asks and waits. */
#include "src/client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What describes a fleet has a few MB at most; a server without end must not fill the memory. */
enum { READ_SIZE = 64 << 10, ANSWER_MAX = 64 << 20 };

static const uint64_t NS_A_MS = 1000000;

void moed_asker_init(struct moed_asker *asker, const struct moed_url *url,
                     const struct moed_trust *trust, uint32_t timeout_ms)
{
    *asker = (struct moed_asker){
        .url = url, .trust = trust, .timeout_ms = timeout_ms, .stream = {.fd = -1}};
}

void moed_asker_fini(struct moed_asker *asker)
{
    moed_stream_close(&asker->stream);
}

static int send_all(const struct moed_stream *stream, const char *data, size_t size,
                    struct moed_error *err)
{
    while (size > 0) {
        ssize_t n = moed_stream_send(stream, data, size);

        if (n < 0)
            return moed_fail(err, MOED_E_IO, "sending a request: %s", moed_stream_fault(stream));
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static void keep(void *context, const char *data, size_t size)
{
    fwrite(data, 1, size, context);
}

static int receive(const struct moed_stream *stream, struct moed_answer *answer,
                   struct moed_error *err)
{
    char *buffer = malloc(READ_SIZE);
    int rc = buffer != NULL ? 0 : moed_fail(err, MOED_E_NO_MEMORY, "no memory for an answer");
    size_t size = 0;

    while (rc == 0 && !moed_answer_complete(answer)) {
        ssize_t n = moed_stream_receive(stream, buffer, READ_SIZE);

        if (n < 0)
            rc = moed_fail(err, MOED_E_IO, "waiting for an answer: %s",
                           errno == EAGAIN ? "timed out" : moed_stream_fault(stream));
        else if ((size += (size_t)n) > ANSWER_MAX)
            rc = moed_fail(err, MOED_E_IO, "an answer of more than %d MiB", ANSWER_MAX >> 20);
        else
            rc = moed_answer_take(answer, buffer, (size_t)n, err);
    }
    free(buffer);
    return rc;
}

/* Over a connection; the answer's body goes to `body`. */
static int exchange(struct moed_asker *asker, const char *request, size_t size, FILE *body,
                    unsigned *status, struct moed_error *err)
{
    struct moed_answer *answer = moed_answer_create(keep, body);
    int rc = answer != NULL ? 0 : moed_fail(err, MOED_E_NO_MEMORY, "no memory for an answer");

    if (rc == 0)
        rc = send_all(&asker->stream, request, size, err);
    if (rc == 0)
        rc = receive(&asker->stream, answer, err);
    if (rc == 0)
        *status = moed_answer_status(answer);
    if (rc != 0 || !moed_answer_keeps_alive(answer))
        moed_asker_fini(asker);
    moed_answer_destroy(answer);
    return rc;
}

int moed_asker_ask(struct moed_asker *asker, const char *request, size_t size,
                   struct moed_asked *out, struct moed_error *err)
{
    FILE *body;
    int rc = 0;

    *out = (struct moed_asked){0};
    asker->stream.deadline_ns = moed_now_ns() + asker->timeout_ms * NS_A_MS;
    if (asker->stream.fd < 0)
        rc = moed_stream_connect(asker->url, asker->trust, asker->timeout_ms, &asker->stream,
                                 &asker->address, err);
    if (rc != 0)
        return rc;
    body = open_memstream(&out->body, &out->size);
    if (body == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for an answer");
    rc = exchange(asker, request, size, body, &out->status, err);
    if (fclose(body) != 0 && rc == 0)
        rc = moed_fail(err, MOED_E_NO_MEMORY, "no memory for an answer");
    if (rc != 0) {
        free(out->body);
        out->body = NULL;
    }
    return rc;
}
