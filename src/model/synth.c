/* synth: writes a valid model of a preset's shape with random weights, directly in the packed
 * types, through a buffer of a few MB. Every block written is an MoE layer, also where the real
 * model begins with dense ones: blk.0 … blk.N-1, block_count = N.
 *
 * Scales are chosen so that rows of unit variance behave as in a real model: experts' weights
 * deviate by 1/sqrt(inputs), so activations stay near 1; the router's logits deviate by 1.5, so
 * some experts are clearly preferred and none is alone. */
#include "synth_block.h"

#include "bind.h"
#include "src/model/synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define BUFFER_BYTES ((size_t)4 << 20)
#define EPSILON      1e-6F

struct synth {
    struct synth_shape shape;
    uint32_t layers;
    struct moed_random random;
    struct moed_gguf_writer *writer;
    uint8_t *buffer;
    struct moed_error *err;
};

/* ---- keys ---- */

static int write_u32(const struct synth *s, const char *suffix, uint32_t value)
{
    char key[96];

    (void)snprintf(key, sizeof key, "%s.%s", s->shape.arch->name, suffix);
    return moed_gguf_writer_u32(s->writer, key, value);
}

static int write_f32(const struct synth *s, const char *suffix, float value)
{
    char key[96];

    (void)snprintf(key, sizeof key, "%s.%s", s->shape.arch->name, suffix);
    return moed_gguf_writer_f32(s->writer, key, value);
}

static int write_preset_key(const struct synth *s, const struct model_preset_key *k)
{
    char key[96];

    switch (k->kind) {
    case PRESET_KEY_U32:
        return write_u32(s, k->key, (uint32_t)k->value);
    case PRESET_KEY_F32:
        return write_f32(s, k->key, (float)k->value);
    case PRESET_KEY_BOOL:
    case PRESET_KEY_END:
        break;
    }
    (void)snprintf(key, sizeof key, "%s.%s", s->shape.arch->name, k->key);
    return moed_gguf_writer_bool(s->writer, key, k->value != 0.0);
}

static int write_keys(const struct synth *s)
{
    const struct model_preset *p = s->shape.preset;
    char name[96];
    int rc = moed_gguf_writer_string(s->writer, "general.architecture", s->shape.arch->name);

    (void)snprintf(name, sizeof name, "%s synthetic %s", p->name, s->shape.mix.name);
    if (rc == 0)
        rc = moed_gguf_writer_string(s->writer, "general.name", name);
    if (rc == 0)
        rc = moed_gguf_writer_u32(s->writer, "general.quantization_version", 2);
    if (rc == 0)
        rc = write_u32(s, "block_count", s->layers);
    if (rc == 0)
        rc = write_u32(s, "embedding_length", p->hidden);
    if (rc == 0)
        rc = write_u32(s, "feed_forward_length", p->width);
    if (rc == 0)
        rc = write_u32(s, "expert_feed_forward_length", p->width);
    if (rc == 0)
        rc = write_u32(s, "expert_count", p->experts);
    if (rc == 0)
        rc = write_u32(s, "expert_used_count", p->used);
    if (rc == 0)
        rc = write_f32(s, "attention.layer_norm_rms_epsilon", EPSILON);
    for (size_t i = 0; rc == 0 && i < MOED_ARRAY_LEN(p->keys); i++) {
        if (p->keys[i].kind != PRESET_KEY_END)
            rc = write_preset_key(s, &p->keys[i]);
    }
    return rc != 0 ? moed_fail(s->err, rc, "writing the keys failed") : 0;
}

/* ---- data ---- */

static void fill(struct synth *s, const struct synth_tensor *t, size_t n)
{
    t->format->fill(&s->random, t->sigma, s->buffer, n);
    if (t->mean != 0.0F) {
        float *values = (float *)(void *)s->buffer;

        for (size_t i = 0; i < n; i++)
            values[i] += t->mean;
    }
}

static int write_tensor(struct synth *s, const struct synth_tensor *t)
{
    const struct moed_format *format = t->format;
    const uint64_t at_once = BUFFER_BYTES / format->bytes * format->block;
    uint64_t left = t->dims[0];
    int rc = 0;

    for (uint32_t i = 1; i < t->n_dims; i++)
        left *= t->dims[i]; /* a preset's shape: no overflow */
    while (rc == 0 && left > 0) {
        const uint64_t n = left < at_once ? left : at_once;

        fill(s, t, n);
        rc = moed_gguf_writer_data(s->writer, s->buffer, n / format->block * format->bytes, s->err);
        left -= n;
    }
    return rc;
}

