/* health: asks a server whether it is ready; what a container's health check runs, so that the
 * image needs no curl. */
#include "src/client/client.h"

#include <errno.h>
#include <string.h>

#include "command.h"
#include "trust.h"

#define DEFAULT_URL  "127.0.0.1:8080"
#define DEFAULT_PATH "/readyz"

struct health_arguments {
    uint32_t timeout_ms;
    struct moed_trust_options trust;
};

/* Sends the request and reads the status line; the rest of the answer does not matter. */
static bool ask(const struct moed_stream *stream, const struct moed_url *url, char *line,
                size_t size)
{
    char request[600];
    const int length = snprintf(
        request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
        strlen(url->path) > 1 ? url->path : DEFAULT_PATH, moed_url_host(url));
    size_t used = 0;

    if (moed_stream_send(stream, request, (size_t)length) != length)
        return false;
    do {
        const ssize_t n = moed_stream_receive(stream, line + used, size - 1 - used);

        if (n == 0)
            errno = 0; /* closed; waiting before may have left something */
        if (n <= 0)
            return false;
        used += (size_t)n;
        line[used] = '\0';
    } while (used < size - 1 && strchr(line, '\n') == NULL);
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

/* Over a connection. MOED_E_MALFORMED: whatever this is, it does not speak HTTP here. */
static int judge(const struct moed_stream *stream, const struct moed_url *url, const char *text,
                 struct moed_error *err)
{
    char line[128] = "";

    errno = 0;
    if (!ask(stream, url, line, sizeof line) && errno != 0)
        return moed_fail(err, errno == EPROTO ? MOED_E_MALFORMED : MOED_E_IO, "%s: no answer: %s",
                         text, errno == EAGAIN ? "timed out" : moed_stream_fault(stream));
    if (line[0] == '\0')
        return moed_fail(err, MOED_E_MALFORMED, "%s: no answer: the connection was closed", text);
    if (strncmp(line, "HTTP/1.", 7) != 0)
        return moed_fail(err, MOED_E_MALFORMED, "%s: expected 200, found \"%s\"", text, line);
    if (strncmp(line + 8, " 200", 4) != 0)
        return moed_fail(err, MOED_E_LOADING, "%s: expected 200, found \"%s\"", text, line);
    return 0;
}

static int check(const char *text, const struct moed_trust_options *options, uint32_t timeout_ms,
                 struct moed_error *err)
{
    struct moed_trust *trust = NULL;
    struct moed_stream stream;
    struct moed_url url;
    int status = moed_url_parse(text, &url, err);

    if (status == 0 && url.is_tls)
        status = moed_trust_create(options, &trust, err);
    if (status == 0)
        status = moed_stream_connect(&url, trust, timeout_ms, &stream, NULL, err);
    if (status == 0) {
        status = judge(&stream, &url, text, err);
        moed_stream_close(&stream);
    }
    moed_trust_destroy(trust);
    if (status == 0)
        printf("%s: ready\n", text);
    return status;
}

static bool names_scheme(const char *text)
{
    return strstr(text, "://") != NULL || strncmp(text, "unix:", 5) == 0;
}

/* Where no scheme says how a port speaks, both ways are tried; who speaks TLS there is not the
 * question then, unless --ca makes it one. */
static int run(const struct invocation *invocation, struct moed_error *err)
{
    const struct health_arguments *arguments = invocation->arguments;
    const char *text = invocation->operand != NULL ? invocation->operand : DEFAULT_URL;
    struct moed_trust_options trust = arguments->trust;
    char secure[300];
    int status = check(text, &trust, arguments->timeout_ms, err);

    if (status != MOED_E_MALFORMED || names_scheme(text))
        return status;
    trust.insecure = trust.ca == NULL;
    snprintf(secure, sizeof secure, "https://%s", text);
    return check(secure, &trust, arguments->timeout_ms, err);
}

static void set_defaults(void *arguments)
{
    struct health_arguments *health = arguments;

    health->timeout_ms = 2000;
}

static const struct option options[] = {
    {"timeout-ms", OPTION_NUMBER, offsetof(struct health_arguments, timeout_ms), "N",
     .help = "patience for connecting, and for the answer", .min = 1},
    TRUST_OPTIONS(offsetof(struct health_arguments, trust)),
};

const struct command health_command = {
    .name = "health",
    .operand = "[URL]",
    .summary = "ask a server whether it is ready",
    .details =
        "GET /readyz at http://HOST:PORT, https://HOST:PORT or unix:PATH; any other path\n"
        "of the URL is asked for instead. HOST:PORT alone (" DEFAULT_URL
        ") is asked in\n"
        "the way that it speaks, and who it is, only by --ca. Succeeds when the answer is\n"
        "200.",
    .examples =
        "  moed health\n"
        "  moed health http://127.0.0.1:9000 --timeout-ms 500\n"
        "  moed health https://moed.example --ca authority.pem\n"
        "  moed health unix:/run/moed.sock\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct health_arguments),
    .defaults = set_defaults,
    .run = run,
};
