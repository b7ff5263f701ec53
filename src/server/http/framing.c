/* framing.c: refuses requests that two programs could read in two ways (request smuggling).
 * libmicrohttpd uses the first of two Content-Length headers, and reads "Content-Length :" as
 * another name; a proxy before us may do otherwise. Such a request is answered 400 and its
 * connection ends, so that no byte of its body can be taken for the next request. */
#include "framing.h"

#include "received.h"
#include "request.h"

#include <string.h>
#include <strings.h>

struct head {
    struct received walk;
    unsigned lengths, codings, hosts;
    struct moed_error *err;
    int rc;
};

static bool is_letter_or_digit(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9');
}

static bool is_token(const char *name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if (*name == '\0')
        return false;
    for (; *name != '\0'; name++)
        if (!is_letter_or_digit(*name) && strchr(others, *name) == NULL)
            return false;
    return true;
}

/* Of control characters a value has tabs only (RFC 9110, 5.5). A carriage return is the end of the
 * line, for somebody. */
static bool has_controls(const char *value)
{
    for (; *value != '\0'; value++)
        if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f)
            return true;
    return false;
}

/* uri-host [":" port] (RFC 9110, 7.2), which may be empty. An address in brackets is not looked
 * into any further. */
static bool is_host(const char *text)
{
    static const char others[] = "-._~%!$&'()*+,;=";

    if (*text == '[') {
        text++;
        text += strspn(text, "0123456789abcdefABCDEF:.");
        if (*text++ != ']')
            return false;
    } else {
        while (*text != '\0' && (is_letter_or_digit(*text) || strchr(others, *text) != NULL))
            text++;
    }
    if (*text == ':')
        text += 1 + strspn(text + 1, "0123456789");
    return *text == '\0';
}

static int check_text(struct head *head, const char *name, const char *value)
{
    if (!is_token(name))
        return moed_fail(head->err, MOED_E_MALFORMED, "found \"%.64s\" as the name of a header",
                         name);
    if (has_controls(value))
        return moed_fail(head->err, MOED_E_MALFORMED,
                         "%.64s: found a carriage return or another control character in its value",
                         name);
    return 0;
}

static int check_field(struct head *head, const char *name, const char *value)
{
    bool coding = strcasecmp(name, "Transfer-Encoding") == 0, host = strcasecmp(name, "Host") == 0;
    int rc = received_field(&head->walk, name, value, head->err);

    if (rc == 0)
        rc = check_text(head, name, value);
    if (rc != 0)
        return rc;
    if (coding && strcasecmp(value, "chunked") != 0)
        return moed_fail(head->err, MOED_E_MALFORMED,
                         "Transfer-Encoding: found \"%.64s\", accepted is chunked", value);
    head->lengths += strcasecmp(name, "Content-Length") == 0;
    head->codings += coding;
    head->hosts += host;
    received_trim(value);
    if (host && !is_host(value))
        return moed_fail(head->err, MOED_E_MALFORMED,
                         "Host: found \"%.64s\", expected a name or an address, and perhaps a port",
                         value);
    return 0;
}

/* Trailers frame nothing, whatever they are called. libmicrohttpd 0.9.75 lists the last header
 * among them, again, where their first line came in pieces. */
static int check_trailer(struct head *head, const char *name, const char *value)
{
    int rc;

    if (RECEIVED_KEEPS_PLACES && name < head->walk.at)
        return 0;
    rc = received_field(&head->walk, name, value, head->err);
    return rc != 0 ? rc : check_text(head, name, value);
}

static enum MHD_Result on_field(void *context, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    struct head *head = context;

    value = value != NULL ? value : "";
    head->rc =
        kind == MHD_FOOTER_KIND ? check_trailer(head, name, value) : check_field(head, name, value);
    return head->rc == 0 ? MHD_YES : MHD_NO;
}

/* Each line by itself. */
static int check_lines(const struct request *request, const struct request_line *line,
                       struct head *head)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    int rc = received_begin(&head->walk, line, &request->client->target, head->err);

    if (rc != 0)
        return rc;
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, on_field, head);
    if (head->rc != 0)
        return head->rc;
    return received_end(&head->walk, line, info != NULL ? info->header_size : 0, head->err);
}

int framing_check(const struct request *request, const struct request_line *line,
                  struct moed_error *err)
{
    struct head head = {.err = err};
    bool old = strcmp(line->version, "HTTP/1.0") == 0;
    int rc = check_lines(request, line, &head);

    if (rc != 0)
        return rc;
    if (head.lengths > 1 || head.codings > 1 || (head.lengths > 0 && head.codings > 0))
        return moed_fail(err, MOED_E_MALFORMED,
                         "found %u Content-Length and %u Transfer-Encoding, expected one of one",
                         head.lengths, head.codings);
    if (old && head.codings > 0)
        return moed_fail(err, MOED_E_MALFORMED, "found a Transfer-Encoding in HTTP/1.0");
    if (head.hosts > 1 || (!old && head.hosts == 0))
        return moed_fail(err, MOED_E_MALFORMED, "found %u Host headers, expected one", head.hosts);
    return 0;
}

int framing_check_chunk(struct request *request, const char *data, size_t size,
                        struct moed_error *err)
{
    struct body *body = &request->body;
    bool first = data <= body->behind;
    const struct received_gap gap = {first ? body->first : body->behind, data, first};
    int rc = 0;

    if (!RECEIVED_KEEPS_PLACES || !body->chunked)
        return 0;
    if (gap.from <= data && (size_t)(data - gap.from) <= request->host->options->max_header_bytes)
        rc = received_check_chunk_line(&gap, err);
    body->behind = data + size;
    return rc;
}

int framing_check_trailers(const struct request *request, struct moed_error *err)
{
    struct head head = {.walk.at = request->body.first, .err = err};

    if (request->body.chunked)
        MHD_get_connection_values(request->connection, MHD_FOOTER_KIND, on_field, &head);
    return head.rc;
}

const char *framing_path(const char *target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < MOED_ARRAY_LEN(schemes); i++) {
        size_t length = strlen(schemes[i]);

        if (strncasecmp(target, schemes[i], length) == 0) {
            const char *path = strchr(target + length, '/');

            return path != NULL ? path : "/";
        }
    }
    return target;
}
