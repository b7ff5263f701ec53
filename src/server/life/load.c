/* load.c: loads the model on a thread of its own while the loop already answers.
 *
 * The loader is one heap block that either side may be the last to need. It begins as READING,
 * which cannot be interrupted, and whoever changes that first decides. The thread, to STARTING: it
 * goes on to start the workers, which does not take long, and the loop joins it and takes the
 * engine. The loop, to ABANDONED: the thread closes what it opened and frees the block. */
#include "load.h"

#include "state.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 100, TELL_NS = 1000000000, PATIENCE_US = 60000000 };

enum load_state { LOAD_READING, LOAD_STARTING, LOAD_ABANDONED };

struct loader {
    struct moed_server_options options; /* a copy: we may outlive the caller's */
    pthread_t thread;
    atomic_int state;
    _Atomic uint64_t done, total;
    uv_async_t *finished;         /* this and the metrics are the server's: */
    struct moed_metrics *metrics; /* not touched when abandoned */
    int rc;                       /* this and the rest are the thread's until it is joined */
    struct moed_error error;
    struct engine engine;
};

static void on_progress(void *context, uint64_t done, uint64_t total)
{
    struct loader *loader = context;

    atomic_store_explicit(&loader->total, total, memory_order_relaxed);
    atomic_store_explicit(&loader->done, done, memory_order_relaxed);
}

static void loader_free(struct loader *loader)
{
    engine_close(&loader->engine);
    free(loader);
}

/* Whether the state was READING still and is `next` now. */
static bool leave_reading(struct loader *loader, enum load_state next)
{
    int expected = LOAD_READING;

    return atomic_compare_exchange_strong(&loader->state, &expected, next);
}

static void *run(void *context)
{
    struct loader *loader = context;
    const struct engine_progress progress = {on_progress, loader};

    loader->rc = engine_load(&loader->options, &progress, &loader->engine, &loader->error);
    if (!leave_reading(loader, LOAD_STARTING)) {
        loader_free(loader);
        return NULL;
    }
    if (loader->rc == 0)
        loader->rc =
            engine_start(&loader->engine, &loader->options, loader->metrics, &loader->error);
    uv_async_send(loader->finished);
    return NULL;
}

/* While bytes arrive the service manager should not give up on the start, however long it takes. */
static void tell_manager(struct server *server, uint64_t done, uint64_t total)
{
    struct load *load = &server->load;
    const uint64_t now = moed_now_ns();

    if (now - load->told_ns < TELL_NS || done == load->told)
        return;
    load->told_ns = now;
    load->told = done;
    notify_send(&server->notify, "EXTEND_TIMEOUT_USEC=%d\nSTATUS=loading: %.2f of %.2f GB",
                PATIENCE_US, (double)done * 1e-9, (double)total * 1e-9);
}

static void on_tick(uv_timer_t *ticker)
{
    struct server *server = ticker->data;
    struct loader *loader = server->load.loader;
    struct service *service = &server->service;

    if (loader == NULL)
        return;
    service->loaded_bytes = atomic_load_explicit(&loader->done, memory_order_relaxed);
    service->total_bytes = atomic_load_explicit(&loader->total, memory_order_relaxed);
    progress_show(&server->load.progress, service->loaded_bytes, service->total_bytes);
    tell_manager(server, service->loaded_bytes, service->total_bytes);
}

/* The thread ends: its engine becomes the server's. */
static int take(struct server *server, struct moed_error *err)
{
    struct loader *loader = server->load.loader;
    int rc;

    pthread_join(loader->thread, NULL);
    rc = loader->rc;
    server->load.loader = NULL;
    server->service.engine = loader->engine;
    *err = loader->error;
    memset(&loader->engine, 0, sizeof loader->engine);
    loader_free(loader);
    return rc;
}

static void on_finished(uv_async_t *finished)
{
    struct server *server = finished->data;
    struct moed_error err = {0};
    int rc;

    if (server->load.loader == NULL || server->host.stopping)
        return; /* it is load_abandon's */
    uv_timer_stop(&server->load.ticker);
    rc = take(server, &err);
    if (rc == 0)
        rc = observe_model(&server->service.observe, &server->service, &err);
    if (rc != 0) {
        server_stop(server, rc, err.message);
        return;
    }
    progress_end(&server->load.progress, engine_name(&server->service.engine, server->options),
                 moed_backend_bytes(server->service.engine.backend));
    server->service.phase = SERVICE_READY;
    notify_send(&server->notify, "READY=1\nSTATUS=serving %u layers",
                server->service.engine.model->n_layers);
    moed_log(MOED_LOG_INFO, "ready: %u layer%s, backend %s, isa %s, %u threads",
             server->service.engine.model->n_layers,
             server->service.engine.model->n_layers == 1 ? "" : "s",
             moed_backend_name(server->service.engine.backend),
             moed_backend_isa(server->service.engine.backend),
             moed_backend_threads(server->service.engine.backend));
}

int load_start(struct server *server, struct moed_error *err)
{
    struct load *load = &server->load;
    struct loader *loader = moed_calloc(1, sizeof *loader);
    int rc;

    if (loader == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the loader");
    loader->options = *server->options;
    loader->finished = &load->finished;
    loader->metrics = server->service.metrics;
    rc = uv_async_init(&server->host.loop, &load->finished, on_finished);
    if (rc == 0)
        rc = uv_timer_init(&server->host.loop, &load->ticker);
    load->finished.data = load->ticker.data = server;
    if (rc == 0)
        rc = uv_timer_start(&load->ticker, on_tick, TICK_MS, TICK_MS);
    progress_start(&load->progress, server->options->progress);
    if (rc == 0)
        rc = -pthread_create(&loader->thread, NULL, run, loader);
    if (rc != 0) {
        free(loader);
        return moed_fail(err, MOED_E_IO, "starting the loader: %s", uv_strerror(rc));
    }
    load->loader = loader;
    return 0;
}

void load_abandon(struct server *server)
{
    struct loader *loader = server->load.loader;
    struct moed_error ignored;
    pthread_t thread;

    if (loader == NULL)
        return;
    thread = loader->thread; /* before it may free the block */
    if (leave_reading(loader, LOAD_ABANDONED)) {
        pthread_detach(thread);
        server->load.loader = NULL;
    } else {
        take(server, &ignored);
    }
}
