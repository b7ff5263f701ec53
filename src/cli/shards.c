/* shards: asks the servers of a fleet what they serve, and says whether that is the whole model. */
#include "src/client/client.h"

#include <stdlib.h>
#include <string.h>

#include "fleet.h"
#include "table.h"
#include "trust.h"
#include "value.h"

struct shards_arguments {
    uint32_t timeout_ms;
    struct option_texts headers;
    struct moed_trust_options trust;
};

/* "GET PATH/v1/moe/info" with the headers that were asked for; for the caller to free. */
static char *make_request(const struct moed_url *url, const struct option_texts *headers)
{
    const size_t slash = strlen(url->path);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    fprintf(out, "GET %.*s/v1/moe/info HTTP/1.1\r\nHost: %s\r\n",
            (int)(slash > 0 && url->path[slash - 1] == '/' ? slash - 1 : slash), url->path,
            moed_url_host(url));
    for (uint32_t i = 0; i < headers->n; i++)
        fprintf(out, "%s\r\n", headers->at[i]);
    fprintf(out, "\r\n");
    fclose(out);
    return text;
}

static int ask(const struct moed_url *url, const struct shards_arguments *arguments,
               struct moed_asked *asked, struct moed_error *err)
{
    char *request = make_request(url, &arguments->headers);
    struct moed_trust *trust = NULL;
    struct moed_asker asker;
    int rc = 0;

    if (request == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a request");
    if (url->is_tls)
        rc = moed_trust_create(&arguments->trust, &trust, err);
    if (rc == 0) {
        moed_asker_init(&asker, url, trust, arguments->timeout_ms);
        rc = moed_asker_ask(&asker, request, strlen(request), asked, err);
        moed_asker_fini(&asker);
    }
    moed_trust_destroy(trust);
    free(request);
    return rc;
}

/* Asks the server at server->url. What it answers may be an error; that is one too. */
static int meet(struct fleet_server *server, const struct shards_arguments *arguments,
                struct moed_error *err)
{
    struct moed_asked asked = {0};
    struct moed_url url;
    int rc = moed_url_parse(server->url, &url, err);

    if (rc == 0)
        rc = ask(&url, arguments, &asked, err);
    if (rc != 0)
        return rc;
    if (asked.status == 200)
        rc = fleet_read(asked.body, server, err);
    else
        rc = moed_fail(err, MOED_E_LOADING, "%s: /v1/moe/info: expected 200, found %u: %.200s",
                       server->url, asked.status, asked.body);
    free(asked.body);
    return rc;
}

static bool serves(const void *server, uint32_t layer)
{
    const struct fleet_server *s = server;

    for (uint32_t i = 0; i < s->n_layers; i++)
        if (s->layers[i].layer == layer)
            return true;
    return false;
}

static void print_servers(const struct fleet_server *servers, uint32_t n)
{
    static const struct table_column columns[] = {
        {"server", -28}, {"layers", -12}, {"held", 10}, {"computes", -24}, {"model", -1}};
    struct table table;

    table_begin(&table, stdout, columns, MOED_ARRAY_LEN(columns));
    for (uint32_t i = 0; i < n; i++) {
        const struct moed_set layers = {serves, &servers[i], UINT16_MAX};
        char text[64], size[16];

        moed_set_print(&layers, text, sizeof text);
        table_cell(&table, "%s", servers[i].url);
        table_cell(&table, "%s", text);
        table_cell(&table, "%s", format_size((unsigned long long)servers[i].bytes, size));
        table_cell(&table, "%s", servers[i].computes);
        table_cell(&table, "%s", servers[i].name);
    }
    printf("\n");
}

static int judge(const struct fleet_server *servers, uint32_t n, uint32_t asked,
                 struct moed_error *err)
{
    uint32_t faults = asked - n;

    if (n > 0) {
        print_servers(servers, n);
        faults += fleet_report(servers, n, stdout);
    }
    if (faults > 0)
        return moed_fail(err, MOED_E_IO, "%u %s in a fleet of %u", faults,
                         faults == 1 ? "fault" : "faults", asked);
    printf("\n%u %s, no faults\n", n, n == 1 ? "server" : "servers");
    return 0;
}

static int run(const struct invocation *invocation, struct moed_error *err)
{
    const struct shards_arguments *arguments = invocation->arguments;
    struct fleet_server *servers = moed_calloc(invocation->n_operands, sizeof *servers);
    uint32_t n = 0;
    int rc = value_check_headers(&arguments->headers, err);

    if (rc != 0)
        goto out;
    if (servers == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u servers", invocation->n_operands);
    for (uint32_t i = 0; i < invocation->n_operands; i++) {
        servers[n].url = invocation->operands[i];
        rc = meet(&servers[n], arguments, err);
        if (rc == MOED_E_USAGE)
            goto out;
        if (rc == 0)
            n++;
        else
            printf("FAULT: %s\n", err->message);
        if (rc != 0)
            fleet_server_fini(&servers[n]);
    }
    rc = judge(servers, n, invocation->n_operands, err);
out:
    for (uint32_t i = 0; i < n; i++)
        fleet_server_fini(&servers[i]);
    free(servers);
    return rc;
}

static void set_defaults(void *arguments)
{
    struct shards_arguments *a = arguments;

    a->timeout_ms = 5000;
}

#define AT(field) offsetof(struct shards_arguments, field)

static const struct option options[] = {
    {"header", OPTION_TEXTS, AT(headers), "'NAME: VALUE'",
     .help = "sent with every request; may be repeated", .secret = true},
    {"timeout-ms", OPTION_NUMBER, AT(timeout_ms), "N",
     .help = "patience for connecting, and for an answer", .min = 1},
    TRUST_OPTIONS(AT(trust)),
};

const struct command shards_command = {
    .name = "shards",
    .operand = "URL…",
    .operands = OPERANDS_MAX,
    .summary = "who serves what in a fleet, and whether that is the whole model",
    .details =
        "Asks every server for /v1/moe/info. Prints which layers and experts are where, and\n"
        "fails if some are nowhere, if parts of a layer overlap, or if servers hold different\n"
        "weights. Name the servers themselves, not a proxy before them.",
    .examples =
        "  moed shards http://10.0.0.1:8080 http://10.0.0.2:8080\n"
        "  moed shards 127.0.0.1:9000 unix:/run/moed.sock --header 'X-API-Key: s3cret'\n",
    .options = options,
    .n_options = MOED_ARRAY_LEN(options),
    .arguments_size = sizeof(struct shards_arguments),
    .defaults = set_defaults,
    .run = run,
};
