/* bench_echo: what HTTP itself costs: a bare libmicrohttpd server that answers any POST with the
 * bytes it was sent. The time that moed adds is measured beside it:
 *
 *   build/tests/bench/bench_echo 8081 &
 *   build/src/cli/moed load http://127.0.0.1:8081 --layers 0 --hidden 2048
 *
 * It ends with its standard input or on a signal. */
#include <microhttpd.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct echo {
    char *data;
    size_t size;
};

/* The signature is libmicrohttpd's. NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *size, void **slot)
{
    struct echo *echo = *slot;
    struct MHD_Response *response;
    enum MHD_Result result;

    (void)context;
    (void)url;
    (void)method;
    (void)version;
    if (echo == NULL) {
        *slot = calloc(1, sizeof *echo);
        return *slot != NULL ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        char *larger = realloc(echo->data, echo->size + *size);

        if (larger == NULL)
            return MHD_NO;
        memcpy(larger + echo->size, data, *size);
        echo->data = larger;
        echo->size += *size;
        *size = 0;
        return MHD_YES;
    }
    response = MHD_create_response_from_buffer(echo->size, echo->data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        return MHD_NO;
    echo->data = NULL; /* the response's */
    MHD_add_response_header(response, "Content-Type", "application/octet-stream");
    result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode reason)
{
    struct echo *echo = *slot;

    (void)context;
    (void)connection;
    (void)reason;
    if (echo != NULL)
        free(echo->data);
    free(echo);
}

int main(int argc, char **argv)
{
    const unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    struct MHD_Daemon *daemon;

    if (port == 0 || port > UINT16_MAX) {
        fprintf(stderr, "usage: bench_echo PORT\n");
        return 2;
    }
    daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)port, NULL, NULL, on_access, NULL,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, "bench_echo: port %lu cannot be had\n", port);
        return 1;
    }
    while (getchar() != EOF) {
    }
    MHD_stop_daemon(daemon);
    return 0;
}
