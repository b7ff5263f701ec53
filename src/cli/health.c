/* health: asks a server whether it is ready; what a container's health check runs, so that the
 * image needs no curl. Plain blocking sockets. */
#include <moed/client.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#define DEFAULT_URL  "http://127.0.0.1:8080"
#define DEFAULT_PATH "/readyz"

struct health_arguments {
    uint32_t timeout_ms;
};

/* Sends the request and reads the status line; the rest of the answer does not matter. */
static bool ask(int fd, const struct moed_url *url, char *line, size_t size)
{
    char request[600];
    const int length = snprintf(
        request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
        strlen(url->path) > 1 ? url->path : DEFAULT_PATH, moed_url_host(url));
    size_t used = 0;

    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return false;
    do {
        const ssize_t n = recv(fd, line + used, size - 1 - used, 0);

        if (n <= 0)
            return false;
        used += (size_t)n;
        line[used] = '\0';
    } while (used < size - 1 && !strchr(line, '\n'));
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

static int run(const struct invocation *invocation, struct moed_error *err)
{
    const struct health_arguments *arguments = invocation->arguments;
    const char *text = invocation->operand ? invocation->operand : DEFAULT_URL;
    struct moed_url url;
    char line[128] = "";
    int fd, status = moed_url_parse(text, &url, err);

    if (status == 0)
        status = moed_client_connect(&url, arguments->timeout_ms, &fd, NULL, err);
    if (status != 0)
        return status;
    errno = 0;
    if (!ask(fd, &url, line, sizeof(line)))
        status = moed_fail(err, MOED_E_IO, "%s: no answer: %s", text,
                           errno == EAGAIN ? "timed out"
                           : errno != 0    ? strerror(errno)
                                           : "the connection was closed");
    else if (strncmp(line, "HTTP/1.", 7) != 0 || strncmp(line + 8, " 200", 4) != 0)
        status = moed_fail(err, MOED_E_LOADING, "%s: expected 200, found \"%s\"", text, line);
    close(fd);
    if (status == 0)
        printf("%s: ready\n", text);
    return status;
}

static void set_defaults(void *arguments)
{
    struct health_arguments *health = arguments;

    health->timeout_ms = 2000;
}

static const struct option options[] = {
    {"timeout-ms", OPTION_NUMBER, offsetof(struct health_arguments, timeout_ms), "N",
     .help = "patience for connecting, and for the answer", .min = 1},
};

const struct command health_command = {
    .name = "health",
    .operand = "[URL]",
    .summary = "ask a server whether it is ready",
    .details = "GET /readyz at http://HOST:PORT (" DEFAULT_URL
               ") or unix:PATH; any other\n"
               "path of the URL is asked for instead. Succeeds when the answer is 200.",
    .examples =
        "  moed health\n"
        "  moed health http://127.0.0.1:9000 --timeout-ms 500\n"
        "  moed health unix:/run/moed.sock\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct health_arguments),
    .defaults = set_defaults,
    .run = run,
};
