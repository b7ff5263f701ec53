/* url.c: the forms in which a person names a server. */
#include "src/client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535 };

/* "HOST", "HOST:PORT", "[::1]:PORT": `size` bytes at `at`. */
static bool parse_authority(const char *at, size_t size, struct moed_url *url)
{
    const char *colon = memrchr(at, ':', size);
    size_t digits;

    if (colon != NULL &&
        memchr(colon, ']', size - (size_t)(colon - at)) == NULL) { /* not in [::1] */
        digits = size - (size_t)(colon + 1 - at);
        if (digits == 0 || digits > 5 || strspn(colon + 1, "0123456789") < digits ||
            strtoul(colon + 1, NULL, 10) > PORT_MAX)
            return false;
        snprintf(url->port, sizeof url->port, "%.*s", (int)digits, colon + 1);
        size = (size_t)(colon - at);
    }
    if (size > 2 && at[0] == '[' && at[size - 1] == ']') {
        at++;
        size -= 2;
    }
    snprintf(url->host, sizeof url->host, "%.*s", (int)size, at);
    return size > 0 && size < sizeof url->host;
}

static int wrong(const char *text, struct moed_error *err)
{
    return moed_fail(err, MOED_E_USAGE,
                     "expected http://HOST:PORT, https://HOST:PORT or unix:PATH, found \"%s\"",
                     text);
}

int moed_url_parse(const char *text, struct moed_url *out, struct moed_error *err)
{
    static const char plain[] = "http://", tls[] = "https://", local[] = "unix:";
    const char *at = text;
    size_t size;

    *out = (struct moed_url){.port = "80"};
    if (strncmp(text, local, sizeof local - 1) == 0) {
        out->is_unix = true;
        at += sizeof local - 1;
        snprintf(out->host, sizeof out->host, "%s", at);
        return *at != '\0' && strlen(at) < sizeof out->host ? 0 : wrong(text, err);
    }
    if (strncmp(at, plain, sizeof plain - 1) == 0) {
        at += sizeof plain - 1;
    } else if (strncmp(at, tls, sizeof tls - 1) == 0) {
        out->is_tls = true;
        memcpy(out->port, "443", sizeof "443");
        at += sizeof tls - 1;
    }
    size = strcspn(at, "/");
    if (strstr(at, "://") != NULL || !parse_authority(at, size, out) ||
        strlen(at + size) >= sizeof out->path)
        return wrong(text, err);
    memcpy(out->path, at + size, strlen(at + size) + 1);
    return 0;
}

const char *moed_url_host(const struct moed_url *url)
{
    return url->is_unix ? "localhost" : url->host;
}
