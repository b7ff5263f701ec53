/* model: opens a file, finds its MoE layers and binds those that are to be served. */
#include "bind.h"
#include "held.h"
#include "kind.h"
#include "select.h"
#include "side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The public struct and what only this file writes. */
struct open_model {
    struct moed_model model; /* first: a moed_model is one of these */
    struct model_source source;
    struct model_side side; /* of --arch-file; the source's row may be in it */
    char *name, *arch;
    uint32_t *moe_layers;
    struct model_held *held; /* [n_layers], behind the layers' banks */
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* The file's own name, as text, where it tells none: a name is only for show, so that a key of
 * another type is as good as none. */
static int name_by_path(struct open_model *m, const char *path)
{
    const char *name = base_name(path);
    size_t length = strlen(name);

    if (length > 5 && strcmp(name + length - 5, ".gguf") == 0)
        length -= 5;
    m->name = malloc(3 * length + 1);
    if (m->name == NULL)
        return MOED_E_NO_MEMORY;
    moed_clean_text(m->name, name, length);
    return 0;
}

static int read_name(struct open_model *m, const char *path, struct moed_error *err)
{
    int rc = moed_gguf_copy_string(m->model.gguf, "general.name", &m->name, NULL);

    if (rc != 0 && rc != MOED_E_NO_MEMORY)
        rc = name_by_path(m, path);
    m->model.name = m->name;
    return rc == 0 ? 0 : moed_fail(err, rc, "no memory for the model's name");
}

/* The row of the file's architecture: the side file's if that is its name, else the table's. */
static int find_row(struct open_model *m, const char *arch_file, struct moed_error *err)
{
    const char *name = m->model.arch;
    int rc = arch_file != NULL ? model_side_read(arch_file, m->model.gguf, name, &m->side, err) : 0;

    if (rc != 0)
        return rc;
    if (arch_file != NULL && strcmp(m->side.row.name, name) == 0)
        m->source.arch = &m->side.row;
    else
        m->source.arch = model_arch_find(m->model.gguf, name, name);
    if (m->source.arch != NULL)
        return 0;
    rc = model_arch_unknown(m->model.gguf, name, err);
    if (arch_file != NULL)
        moed_error_prefix(err, "%s describes architecture \"%s\"", arch_file, m->side.row.name);
    return rc;
}

static int read_arch(struct open_model *m, const char *arch_file, struct moed_error *err)
{
    const char *name;
    uint64_t blocks;
    int rc = moed_gguf_copy_string(m->model.gguf, "general.architecture", &m->arch, err);

    if (rc == 0 || rc == MOED_E_NOT_FOUND) {
        const int kind = model_check_kind(m->model.gguf, m->arch, err);
        rc = kind != 0 ? kind : rc;
    }
    if (rc == MOED_E_NOT_FOUND)
        return moed_fail(err, MOED_E_BAD_FILE, "key general.architecture is missing");
    if (rc != 0)
        return rc;
    m->model.arch = name = m->arch;
    m->source.keys = (struct model_keys){m->model.gguf, name};
    rc = find_row(m, arch_file, err);
    if (rc != 0)
        return rc;
    rc = model_key_u64(&m->source.keys, "block_count", 0, &blocks, err);
    if (rc == MOED_E_NOT_FOUND)
        return moed_fail(err, MOED_E_BAD_FILE, "key %s.block_count is missing", name);
    if (rc == 0 && (blocks < 1 || blocks > MODEL_MAX_BLOCKS))
        return moed_fail(err, MOED_E_BAD_FILE, "key %s.block_count: found %llu, expected 1 to %d",
                         name, (unsigned long long)blocks, MODEL_MAX_BLOCKS);
    if (rc == 0)
        m->model.block_count = (uint32_t)blocks;
    return rc;
}

/* A tensor of a block past the last would silently not be served. */
static int check_blocks(const struct open_model *m, struct moed_error *err)
{
    const struct moed_gguf *gguf = m->model.gguf;

    for (size_t i = 0; i < moed_gguf_tensor_count(gguf); i++) {
        const char *name = moed_gguf_tensor_at(gguf, i)->name;

        if (strncmp(name, "blk.", 4) != 0 || name[4] < '0' || name[4] > '9')
            continue;
        if (strtoul(name + 4, NULL, 10) >= m->model.block_count)
            return moed_fail(err, MOED_E_BAD_FILE,
                             "key %s.block_count is %u, but the file has tensor %s", m->model.arch,
                             m->model.block_count, name);
    }
    return 0;
}

static int find_moe_layers(struct open_model *m, struct moed_error *err)
{
    m->moe_layers = moed_calloc(m->model.block_count, sizeof *m->moe_layers);
    if (m->moe_layers == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u blocks", m->model.block_count);
    m->model.moe_layers = m->moe_layers;
    for (uint32_t i = 0; i < m->model.block_count; i++) {
        const struct model_block block = {m->model.gguf, i, err};
        bool is_moe;
        int rc = model_is_moe(&block, &is_moe);

        if (rc != 0)
            return rc;
        if (is_moe)
            m->moe_layers[m->model.n_moe_layers++] = i;
    }
    if (m->model.n_moe_layers == 0)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "no MoE layer: none of the %u blocks has ffn_gate_inp.weight and "
                         "ffn_down_exps.weight",
                         m->model.block_count);
    return 0;
}

/* All MoE layers, or those asked for, each of which must be one. */
static int choose_layers(const struct open_model *m, const char *layers, bool *chosen,
                         struct moed_error *err)
{
    const struct moed_model *model = &m->model;
    const struct model_choice among = {"layers", "block", "the model", model->block_count};
    int rc = layers != NULL ? model_select(layers, &among, chosen, err) : 0;

