/* golden: finds and reads the cases. case.json is small and ours, so its fields are picked out
 * without a JSON library. */
#include "golden.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = calloc(1, 65536);

    if (f != NULL && text != NULL && fread(text, 1, 65535, f) > 0) {
        fclose(f);
        return text;
    }
    if (f != NULL)
        fclose(f);
    free(text);
    return NULL;
}

static const char *field(const char *json, const char *name)
{
    char quoted[64];
    const char *at;

    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    at = strstr(json, quoted);
    return at != NULL ? at + strlen(quoted) + strspn(at + strlen(quoted), " ") : NULL;
}

static uint32_t number(const char *json, const char *name, uint32_t fallback)
{
    const char *at = field(json, name);

    return at != NULL ? (uint32_t)strtoul(at, NULL, 10) : fallback;
}

static void append_word(const char *json, const char *name, char *out, size_t size)
{
    const char *at = field(json, name);
    const size_t used = strlen(out);

    if (at != NULL && *at == '"')
        snprintf(out + used, size - used, "%s%.*s", used ? " " : "", (int)strcspn(at + 1, "\""),
                 at + 1);
}

static void *read_array(const struct golden_case *c, const char *what, size_t n)
{
    char path[700];
    void *data = calloc(n, 4);
    FILE *f;

    snprintf(path, sizeof path, "%s/layer%u.%s", c->dir, c->layer, what);
    f = fopen(path, "re");
    if (f == NULL || data == NULL || fread(data, 4, n, f) != n) {
        fprintf(stderr, "cannot read %zu values of %s\n", n, path);
        exit(1);
    }
    fclose(f);
    return data;
}

static void run_layer(struct golden_case *c, void (*check)(const struct golden_case *, void *),
                      void *context)
{
    c->x = read_array(c, "hidden.f32", (size_t)c->rows * c->hidden);
    c->logits = read_array(c, "logits.f32", (size_t)c->rows * c->experts);
    c->ids = read_array(c, "expert_ids.i32", (size_t)c->rows * c->k);
    c->weights = read_array(c, "expert_weights.f32", (size_t)c->rows * c->k);
    c->output = read_array(c, "output.f32", (size_t)c->rows * c->hidden);
    check(c, context);
    free(c->x);
    free(c->logits);
    free(c->ids);
    free(c->weights);
    free(c->output);
}

static void find_model(struct golden_case *c)
{
    snprintf(c->model, sizeof c->model, "%s/model.gguf", c->dir);
    if (access(c->model, R_OK) != 0)
        snprintf(c->model, sizeof c->model, "%s/model-00001-of-00003.gguf", c->dir);
}

static int run_case(const char *root, const char *name,
                    void (*check)(const struct golden_case *, void *), void *context)
{
    struct golden_case c = {0};
    char path[700];
    char *json;
    uint32_t layers;
    uint32_t first;

    snprintf(c.name, sizeof c.name, "%.63s", name);
    snprintf(c.dir, sizeof c.dir, "%.440s/%.63s", root, name);
    snprintf(path, sizeof path, "%s/case.json", c.dir);
    json = read_text(path);
    if (json == NULL)
        return 0;
    find_model(&c);
    c.hidden = number(json, "hidden", 0);
    c.experts = number(json, "experts", 0);
    c.k = number(json, "k", 0);
    c.rows = number(json, "tokens", 0);
    layers = number(json, "layers", 1);
    first = number(json, "layer", 0);
    c.ties = strncmp(field(json, "ties") != NULL ? field(json, "ties") : "false", "true", 4) == 0;
    append_word(json, "gate", c.types, sizeof c.types);
    append_word(json, "up", c.types, sizeof c.types);
    append_word(json, "down", c.types, sizeof c.types);
    free(json);
    for (uint32_t i = 0; i < layers; i++) {
        c.layer = first + i;
        run_layer(&c, check, context);
    }
    return (int)layers;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int run_folder(const char *root, const char *prefix,
                      void (*check)(const struct golden_case *, void *), void *context)
{
    char names[128][64];
    char path[600];
    size_t n = 0;
    int calls = 0;
    DIR *dir;

    snprintf(path, sizeof path, "%s/%s", root, prefix);
    dir = opendir(path);
    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL && n < 128;
         e = readdir(dir))
        if (e->d_name[0] != '.')
            snprintf(names[n++], sizeof names[0], "%s%.48s", prefix, e->d_name);
    if (dir != NULL)
        closedir(dir);
    qsort(names, n, sizeof names[0], by_name);
    for (size_t i = 0; i < n; i++)
        calls += run_case(root, names[i], check, context);
    return calls;
}

int golden_for_each(const char *root, void (*check)(const struct golden_case *, void *),
                    void *context)
{
    return run_folder(root, "", check, context) + run_folder(root, "arch/", check, context);
}

double golden_error(const float *a, const float *b, size_t n)
{
    double difference = 0.0;
    double size = 0.0;

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]))
            return INFINITY;
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / size);
}

double golden_tolerance(const struct golden_case *c, const char *backend)
{
    char words[128];
    char *state = NULL;
    double worst = 1e-6;

    if (strcmp(backend, "reference") == 0)
        return 2e-6;
    snprintf(words, sizeof words, "%s", c->types);
    for (char *w = strtok_r(words, " ", &state); w; w = strtok_r(NULL, " ", &state)) {
        double limit = strcmp(backend, "cuda") == 0 ? 2e-3 : 1.25e-2;

        if (strcmp(w, "f32") == 0)
            limit = 1e-6;
        else if (strcmp(w, "f16") == 0)
            limit = strcmp(backend, "cuda") == 0 ? 1e-3 : 4e-4;
        else if (strcmp(w, "bf16") == 0)
            limit = 3e-3;
        worst = limit > worst ? limit : worst;
    }
    return worst;
}
