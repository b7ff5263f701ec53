/* fleet: walks over the layers of the model. Of each layer, servers that hold the same experts are
 * replicas, and those that hold others are its parts, which must not overlap: a sum over parts
 * would count an expert twice. */
#include "fleet.h"

#include <stdlib.h>
#include <string.h>

/* One layer, as it is found on the servers. */
struct place {
    const struct fleet_server *servers;
    uint32_t n;
    const struct fleet_layer **at; /* [n] the layer on each, or NULL */
    uint32_t layer, experts;
    uint64_t covered[MOED_MAX_EXPERTS / 64];
    FILE *text;
    uint32_t faults;
};

static const struct fleet_layer *find(const struct fleet_server *server, uint32_t layer)
{
    for (uint32_t i = 0; i < server->n_layers; i++)
        if (server->layers[i].layer == layer)
            return &server->layers[i];
    return NULL;
}

static bool has_bit(const void *bits, uint32_t e)
{
    return (((const uint64_t *)bits)[e / 64] >> e % 64 & 1) != 0;
}

static bool has_no_bit(const void *bits, uint32_t e)
{
    return !has_bit(bits, e);
}

static void print_experts(const struct moed_set *set, FILE *out)
{
    char text[256];
    uint32_t first = 0, last;

    moed_set_print(set, text, sizeof text);
    if (moed_set_run(set, &first, &last) && last - first + 1 == set->n)
        fprintf(out, "all %u experts", set->n);
    else
        fprintf(out, "experts %s", text);
}

static bool same_part(const struct fleet_layer *a, const struct fleet_layer *b)
{
    return memcmp(a->held, b->held, sizeof a->held) == 0;
}

static bool overlap(const struct fleet_layer *a, const struct fleet_layer *b)
{
    for (size_t i = 0; i < MOED_ARRAY_LEN(a->held); i++)
        if (a->held[i] & b->held[i])
            return true;
    return false;
}

static void fault(struct place *p, const char *what, const char *url, const char *other)
{
    fprintf(p->text, "  FAULT: %s: %s, %s\n", what, url, other);
    p->faults++;
}

/* What server i says against what the first server of the layer does. */
static void compare(struct place *p, uint32_t first, uint32_t i)
{
    const struct fleet_server *a = &p->servers[first], *b = &p->servers[i];

    if (p->at[i]->experts != p->experts)
        fault(p, "different numbers of experts", a->url, b->url);
    else if (strcmp(p->at[first]->fingerprint, p->at[i]->fingerprint) != 0)
        fault(p, "different weights", a->url, b->url);
}

/* The servers that hold the same experts of the layer as server i, the first that does. */
static void describe_part(struct place *p, uint32_t i)
{
    const struct moed_set held = {has_bit, p->at[i]->held, p->experts};
    bool differ = false;

    fprintf(p->text, "  ");
    print_experts(&held, p->text);
    for (uint32_t o = i; o < p->n; o++) {
        if (p->at[o] == NULL || !same_part(p->at[i], p->at[o]))
            continue;
        fprintf(p->text, "%s %s", o == i ? ":" : ",", p->servers[o].url);
        differ = differ || strcmp(p->servers[i].computes, p->servers[o].computes) != 0;
    }
    fprintf(p->text, "\n");
    if (differ)
        fprintf(p->text,
                "  note: these compute in different ways: answers may differ by rounding\n");
}

/* Whether an earlier server holds the same experts; where one holds some of them, says so. */
static bool seen_before(struct place *p, uint32_t i)
{
    for (uint32_t o = 0; o < i; o++)
        if (p->at[o] != NULL && same_part(p->at[o], p->at[i]))
            return true;
    for (uint32_t o = 0; o < i; o++)
        if (p->at[o] != NULL && p->at[o]->experts == p->at[i]->experts &&
            overlap(p->at[o], p->at[i]))
            fault(p, "parts that overlap, so that sums count experts twice", p->servers[o].url,
                  p->servers[i].url);
    return false;
}

static void find_gaps(struct place *p)
{
    const struct moed_set gaps = {has_no_bit, p->covered, p->experts};
    uint32_t first = 0, last;

    if (!moed_set_run(&gaps, &first, &last))
        return;
    fprintf(p->text, "  FAULT: nobody serves ");
    print_experts(&gaps, p->text);
    fprintf(p->text, "\n");
    p->faults++;
}

static void describe_layer(struct place *p)
{
    uint32_t first = 0;

    while (first < p->n && p->at[first] == NULL)
        first++;
    if (first == p->n) {
        fprintf(p->text, "  FAULT: nobody serves it\n");
        p->faults++;
        return;
    }
    p->experts = p->at[first]->experts;
    for (uint32_t i = first; i < p->n; i++) {
        if (p->at[i] == NULL)
            continue;
        compare(p, first, i);
        if (!seen_before(p, i))
            describe_part(p, i);
        for (size_t w = 0; w < MOED_ARRAY_LEN(p->covered); w++)
            p->covered[w] |= p->at[i]->held[w];
    }
    find_gaps(p);
}

/* A layer's paragraph without its number, for the caller to free; NULL without memory. */
static char *paragraph(const struct fleet_server *servers, uint32_t n, uint32_t layer,
                       uint32_t *faults)
{
    struct place p = {.servers = servers, .n = n, .layer = layer};
    char *text = NULL;
    size_t size;

    p.at = moed_calloc(n, sizeof(void *));
    p.text = open_memstream(&text, &size);
    if (p.at != NULL && p.text != NULL) {
        for (uint32_t i = 0; i < n; i++)
            p.at[i] = find(&servers[i], layer);
        describe_layer(&p);
    }
    if (p.text != NULL)
        fclose(p.text);
    free(p.at);
    *faults = p.faults;
    return text;
}

/* Servers of another model than the first's say so, whatever their layers are. */
static uint32_t compare_models(const struct fleet_server *servers, uint32_t n, FILE *out)
{
    uint32_t faults = 0;

    for (uint32_t i = 1; i < n; i++) {
        const struct fleet_server *a = &servers[0], *b = &servers[i];

        if (strcmp(a->arch, b->arch) == 0 && a->n_moe_layers == b->n_moe_layers &&
            memcmp(a->moe_layers, b->moe_layers, a->n_moe_layers * sizeof *a->moe_layers) == 0)
            continue;
        fprintf(out, "FAULT: different models: %s has %s with %u MoE layers, %s has %s with %u\n",
                a->url, a->arch, a->n_moe_layers, b->url, b->arch, b->n_moe_layers);
        faults++;
    }
    return faults;
}

static void print_run(uint32_t first, uint32_t last, const char *text, FILE *out)
{
    if (first == last)
        fprintf(out, "layer %u\n%s", first, text);
    else
        fprintf(out, "layers %u-%u\n%s", first, last, text);
}

uint32_t fleet_report(const struct fleet_server *servers, uint32_t n, FILE *out)
{
    uint32_t faults = compare_models(servers, n, out);
    uint32_t first = 0, last = 0;
    char *said = NULL; /* of layers [first, last] */

    for (uint32_t i = 0; i < servers[0].n_moe_layers; i++) {
        const uint32_t layer = servers[0].moe_layers[i];
        uint32_t found;
        char *text = paragraph(servers, n, layer, &found);

        if (said != NULL && text != NULL && strcmp(said, text) == 0) {
            free(text); /* one fault of many layers is one */
        } else {
            if (said != NULL)
                print_run(first, last, said, out);
            free(said);
            said = text;
            first = layer;
            faults += found;
        }
        last = layer;
    }
    if (said != NULL)
        print_run(first, last, said, out);
    free(said);
    return faults;
}
