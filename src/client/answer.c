/* answer.c: reads a response through http_parser; of its headers only the framing, which the
 * parser sees to, and Server-Timing matter. */
#include "src/client/client.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct moed_answer {
    http_parser parser;
    void (*body)(void *context, const char *data, size_t size);
    void *context;
    bool complete, keeps_alive;
    char timing[96]; /* the value of Server-Timing */
    char field[16];  /* name of the header that arrives, cut where it is longer */
    char value[96];  /* likewise */
    size_t field_size, value_size;
    bool in_value; /* the field's name is complete */
};

static void append(char *to, size_t *used, size_t room, const char *data, size_t size)
{
    const size_t fits = room - 1 - *used;

    size = size < fits ? size : fits;
    memcpy(to + *used, data, size);
    *used += size;
    to[*used] = '\0';
}

static void end_header(struct moed_answer *answer)
{
    if (strcasecmp(answer->field, "Server-Timing") == 0)
        memcpy(answer->timing, answer->value, sizeof answer->timing);
    answer->field_size = answer->value_size = 0;
    answer->field[0] = answer->value[0] = '\0';
    answer->in_value = false;
}

static int on_begin(http_parser *parser)
{
    const struct moed_answer *answer = parser->data;

    return answer->complete ? -1 : 0; /* more than was asked for */
}

static int on_field(http_parser *parser, const char *at, size_t size)
{
    struct moed_answer *answer = parser->data;

    if (answer->in_value)
        end_header(answer);
    append(answer->field, &answer->field_size, sizeof answer->field, at, size);
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t size)
{
    struct moed_answer *answer = parser->data;

    answer->in_value = true;
    append(answer->value, &answer->value_size, sizeof answer->value, at, size);
    return 0;
}

static int on_headers(http_parser *parser)
{
    end_header(parser->data);
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t size)
{
    const struct moed_answer *answer = parser->data;

    answer->body(answer->context, at, size);
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct moed_answer *answer = parser->data;

    if (parser->status_code < 200) /* "100 Continue": the answer itself follows */
        return 0;
    answer->complete = true;
    answer->keeps_alive = http_should_keep_alive(parser) != 0;
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_begin,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

struct moed_answer *moed_answer_create(void (*body)(void *context, const char *data, size_t size),
                                       void *context)
{
    struct moed_answer *answer = moed_calloc(1, sizeof *answer);

    if (answer == NULL)
        return NULL;
    answer->body = body;
    answer->context = context;
    moed_answer_begin(answer);
    return answer;
}

void moed_answer_destroy(struct moed_answer *answer)
{
    free(answer);
}

void moed_answer_begin(struct moed_answer *answer)
{
    http_parser_init(&answer->parser, HTTP_RESPONSE);
    answer->parser.data = answer;
    answer->complete = answer->keeps_alive = false;
    answer->timing[0] = answer->field[0] = answer->value[0] = '\0';
    answer->field_size = answer->value_size = 0;
    answer->in_value = false;
}

int moed_answer_take(struct moed_answer *answer, const char *data, size_t size,
                     struct moed_error *err)
{
    const size_t taken = http_parser_execute(&answer->parser, &settings, data, size);

    if (size == 0 && !answer->complete)
        return moed_fail(err, MOED_E_MALFORMED, "the connection ended before the answer did");
    if (taken != size && answer->complete)
        return moed_fail(err, MOED_E_MALFORMED, "expected one answer, found bytes after its end");
    if (taken != size)
        return moed_fail(err, MOED_E_MALFORMED, "expected an HTTP response, found: %s",
                         http_errno_description(HTTP_PARSER_ERRNO(&answer->parser)));
    return 0;
}

bool moed_answer_complete(const struct moed_answer *answer)
{
    return answer->complete;
}

bool moed_answer_keeps_alive(const struct moed_answer *answer)
{
    return answer->keeps_alive;
}

unsigned moed_answer_status(const struct moed_answer *answer)
{
    return answer->parser.status_code;
}

/* "queue;dur=0.041, compute;dur=1.21", in milliseconds. */
uint64_t moed_answer_timing(const struct moed_answer *answer, const char *part)
{
    static const char unit[] = ";dur=";
    const size_t size = strlen(part);
    const char *at = answer->timing;
    double ms;

    while (*at != '\0' &&
           (strncmp(at, part, size) != 0 || strncmp(at + size, unit, sizeof unit - 1) != 0)) {
        at += strcspn(at, ",");
        at += strspn(at, ", ");
    }
    if (*at == '\0')
        return 0;
    ms = strtod(at + size + sizeof unit - 1, NULL);
    return ms > 0 && ms < 1e9 ? (uint64_t)(ms * 1e6) : 0;
}
