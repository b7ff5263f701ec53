/* page.c: serves the page at "/", which the build makes of page/ and puts into the binary. All of
 * it is in one file; what it shows it asks of this server, by paths relative to its own. */
#include "page.h"

#include "page_headers.h"
#include "service.h"

#include <string.h>

extern const unsigned char page_html[];
extern const size_t page_html_size;

/* Whether the client has this page already. Tags contain no quotes, so a quoted one that is found
 * anywhere in the list is one of the list. */
static bool is_known(const struct request *request)
{
    const char *tags = request_header(request, "If-None-Match");

    return tags != NULL && (strstr(tags, PAGE_TAG) != NULL || strcmp(tags, "*") == 0);
}

void page_get(struct request *request)
{
    if (is_known(request))
        reply_empty(request, MHD_HTTP_NOT_MODIFIED);
    else
        reply_borrow(request, "text/html; charset=utf-8", page_html, page_html_size);
    reply_constant(request, "Content-Security-Policy", PAGE_POLICY);
    reply_constant(request, "ETag", PAGE_TAG);
    reply_constant(request, "Cache-Control", "no-cache");
    reply_constant(request, "X-Content-Type-Options", "nosniff");
    reply_constant(request, "Referrer-Policy", "no-referrer");
    request_answer(request);
}
