/* fingerprint: what identifies the served layers: their rules, the descriptors of their tensors
 * and, where wanted, every byte or samples of them. The text that is hashed is part of the
 * contract: two builds must agree on it, so floats are printed exactly and lines are only ever
 * added at the end. */
#include "bind.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK   ((uint64_t)1 << 20)
#define SAMPLE  ((uint64_t)64) /* bytes at a place */
#define SAMPLES ((uint64_t)64) /* places in a tensor at most */

static void add(struct moed_sha256 *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct moed_sha256 *s, const char *format, ...)
{
    char line[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n > 0)
        moed_sha256_update(s, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void add_experts(struct moed_sha256 *s, const char *name, const struct moed_experts *bank)
{
    const struct moed_expert_rule *r = &bank->rule;

    add(s, "%s %u %d %a %a %a %a %d %a\n", name, bank->width, (int)r->activation, (double)r->alpha,
        (double)r->limit, (double)r->beta, (double)r->lambda, (int)r->clamp,
        (double)r->clamp_limit);
}

static void add_rules(struct moed_sha256 *s, const struct moed_layer *layer)
{
    const struct moed_router_rule *r = &layer->router;
    const struct moed_block_rule *b = &layer->block;

    add(s, "layer %u %u %u %u %u\n", layer->index, layer->hidden, layer->experts, layer->used,
        layer->latent);
    add(s, "router %d %d %d %d %u %u %d %a %a %d\n", (int)r->score, (int)r->select,
        (int)r->weight_from, (int)r->group_score, r->groups, r->groups_used, r->renorm,
        (double)r->renorm_floor, (double)r->scale, r->weight_on_input);
    add_experts(s, "routed", &layer->routed);
    add_experts(s, "shared", &layer->shared);
    add(s, "block %d %a %d %a %a\n", (int)b->norm, (double)b->norm_eps, (int)b->residual,
        (double)b->residual_scale, (double)b->ffn_scale);
    if (layer->chunk_size != 0) {
        add_experts(s, "chunks", &layer->chunks);
        add(s, "chunk %u %a\n", layer->chunk_size, (double)layer->chunk_scale);
    }
}

/* How a tensor's bytes are taken in. */
typedef int take_bytes(struct moed_sha256 *s, const struct moed_model *model,
                       const struct moed_gguf_tensor *tensor, struct moed_error *err);

static int take_none(struct moed_sha256 *s, const struct moed_model *model,
                     const struct moed_gguf_tensor *tensor, struct moed_error *err)
{
    (void)s;
    (void)model;
    (void)tensor;
    (void)err;
    return 0;
}

static int take_all(struct moed_sha256 *s, const struct moed_model *model,
                    const struct moed_gguf_tensor *tensor, struct moed_error *err)
{
    uint8_t *buffer = malloc(CHUNK);
    int rc = buffer != NULL ? 0 : moed_fail(err, MOED_E_NO_MEMORY, "no memory for a fingerprint");

    for (uint64_t at = 0; rc == 0 && at < tensor->bytes; at += CHUNK) {
        const uint64_t left = tensor->bytes - at;
        const uint64_t n = left < CHUNK ? left : CHUNK;

        rc = moed_gguf_read(model->gguf, tensor, at, n, buffer, err);
        if (rc == 0)
            moed_sha256_update(s, buffer, n);
    }
    free(buffer);
    return rc;
}

static int take_samples(struct moed_sha256 *s, const struct moed_model *model,
                        const struct moed_gguf_tensor *tensor, struct moed_error *err)
{
    const uint64_t size = tensor->bytes < SAMPLE ? tensor->bytes : SAMPLE;
    const uint64_t left = tensor->bytes - size;
    const uint64_t fit = tensor->bytes / SAMPLE;
    const uint64_t n = fit < SAMPLES ? fit : SAMPLES;
    uint8_t buffer[SAMPLE];

    for (uint64_t i = 0; i < n || i == 0; i++) {
        const uint64_t at = n > 1 ? left / (n - 1) * i + left % (n - 1) * i / (n - 1) : 0;
        const int rc = moed_gguf_read(model->gguf, tensor, at, size, buffer, err);

        if (rc != 0)
            return rc;
        moed_sha256_update(s, buffer, size);
    }
    return 0;
}

static int add_layer(struct moed_sha256 *s, const struct moed_model *model,
                     const struct moed_layer *layer, take_bytes *take, struct moed_error *err)
{
    const struct moed_gguf_tensor *last = NULL;
    const struct model_role *role;
    int rc = 0;

    add_rules(s, layer);
    for (size_t i = 0; rc == 0 && (role = model_role_at(i)); i++) {
        const struct moed_gguf_tensor *t = model_role_weight(layer, role)->tensor;

        if (t == NULL)
            continue;
        add(s, "%s %s %u %llu %llu %llu %llu\n", role->name, t->name, t->format->id,
            (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
            (unsigned long long)t->dims[2], (unsigned long long)t->dims[3]);
        if (t != last) /* the halves of a fused tensor are neighbours */
            rc = take(s, model, t, err);
        last = t;
    }
    return rc;
}

int moed_model_fingerprint(const struct moed_model *model, bool bytes_too, char hex[65],
                           struct moed_error *err)
{
    struct moed_sha256 sha;
    int rc = 0;

    moed_sha256_init(&sha);
    add(&sha, "moed 1 %s\n", model->arch);
    for (uint32_t i = 0; rc == 0 && i < model->n_layers; i++)
        rc = add_layer(&sha, model, &model->layers[i], bytes_too ? take_all : take_none, err);
    if (rc == 0)
        moed_sha256_final(&sha, hex);
    return rc;
}

int moed_layer_fingerprint(const struct moed_model *model, const struct moed_layer *layer,
                           char hex[65], struct moed_error *err)
{
    struct moed_sha256 sha;
    int rc;

    moed_sha256_init(&sha);
    add(&sha, "moed layer 1 %s\n", model->arch);
    rc = add_layer(&sha, model, layer, take_samples, err);
    if (rc == 0)
        moed_sha256_final(&sha, hex);
    return rc;
}