    for (uint32_t i = 0; rc == 0 && i < model->block_count; i++) {
        const bool is_moe = moed_model_has_moe_layer(model, i);

        if (layers == NULL)
            chosen[i] = is_moe;
        else if (chosen[i] && !is_moe)
            rc =
                moed_fail(err, MOED_E_USAGE,
                          "layers \"%.60s\": block %u is no MoE layer; those are %u, from %u to %u",
                          layers, i, model->n_moe_layers, model->moe_layers[0],
                          model->moe_layers[model->n_moe_layers - 1]);
    }
    return rc;
}

static int bind_layers(struct open_model *m, const bool *chosen, const char *experts,
                       struct moed_error *err)
{
    struct moed_model *model = &m->model;
    uint32_t n = 0;

    for (uint32_t i = 0; i < model->block_count; i++)
        n += chosen[i];
    model->layers = moed_calloc(n, sizeof *model->layers);
    m->held = moed_calloc(n, sizeof *m->held);
    if (model->layers == NULL || m->held == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u layers", n);
    for (uint32_t i = 0; i < model->block_count; i++) {
        const struct model_block block = {model->gguf, i, err};
        int rc;

        if (!chosen[i])
            continue;
        rc = model_bind_layer(&m->source, &block, &model->layers[model->n_layers]);
        if (rc == 0 && experts != NULL)
            rc = model_hold(experts, &model->layers[model->n_layers], &m->held[model->n_layers],
                            err);
        if (rc != 0)
            return rc;
        model->n_layers++;
    }
    return 0;
}

/* The container's messages begin with the file already. */
static void name_file(const char *path, struct moed_error *err)
{
    if (err != NULL && strncmp(err->message, path, strlen(path)) != 0)
        moed_error_prefix(err, "%s", path);
}

int moed_model_open(const char *path, const struct moed_model_options *options,
                    struct moed_model **out, struct moed_error *err)
{
    const struct moed_model_options o = options != NULL ? *options : (struct moed_model_options){0};
    bool chosen[MODEL_MAX_BLOCKS] = {false};
    struct open_model *m = calloc(1, sizeof *m);
    int rc;

    if (m == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "%s: no memory for a model", path);
    rc = moed_gguf_open(path, &m->model.gguf, err);
    if (rc != 0) /* its message names the file */
        goto fail;
    rc = read_name(m, path, err);
    if (rc == 0)
        rc = read_arch(m, o.arch_file, err);
    if (rc == 0)
        rc = check_blocks(m, err);
    if (rc == 0)
        rc = find_moe_layers(m, err);
    if (rc == 0)
        rc = choose_layers(m, o.layers, chosen, err);
    if (rc == 0)
        rc = bind_layers(m, chosen, o.experts, err);
    if (rc != 0) {
        name_file(path, err);
        goto fail;
    }
    *out = &m->model;
    return 0;
fail:
    moed_model_close(&m->model);
    return rc;
}

void moed_model_close(struct moed_model *model)
{
    struct open_model *m = (struct open_model *)model;

    if (m == NULL)
        return;
    moed_gguf_close(m->model.gguf);
    model_side_free(&m->side);
    for (uint32_t i = 0; m->held != NULL && i < m->model.n_layers; i++)
        model_held_free(&m->held[i]);
    free(m->held);
    free(m->model.layers);
    free(m->moe_layers);
    free(m->name);
    free(m->arch);
    free(m);
}

const struct moed_layer *moed_model_layer(const struct moed_model *model, uint32_t index)
{
    for (uint32_t i = 0; i < model->n_layers; i++) {
        if (model->layers[i].index == index)
            return &model->layers[i];
    }
    return NULL;
}

bool moed_model_has_moe_layer(const struct moed_model *model, uint32_t index)
{
    for (uint32_t i = 0; i < model->n_moe_layers; i++) {
        if (model->moe_layers[i] == index)
            return true;
    }
    return false;
}

static bool serves_layer(const void *model, uint32_t index)
{
    return moed_model_layer(model, index) != NULL;
}

struct moed_set moed_model_served(const struct moed_model *model)
{
    return (struct moed_set){serves_layer, model, model->block_count};
}

bool moed_layer_holds(const struct moed_layer *layer, uint32_t expert)
{
    return layer->routed.place == NULL || layer->routed.place[expert] >= 0;
}

static bool holds_expert(const void *layer, uint32_t expert)
{
    return moed_layer_holds(layer, expert);
}

struct moed_set moed_layer_held(const struct moed_layer *layer)
{
    return (struct moed_set){holds_expert, layer, layer->experts};
}
