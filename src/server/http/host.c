/* host.c: puts a host together and takes it apart. */
#include "host.h"

#include "body.h"
#include "request.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

enum { SPARE_FILES = 64 }; /* descriptors beside those of connections and those open already */

static uint32_t open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint32_t n = 0;

    if (folder == NULL)
        return SPARE_FILES;
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

int host_fit_files(uint32_t *connections, uint32_t each, uint32_t files, struct moed_error *err)
{
    const uint64_t spare = (uint64_t)open_files() + files + SPARE_FILES;
    const uint64_t need = (uint64_t)*connections * each + spare;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
        return 0;
    limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return moed_fail(err, MOED_E_IO, "the limit of open files: %s", strerror(errno));
    if (limit.rlim_cur < spare + each)
        return moed_fail(err, MOED_E_IO,
                         "found a limit of %llu open files, expected at least %llu, and %u more "
                         "for each connection",
                         (unsigned long long)limit.rlim_cur, (unsigned long long)spare + each,
                         each);
    if (limit.rlim_cur >= need)
        return 0;
    moed_log(MOED_LOG_WARN,
             "%llu connections may be open at a time, not --max-connections %u: the limit of open "
             "files is %llu, of which %llu are kept for the model, keys and certificates",
             (unsigned long long)(limit.rlim_cur - spare) / each, *connections,
             (unsigned long long)limit.rlim_cur, (unsigned long long)spare);
    *connections = (uint32_t)((limit.rlim_cur - spare) / each);
    return 0;
}

static int add_ports(struct host *host, const char *spec, struct moed_error *err)
{
    struct listeners found;
    int rc = listeners_open(spec, &found, err);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < host->n_ports; i++)
        if (host->ports[i].listener.fd == found.at[0].fd)
            return moed_fail(err, MOED_E_USAGE, "--listen: %s is there twice", spec);
    if (host->n_ports + found.n > HOST_PORTS_MAX) {
        listeners_close(&found);
        return moed_fail(err, MOED_E_USAGE, "--listen: %s brings more than %d addresses", spec,
                         HOST_PORTS_MAX);
    }
    for (uint32_t i = 0; i < found.n; i++) {
        struct port *port = &host->ports[host->n_ports++];

        port->listener = found.at[i];
        port->host = host;
        port->tls = host->tls != NULL && listener_use_tls(&port->listener);
    }
    return 0;
}

static int start_port(struct port *port, uint32_t max_connections, struct moed_error *err)
{
    int rc = port->tls ? handshakes_start(port, err) : 0;

    if (rc == 0)
        rc = port_start(port, max_connections, err);
    return rc == 0 ? port_watch(port, err) : rc;
}

static int open_ports(struct host *host, struct moed_error *err)
{
    const struct moed_server_options *options = host->options;
    uint32_t each;
    int rc = 0;

    if (options->n_listen + options->n_lanes == 0 || options->n_listen > MOED_MAX_LISTEN)
        return moed_fail(err, MOED_E_USAGE, "--listen: found %u, expected 1 to %d",
                         options->n_listen, MOED_MAX_LISTEN);
    for (uint32_t i = 0; rc == 0 && i < options->n_listen; i++)
        rc = add_ports(host, options->listen[i], err);
    if (rc != 0)
        return rc;
    each = options->max_connections / (host->n_ports > 0 ? host->n_ports : 1);
    for (uint32_t i = 0; rc == 0 && i < host->n_ports; i++)
        rc = start_port(&host->ports[i], each > 0 ? each : 1, err);
    return rc;
}

static int read_secrets(struct host *host, struct moed_error *err)
{
    const struct moed_server_options *options = host->options;
    bool tls;
    int rc = tls_check_options(options, &tls, err);

    if (rc == 0 && tls)
        rc = tls_read(options, &host->tls, err);
    if (rc == 0 && options->api_key_file != NULL)
        rc = keys_read(options->api_key_file, &host->keys, err);
    return rc;
}

int host_open(struct host *host, struct moed_error *err)
{
    int rc;

    signal(SIGPIPE, SIG_IGN); /* a client that left is found by write's result */
    signal(SIGXFSZ, SIG_IGN); /* as is a file that may not grow */
    if (getrandom(&host->id_seed, sizeof host->id_seed, 0) < 0)
        host->id_seed = moed_wall_ms(); /* ids are for reading logs, not secrets */
    rc = read_secrets(host, err);
    if (rc != 0)
        return rc;
    rc = spin_init(&host->spin, &host->loop, host->options->spin_us);
    if (rc == 0)
        rc = sweep_start(host);
    if (rc != 0)
        return moed_fail(err, MOED_E_IO, "starting the event loop: %s", uv_strerror(rc));
    return open_ports(host, err);
}

void host_quiesce(struct host *host)
{
    /* What has already connected or arrived is taken in, on every port before any closes. */
    for (uint32_t i = 0; i < host->n_ports; i++)
        port_run(&host->ports[i]);
    for (uint32_t i = 0; i < host->n_ports; i++)
        port_quiesce(&host->ports[i]);
}

void host_cut_bodies(struct host *host, const struct moed_error *why)
{
    for (struct client *client = host->clients; client != NULL; client = client->next)
        if (client->request != NULL && client->request->stage == REQUEST_READING)
            body_cut(client->request, why->code, why->message);
}

void host_close_ports(struct host *host)
{
    for (uint32_t i = 0; i < host->n_ports; i++) {
        port_unwatch(&host->ports[i]);
        port_stop(&host->ports[i]);
    }
}

void host_close(struct host *host)
{
    keys_fini(&host->keys);
    tls_release(host->tls);
}

void host_run_resumed(struct host *host)
{
    for (uint32_t i = 0; i < host->n_ports; i++)
        if (host->ports[i].resumed)
            port_run(&host->ports[i]);
}
