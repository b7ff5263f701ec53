/* serve: the options of the server, and the hand-over to it. */
#include "src/server/server.h"

#include <string.h>
#include <unistd.h>

#include "command.h"
#include "systemd.h"

#define MAX_NAME 200 /* bytes */

struct serve_arguments {
    struct moed_server_options server;
    struct option_texts listen;
    uint32_t load;        /* 0 resident, 1 mmap */
    uint32_t activations; /* 0 int8, 1 f32 */
    uint32_t numa;        /* 0 auto, 1 off */
    uint32_t log_level, log_format, log_requests;
    bool print_config;
};

#define AT(field)     offsetof(struct serve_arguments, field)
#define SERVER(field) offsetof(struct serve_arguments, server.field)

/* What nobody can mean: memory for it is not to be had, or the end of it not to be waited for. */
enum { MOST_ROWS = 1 << 20, A_DAY_MS = 24 * 60 * 60 * 1000 };

static const struct option options[] = {
    {"listen", OPTION_TEXTS, AT(listen), "HOST:PORT",
     .help = "unix:PATH, unix:@NAME, lane:PATH, fd:N, fd:NAME", .unset = "127.0.0.1:8080"},
    {"lane-slots", OPTION_NUMBER, SERVER(lane_slots), "N",
     .help = "requests in flight of one client of a lane", .min = 1},
    {"layers", OPTION_TEXT, SERVER(layers), "0-23,40", .help = "the blocks to serve",
     .unset = "all"},
    {"experts", OPTION_TEXT, SERVER(experts), "0-63", .help = "the experts of each layer to serve",
     .unset = "all"},
    {"arch-file", OPTION_TEXT, SERVER(arch_file), "FILE",
     .help = "describes one more architecture, by its columns", .unset = "none"},
    {"name", OPTION_TEXT, SERVER(name), "NAME", .help = "what the model is called",
     .unset = "the model's"},
    {"backend", OPTION_TEXT, SERVER(backend), "NAME", .help = "auto, cpu, cuda or reference",
     .unset = "auto"},
    {"isa", OPTION_TEXT, SERVER(isa), "NAME", .help = "instruction set of the cpu backend",
     .unset = "best found"},
    {"devices", OPTION_TEXT, SERVER(devices), "0,1",
     .help = "of the cuda backend; they share the layers", .unset = "the first"},
    {"activations", OPTION_CHOICE, AT(activations), "int8|f32",
     .help = "form of the rows: f32 is exact, and slower"},
    {"batch-invariant", OPTION_SWITCH, SERVER(invariant), NULL,
     .help = "on a GPU too, rows do not heed their batch; slower"},
    {"threads", OPTION_NUMBER, SERVER(threads), "N", .help = "threads of a worker",
     .unset = "its share of the physical cores"},
    {"workers", OPTION_NUMBER, SERVER(workers), "N", .help = "batches computed at the same time",
     .unset = "one a NUMA node", .max = 1024},
    {"load", OPTION_CHOICE, AT(load), "resident|mmap",
     .help = "weights in private memory or in the file's mapping"},
    {"mlock", OPTION_SWITCH, SERVER(mlock), NULL,
     .help = "lock the weights in memory, or refuse to start"},
    {"hugepages", OPTION_SWITCH, SERVER(hugepages), NULL,
     .help = "weights in reserved huge pages, or not at all"},
    {"numa", OPTION_CHOICE, AT(numa), "auto|off",
     .help = "auto: workers keep to nodes, weights are spread over them"},
    {"max-batch-rows", OPTION_NUMBER, SERVER(max_batch_rows), "N",
     .help = "rows computed together at most", .min = 1, .max = MOST_ROWS},
    {"max-batch-delay-us", OPTION_NUMBER, SERVER(max_batch_delay_us), "N",
     .help = "wait for company, in microseconds", .max = 10000000},
    {"max-batch-ms", OPTION_NUMBER, SERVER(max_batch_ms), "N",
     .help = "cut large requests so beside other clients; 0: never", .max = A_DAY_MS},
    {"spin-us", OPTION_NUMBER, SERVER(spin_us), "N",
     .help = "look for work so long before sleeping, in microseconds", .max = 1000000},
    {"max-queue-rows", OPTION_NUMBER, SERVER(max_queue_rows), "N",
     .help = "rows that may wait, over all layers", .min = 1, .max = MOST_ROWS << 8},
    {"max-queue-requests", OPTION_NUMBER, SERVER(max_queue_requests), "N",
     .help = "requests that may wait", .min = 1, .max = MOST_ROWS},
    {"max-connections", OPTION_NUMBER, SERVER(max_connections), "N",
     .help = "open connections; each of several addresses has its share", .min = 1,
     .max = MOST_ROWS},
    {"max-connections-per-client", OPTION_NUMBER, SERVER(max_connections_per_client), "N",
     .help = "of one IPv4 address or one /64 of IPv6", .unset = "none", .max = MOST_ROWS},
    {"max-header-bytes", OPTION_BYTES, SERVER(max_header_bytes), "SIZE",
     .help = "URL and headers of one request", .min = 4096, .max = UINT64_C(16) << 20},
    {"max-request-rows", OPTION_NUMBER, SERVER(max_request_rows), "N",
     .help = "rows of one request", .min = 1, .max = MOST_ROWS << 4},
    {"max-body-bytes", OPTION_BYTES, SERVER(max_body_bytes), "SIZE", .help = "bytes of one request",
     .min = 1, .max = UINT64_C(1) << 40},
    {"max-inflight-bytes", OPTION_BYTES, SERVER(max_inflight_bytes), "SIZE",
     .help = "bytes that all requests hold, their answers with them", .min = 1,
     .max = UINT64_C(1) << 45},
    {"header-timeout-ms", OPTION_NUMBER, SERVER(header_timeout_ms), "N",
     .help = "a new connection without a request by then is closed", .min = 1, .max = A_DAY_MS},
    {"body-timeout-ms", OPTION_NUMBER, SERVER(body_timeout_ms), "N",
     .help = "a slower body is answered 408, a slower reader cut off", .min = 1, .max = A_DAY_MS},
    {"idle-timeout-ms", OPTION_NUMBER, SERVER(idle_timeout_ms), "N",
     .help = "a connection without a next request by then is closed", .min = 1, .max = A_DAY_MS},
    {"default-deadline-ms", OPTION_NUMBER, SERVER(default_deadline_ms), "N",
     .help = "deadline of requests that name none", .unset = "none", .max = A_DAY_MS},
    {"drain-delay-ms", OPTION_NUMBER, SERVER(drain_delay_ms), "N",
     .help = "keep accepting for so long after SIGTERM", .max = A_DAY_MS},
    {"drain-timeout-ms", OPTION_NUMBER, SERVER(drain_timeout_ms), "N",
     .help = "answer what still waits after so long with 503", .max = A_DAY_MS},
    {"api-key-file", OPTION_TEXT, SERVER(api_key_file), "FILE",
     .help = "ask for one of the API keys in it", .unset = "none", .secret = true},
    {"metrics-open", OPTION_SWITCH, SERVER(metrics_open), NULL,
     .help = "answer /metrics without a key"},
    {"tls-cert", OPTION_TEXT, SERVER(tls_cert), "FILE",
     .help = "PEM: certificate and chain; TCP ports then speak TLS only", .unset = "none"},
    {"tls-key", OPTION_TEXT, SERVER(tls_key), "FILE", .help = "PEM: the certificate's key",
     .unset = "none", .secret = true},
    {"tls-client-ca", OPTION_TEXT, SERVER(tls_client_ca), "FILE",
     .help = "PEM: clients need a certificate of one of these authorities", .unset = "none"},
    {"watchdog-ms", OPTION_NUMBER, SERVER(watchdog_ms), "N",
     .help = "a batch that takes longer fails /livez; 0: never", .max = A_DAY_MS},
    {"log-format", OPTION_CHOICE, AT(log_format), "text|json", .help = "form of the log on stderr"},
    {"log-level", OPTION_CHOICE, AT(log_level), "debug|info|warn|error|off",
     .help = "least level that is logged"},
    {"log-file", OPTION_TEXT, SERVER(log_file), "PATH",
     .help = "append the log to a file, opened again at SIGHUP", .unset = "stderr"},
    {"log-requests", OPTION_CHOICE, AT(log_requests), "debug|info|warn|error|off",
     .help = "of a request's line; failed ones: info at least"},
    {"metrics-per-expert", OPTION_SWITCH, SERVER(metrics_per_expert), NULL,
     .help = "one series a layer and expert in /metrics"},
    {"print-config", OPTION_SWITCH, AT(print_config), NULL,
     .help = "show the settings that result, secrets hidden, and stop"},
};

