/* reload.c: what SIGHUP does. What cannot be read stays as it was: a mistake in a file must not
 * take a running server down, nor open it to everybody. */
#include "reload.h"

#include "server.h"

#include <signal.h>

static void reload_keys(struct server *server)
{
    struct moed_error err;
    struct keys keys;

    if (keys_read(server->options->api_key_file, &keys, &err) != 0) {
        moed_log(MOED_LOG_ERROR, "SIGHUP: the API keys stay as they were: %s", err.message);
        return;
    }
    keys_fini(&server->keys);
    server->keys = keys;
    moed_log(MOED_LOG_INFO, "SIGHUP: %zu API keys", keys.n);
}

static void on_hangup(uv_signal_t *watcher, int number)
{
    struct server *server = watcher->data;

    (void)number;
    if (server->options->api_key_file != NULL)
        reload_keys(server);
}

int reload_init(struct server *server)
{
    uv_signal_t *hangup = &server->reload.hangup;
    int rc = uv_signal_init(&server->loop, hangup);

    hangup->data = server;
    if (rc != 0 || server->options->api_key_file == NULL)
        return rc;
    return uv_signal_start(hangup, on_hangup, SIGHUP);
}
