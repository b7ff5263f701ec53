/* daemon.c: one libmicrohttpd daemon a port, and its callbacks. */
#include "request.h"

#include <stdio.h>
#include <string.h>

enum {
    IDLE_TIMEOUT_S = 120,         /* of a connection on which nothing moves */
    CONNECTION_MEMORY = 64 << 10, /* bounds URL and headers, and is the size of reads */
};

/* The signature is libmicrohttpd's. NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *size, void **slot)
{
    struct request *request = *slot;

    (void)version;
    if (request == NULL) {
        request = request_create(context, connection, method);
        if (request == NULL)
            return MHD_NO;
        *slot = request;
        return request_begin(request, url);
    }
    if (*size > 0) {
        enum MHD_Result result = request_take(request, data, *size);

        *size = 0;
        return result;
    }
    return request_proceed(request);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode reason)
{
    (void)context;
    (void)connection;
    (void)reason;
    if (*slot != NULL)
        request_destroy(*slot);
    *slot = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct port *port = context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *slot = client_open(port, connection);
    } else {
        client_close(port, *slot);
        *slot = NULL;
    }
}

static void on_log(void *context, const char *format, va_list args)
{
    const struct port *port = context;
    char text[256];

    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    moed_log(MOED_LOG_DEBUG, "%s: %s", port->listener.address, text);
}

int port_start(struct port *port, uint32_t max_connections, struct moed_error *err)
{
    port->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_access,
        port, MHD_OPTION_EXTERNAL_LOGGER, on_log, port, MHD_OPTION_LISTEN_SOCKET, port->listener.fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, port, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, port, MHD_OPTION_CONNECTION_LIMIT, (unsigned)max_connections,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    if (port->mhd == NULL)
        return moed_fail(err, MOED_E_IO, "libmicrohttpd did not start on %s",
                         port->listener.address);
    return 0;
}

void port_quiesce(struct port *port)
{
    if (port->listener.fd < 0)
        return;
    if (port->mhd != NULL)
        MHD_quiesce_daemon(port->mhd); /* hands the socket back: it is ours to close */
    listener_close(&port->listener);
}

void port_stop(struct port *port)
{
    port_quiesce(port);
    if (port->mhd != NULL)
        MHD_stop_daemon(port->mhd);
    port->mhd = NULL;
}