static void set_defaults(void *arguments)
{
    struct serve_arguments *serve = arguments;

    moed_server_options_init(&serve->server);
    serve->load = serve->server.map;
    serve->activations = serve->server.f32_rows;
    serve->log_level = MOED_LOG_INFO;
    serve->log_format = MOED_LOG_TEXT;
    serve->log_requests = serve->server.log_requests;
}

/* Where to listen, and whom to tell: what systemd says counts where no flag says otherwise. */
static int ask_surroundings(struct serve_arguments *serve, char *(*get)(const char *name),
                            struct moed_error *err)
{
    struct moed_server_options *server = &serve->server;
    struct option_texts *listen = &serve->listen;
    static const char lane[] = "lane:";
    struct systemd systemd;
    int status = systemd_read(&systemd, get, (uint32_t)getpid(), err);

    if (status == 0)
        status = systemd_resolve(&systemd, listen, err);
    if (status != 0)
        return status;
    if (listen->n > MOED_MAX_LISTEN)
        return moed_fail(err, MOED_E_USAGE, "--listen: %u sockets, the limit is %d", listen->n,
                         MOED_MAX_LISTEN);
    server->notify_socket = systemd.notify_socket;
    server->notify_watchdog_us = systemd.watchdog_us;
    server->pool_threads = get("UV_THREADPOOL_SIZE");
    if (listen->n > 0)
        server->n_listen = 0; /* else one, by default */
    for (uint32_t i = 0; i < listen->n; i++) {
        if (strncmp(listen->at[i], lane, strlen(lane)) == 0)
            server->lanes[server->n_lanes++] = listen->at[i] + strlen(lane);
        else
            server->listen[server->n_listen++] = listen->at[i];
    }
    return 0;
}

