/* framing.c: refuses requests that two programs could read in two ways (request smuggling).
 * libmicrohttpd uses the first of two Content-Length headers, and reads "Content-Length :" as
 * another name; a proxy before us may do otherwise. Such a request is answered 400 and its
 * connection ends, so that no byte of its body can be taken for the next request. */
#include "framing.h"

#include "request.h"

#include <string.h>
#include <strings.h>

struct head {
    unsigned lengths, codings, hosts;
    struct moed_error *err;
    int rc;
};

static bool is_token(const char *name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if (*name == '\0')
        return false;
    for (; *name != '\0'; name++) {
        bool letter = (*name | 0x20) >= 'a' && (*name | 0x20) <= 'z';

        if (!letter && (*name < '0' || *name > '9') && strchr(others, *name) == NULL)
            return false;
    }
    return true;
}

/* libmicrohttpd joins a line that begins with a space to the line before it (obsolete folding). A
 * name that begins like a framing header after that was such a header to somebody else. */
static bool is_folded(const char *name)
{
    static const char *const framing[] = {"Content-Length", "Transfer-Encoding"};

    for (size_t i = 0; i < MOED_ARRAY_LEN(framing); i++) {
        size_t length = strlen(framing[i]);

        if (strncasecmp(name, framing[i], length) == 0 && name[length] != '\0')
            return true;
    }
    return false;
}

static int check_field(struct head *head, const char *name, const char *value)
{
    if (!is_token(name))
        return moed_fail(head->err, MOED_E_MALFORMED, "found \"%.64s\" as the name of a header",
                         name);
    if (strchr(value, '\r') != NULL) /* the end of the line, for somebody */
        return moed_fail(head->err, MOED_E_MALFORMED, "%.64s: found a carriage return in its value",
                         name);
    if (is_folded(name))
        return moed_fail(head->err, MOED_E_MALFORMED,
                         "%.64s: found a header that is folded, or of no known name", name);
    if (strcasecmp(name, "Transfer-Encoding") == 0 && strcasecmp(value, "chunked") != 0)
        return moed_fail(head->err, MOED_E_MALFORMED,
                         "Transfer-Encoding: found \"%.64s\", accepted is chunked", value);
    head->lengths += strcasecmp(name, "Content-Length") == 0;
    head->codings += strcasecmp(name, "Transfer-Encoding") == 0;
    head->hosts += strcasecmp(name, "Host") == 0;
    return 0;
}

static enum MHD_Result on_field(void *context, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    struct head *head = context;

    (void)kind;
    head->rc = check_field(head, name, value != NULL ? value : "");
    return head->rc == 0 ? MHD_YES : MHD_NO;
}

int framing_check(const struct request *request, const char *version, struct moed_error *err)
{
    struct head head = {.err = err};
    bool old = strcmp(version, "HTTP/1.0") == 0;

    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, on_field, &head);
    if (head.rc != 0)
        return head.rc;
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