static int write_blocks(struct synth *s)
{
    struct synth_block b;
    int rc = 0;

    for (uint32_t i = 0; i < s->layers; i++) {
        synth_block_init(&b, &s->shape, i);
        for (uint32_t j = 0; rc == 0 && j < b.n; j++) {
            const struct synth_tensor *t = &b.tensors[j];

            rc = moed_gguf_writer_tensor(s->writer, t->name, t->format, t->n_dims, t->dims);
            if (rc != 0)
                return moed_fail(s->err, rc, "declaring tensor %s failed", t->name);
        }
    }
    for (uint32_t i = 0; rc == 0 && i < s->layers; i++) {
        synth_block_init(&b, &s->shape, i);
        for (uint32_t j = 0; rc == 0 && j < b.n; j++)
            rc = write_tensor(s, &b.tensors[j]);
    }
    return rc;
}

/* ---- the door ---- */

const char *moed_synth_preset_name(size_t i)
{
    const struct model_preset *preset = model_preset_at(i);

    return preset != NULL ? preset->name : NULL;
}

static const struct model_preset *find_preset(const char *name, struct moed_error *err)
{
    const struct model_preset *p;
    char known[600] = "";
    size_t used = 0;

    for (size_t i = 0; (p = model_preset_at(i)); i++) {
        if (strcasecmp(p->name, name) == 0)
            return p;
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, " %s", p->name);
    }
    moed_fail(err, MOED_E_USAGE, "preset \"%.40s\" is not known; known:%s", name, known);
    return NULL;
}

/* The row for the architecture itself, not for a variant that other keys tell apart. */
static const struct model_arch *find_arch(const char *name)
{
    const struct model_arch *row;

    for (size_t i = 0; (row = model_arch_at(i)); i++) {
        if (strcmp(row->name, name) == 0 && row->when[0].key == NULL)
            break;
    }
    return row;
}

static int read_options(const struct moed_synth_options *options, struct synth *s)
{
    const struct model_preset *preset = find_preset(options->preset, s->err);

    if (preset == NULL)
        return MOED_E_USAGE;
    if (options->layers == 0 || options->layers > MODEL_MAX_BLOCKS)
        return moed_fail(s->err, MOED_E_USAGE,
                         "layers: found %u, expected 1 to %d, the most blocks "
                         "that a model may have",
                         options->layers, MODEL_MAX_BLOCKS);
    s->shape.preset = preset;
    s->shape.arch = find_arch(preset->arch);
    s->layers = options->layers;
    s->shape.depth = s->layers > preset->depth ? s->layers : preset->depth;
    moed_random_seed(&s->random, options->seed);
    return model_mix_find(options->type != NULL ? options->type : preset->type, &s->shape.mix,
                          s->err);
}

/* Whatever is there may be a model that took a day to download. */
static int check_absent(const char *path, const struct moed_synth_options *options,
                        struct moed_error *err)
{
    struct stat st;

    if (options->replace || lstat(path, &st) != 0)
        return 0;
    return moed_fail(err, MOED_E_IO, "%s: found a file there, expected none: --force replaces it",
                     path);
}

int moed_synth(const char *path, const struct moed_synth_options *options, struct moed_error *err)
{
    struct synth s = {.err = err};
    int rc = read_options(options, &s);

    if (rc == 0)
        rc = check_absent(path, options, err);
    if (rc != 0)
        return rc;
    s.buffer = moed_aligned_alloc(1, BUFFER_BYTES);
    if (s.buffer == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a buffer of %zu bytes",
                         BUFFER_BYTES);
    rc = moed_gguf_writer_create(path, &s.writer, err);
    if (rc == 0)
        rc = write_keys(&s);
    if (rc == 0)
        rc = write_blocks(&s);
    if (rc == 0)
        rc = check_absent(path, options, err); /* it took a while */
    if (rc == 0)
        rc = moed_gguf_writer_finish(s.writer, err);
    moed_gguf_writer_destroy(s.writer);
    free(s.buffer);
    return rc;
}
