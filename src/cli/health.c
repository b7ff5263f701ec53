/* health: asks a server whether it is ready; what a container's health check runs, so that the
 * image needs no curl. Plain blocking sockets. */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "command.h"

#define DEFAULT_URL "http://127.0.0.1:8080"

struct health_arguments {
    uint32_t timeout_ms;
};

struct target {
    bool is_unix;
    char host[256]; /* or the socket's path */
    char port[8];
    char path[256];
};

/* "HOST", "HOST:PORT", "[::1]:PORT": `size` bytes at `at`. */
static bool parse_authority(const char *at, size_t size, struct target *target)
{
    const char *colon = memrchr(at, ':', size);
    size_t digits;

    if (colon && !memchr(colon, ']', size - (size_t)(colon - at))) { /* not inside [::1] */
        digits = size - (size_t)(colon + 1 - at);
        if (digits == 0 || digits > 5 || strspn(colon + 1, "0123456789") < digits)
            return false;
        snprintf(target->port, sizeof(target->port), "%.*s", (int)digits, colon + 1);
        size = (size_t)(colon - at);
    }
    if (size > 2 && at[0] == '[' && at[size - 1] == ']') {
        at++;
        size -= 2;
    }
    snprintf(target->host, sizeof(target->host), "%.*s", (int)size, at);
    return size > 0 && size < sizeof(target->host);
}

/* "http://HOST[:PORT][/PATH]", "HOST:PORT" or "unix:PATH". */
static int parse_url(const char *url, struct target *target, struct moed_error *err)
{
    static const char scheme[] = "http://";
    const char *at = url;
    size_t size;

    *target = (struct target){.port = "80", .path = "/readyz"};
    if (strncmp(url, "unix:", 5) == 0) {
        target->is_unix = true;
        snprintf(target->host, sizeof(target->host), "%s", url + 5);
        return 0;
    }
    if (strncmp(at, scheme, sizeof(scheme) - 1) == 0)
        at += sizeof(scheme) - 1;
    size = strcspn(at, "/");
    if (at[size] == '/' && at[size + 1] != '\0')
        snprintf(target->path, sizeof(target->path), "%s", at + size);
    if (strstr(at, "://") || !parse_authority(at, size, target))
        return moed_fail(err, MOED_E_USAGE, "expected http://HOST:PORT or unix:PATH, found \"%s\"",
                         url);
    return 0;
}

/* Bounds connect, send and receive each. */
static int open_socket(int family, uint32_t timeout_ms)
{
    const struct timeval timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000};
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    }
    return fd;
}

static int connect_unix(const struct target *target, uint32_t timeout_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(target->host) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, target->host, strlen(target->host) + 1);
    fd = open_socket(AF_UNIX, timeout_ms);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int connect_tcp(const struct target *target, uint32_t timeout_ms)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int fd = -1;

    if (getaddrinfo(target->host, target->port, &hints, &list) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
        fd = open_socket(at->ai_family, timeout_ms);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

/* Sends the request and reads the status line; the rest of the answer does not matter. */
static bool ask(int fd, const struct target *target, char *line, size_t size)
{
    char request[600];
    const int length = snprintf(request, sizeof(request),
                                "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                                target->path, target->is_unix ? "localhost" : target->host);
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
    const char *url = invocation->operand ? invocation->operand : DEFAULT_URL;
    struct target target;
    char line[128] = "";
    int fd, status = parse_url(url, &target, err);

    if (status != 0)
        return status;
    fd = target.is_unix ? connect_unix(&target, arguments->timeout_ms)
                        : connect_tcp(&target, arguments->timeout_ms);
    if (fd < 0)
        return moed_fail(err, MOED_E_IO, "%s: cannot connect: %s", url, strerror(errno));
    errno = 0;
    if (!ask(fd, &target, line, sizeof(line)))
        status = moed_fail(err, MOED_E_IO, "%s: no answer: %s", url,
                           errno == EAGAIN ? "timed out"
                           : errno != 0    ? strerror(errno)
                                           : "the connection was closed");
    else if (strncmp(line, "HTTP/1.", 7) != 0 || strncmp(line + 8, " 200", 4) != 0)
        status = moed_fail(err, MOED_E_LOADING, "%s: expected 200, found \"%s\"", url, line);
    close(fd);
    if (status == 0)
        printf("%s: ready\n", url);
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
