/* reload.c: what SIGHUP does. What cannot be read stays as it was: a mistake in a file must not
 * take a running server down, nor open it to everybody. */
#include "reload.h"

#include "state.h"

/* Whether somebody has moved the file away (logrotate) or not, both is fine. */
static void reopen_log(const char *path)
{
    struct moed_error err;

    if (moed_log_open(path, &err) != 0)
        moed_log(MOED_LOG_ERROR, "SIGHUP: the log stays where it was: %s", err.message);
    else
        moed_log(MOED_LOG_INFO, "SIGHUP: opened the log file");
}

static void reload_keys(struct server *server)
{
    struct moed_error err;
    struct keys keys;

    if (keys_read(server->options->api_key_file, &keys, &err) != 0) {
        moed_log(MOED_LOG_ERROR, "SIGHUP: the API keys stay as they were: %s", err.message);
        return;
    }
    keys_fini(&server->host.keys);
    server->host.keys = keys;
    moed_log(MOED_LOG_INFO, "SIGHUP: %zu API keys", keys.n);
}

static void reload_tls(struct server *server)
{
    struct moed_error err;
    struct tls *tls;

    if (tls_read(server->options, &tls, &err) != 0) {
        moed_log(MOED_LOG_ERROR, "SIGHUP: the TLS certificates stay as they were: %s", err.message);
        return;
    }
    tls_release(server->host.tls);
    server->host.tls = tls;
    moed_log(MOED_LOG_INFO, "SIGHUP: new connections get the TLS certificates as they are now");
}

void reload(struct server *server)
{
    const bool ready = server->service.phase == SERVICE_READY;

    if (ready) /* systemd knows no reload before the start is over or after the stop has begun */
        notify_send(&server->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
                    (unsigned long long)moed_now_ns() / 1000);
    if (server->options->log_file != NULL)
        reopen_log(server->options->log_file);
    if (server->options->api_key_file != NULL)
        reload_keys(server);
    if (server->host.tls != NULL)
        reload_tls(server);
    if (ready)
        notify_send(&server->notify, "READY=1");
}

/* A service manager may send it whether there is anything to read again or not. */
bool reload_is_wanted(const struct moed_server_options *options)
{
    return options->log_file != NULL || options->api_key_file != NULL ||
           options->tls_cert != NULL || options->notify_socket != NULL;
}
