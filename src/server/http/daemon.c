/* daemon.c: one libmicrohttpd daemon a port, and its callbacks. */
#include "received.h"
#include "request.h"

#include <gnutls/abstract.h>
#include <stdio.h>
#include <string.h>

/* What received.c looks after is not to be answered by libmicrohttpd, without a word. */
#if RECEIVED_KEEPS_PLACES
enum { STRICTNESS_OPTION = MHD_OPTION_STRICT_FOR_CLIENT, STRICTNESS = 0 };
#else
enum { STRICTNESS_OPTION = MHD_OPTION_CLIENT_DISCIPLINE_LVL, STRICTNESS = 1 };
#endif
static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/* The signature is libmicrohttpd's. NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *size, void **slot)
{
    struct request *request = *slot;
    struct port *port = context;

    port->moved++;
    if (request == NULL) {
        request = request_create(port, connection, method);
        if (request == NULL)
            return MHD_NO;
        *slot = request;
        return request_begin(request, &(struct request_line){method, url, version});
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
    struct port *port = context;

    (void)connection;
    (void)reason;
    port->moved++;
    if (*slot != NULL)
        request_destroy(*slot);
    *slot = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct port *port = context;

    port->moved++;
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

/* Sessions get their credentials as they open (client.c); one that did not has none.
 * The parameters are GnuTLS's. NOLINTNEXTLINE(readability-function-size) */
static int no_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                          gnutls_pcert_st **chain, unsigned *length, gnutls_ocsp_data_st **ocsp,
                          unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
    (void)session, (void)info, (void)chain, (void)length;
    (void)ocsp, (void)n_ocsp, (void)key, (void)flags;
    return -1;
}

/* The target before it is cut up and decoded. Nothing is put into the request's slot. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info != NULL ? info->socket_context : NULL;

    (void)context;
    if (client != NULL)
        received_target_note(&client->target, target);
    return NULL;
}

/* "%00" stays as it is, and so is no path and no number: decoded it would end the text before
 * anybody has read the rest. */
static size_t on_unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strstr(text, "%00") != NULL ? strlen(text) : MHD_http_unescape(text);
}

int port_start(struct port *port, uint32_t max_connections, struct moed_error *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

    if (port->tls)
        flags |= MHD_USE_TLS;
    port->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, on_access, port, MHD_OPTION_EXTERNAL_LOGGER, on_log, port,
        MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        NULL, (enum MHD_OPTION)STRICTNESS_OPTION, STRICTNESS, MHD_OPTION_LISTEN_SOCKET,
        port->listener.fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, port,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, port, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)port->host->options->max_header_bytes,
        port->tls ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, tls_priorities,
        MHD_OPTION_HTTPS_CERT_CALLBACK2, no_certificate, MHD_OPTION_END);
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
    handshakes_stop(port);
    if (port->mhd != NULL)
        MHD_stop_daemon(port->mhd);
    port->mhd = NULL;
}