static int configure_log(struct serve_arguments *serve, struct moed_error *err)
{
    struct moed_server_options *server = &serve->server;

    server->progress =
        serve->log_format == MOED_LOG_TEXT && server->log_file == NULL && isatty(STDERR_FILENO);
    server->log_requests = (enum moed_log_level)serve->log_requests;
    moed_log_configure((enum moed_log_level)serve->log_level,
                       (enum moed_log_format)serve->log_format);
    return server->log_file != NULL ? moed_log_open(server->log_file, err) : 0;
}

/* It is shown in /v1/moe/info and /metrics, which are text. */
static int check_name(const char *name, struct moed_error *err)
{
    char clean[3 * MAX_NAME + 1];

    if (name == NULL)
        return 0;
    if (strlen(name) > MAX_NAME)
        return moed_fail(err, MOED_E_USAGE, "--name: found %zu bytes, expected at most %d",
                         strlen(name), MAX_NAME);
    moed_clean_text(clean, name, strlen(name));
    if (strcmp(clean, name) != 0)
        return moed_fail(err, MOED_E_USAGE,
                         "--name: found \"%s\", expected UTF-8 without control characters", clean);
    return 0;
}

static int run(const struct invocation *invocation, struct moed_error *err)
{
    struct serve_arguments *serve = invocation->arguments;
    struct moed_server_options *server = &serve->server;
    int status;

    if (serve->print_config) {
        options_print(invocation->options, stdout);
        return 0;
    }
    status = check_name(server->name, err);
    if (status == 0)
        status = ask_surroundings(serve, invocation->get, err);
    if (status == 0)
        status = configure_log(serve, err);
    if (status != 0)
        return status;
    server->model_path = invocation->operand;
    server->map = serve->load == 1;
    server->f32_rows = serve->activations == 1;
    server->numa = serve->numa == 0;
    return moed_server_run(server, err);
}

const struct command serve_command = {
    .name = "serve",
    .operand = "MODEL.gguf",
    .summary = "answer requests for the model's MoE layers over HTTP",
    .details =
        "Binds at once, loads the model while /readyz says 503, then answers\n"
        "POST /v1/moe/forward until SIGTERM or SIGINT, which drain. GET /openapi.json\n"
        "describes every endpoint.",
    .examples =
        "  moed serve model.gguf\n"
        "  moed serve model.gguf --listen 0.0.0.0:8080 --layers 0-23 --threads 16\n"
        "  MOED_ARG_LOG_FORMAT=json moed serve model.gguf --listen unix:/run/moed.sock\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct serve_arguments),
    .defaults = set_defaults,
    .run = run,
};
