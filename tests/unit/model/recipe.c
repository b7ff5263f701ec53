/* recipe: see recipe.h. */
#include "recipe.h"

#include "kernels/dtype.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void recipe_key(struct recipe *r, const char *key, enum recipe_kind kind, double value)
{
    char name[96];
    size_t i;

    snprintf(name, sizeof(name), "%s.%s", r->arch, key);
    for (i = 0; i < r->n_keys && strcmp(r->keys[i].name, name) != 0; i++)
        ;
    assert_in_range(i, 0, RECIPE_MAX - 1);
    if (i == r->n_keys)
        r->n_keys++;
    r->keys[i] = (struct recipe_key){.kind = kind, .value = value};
    snprintf(r->keys[i].name, sizeof(r->keys[i].name), "%s", name);
}

void recipe_drop_key(struct recipe *r, const char *key)
{
    char name[96];

    snprintf(name, sizeof(name), "%s.%s", r->arch, key);
    for (size_t i = 0; i < r->n_keys; i++) {
        if (strcmp(r->keys[i].name, name) == 0)
            r->keys[i] = r->keys[--r->n_keys];
    }
}

void recipe_tensor(struct recipe *r, const char *name, const char *type, uint64_t d0, uint64_t d1,
                   uint64_t d2)
{
    struct recipe_tensor *t;
    size_t i;

    for (i = 0; i < r->n_tensors && strcmp(r->tensors[i].name, name) != 0; i++)
        ;
    assert_in_range(i, 0, RECIPE_MAX - 1);
    if (i == r->n_tensors)
        r->n_tensors++;
    t = &r->tensors[i];
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->type = type;
    t->dims[0] = d0;
    t->dims[1] = d1;
    t->dims[2] = d2;
    t->n_dims = d1 == 0 ? 1 : d2 == 0 ? 2 : 3;
}

void recipe_drop(struct recipe *r, const char *name)
{
    size_t i;

    for (i = 0; i < r->n_tensors && strcmp(r->tensors[i].name, name) != 0; i++)
        ;
    assert_in_range(i, 0, r->n_tensors - 1);
    r->tensors[i] = r->tensors[--r->n_tensors];
}

void recipe_bank(struct recipe *r, unsigned block, const char *suffix, uint64_t width,
                 uint64_t count)
{
    static const char *const roles[] = {"gate", "up", "down"};
    const uint64_t third = count > 1 ? count : 0;
    char name[96];

    for (int i = 0; i < 3; i++) {
        const bool down = i == 2;

        snprintf(name, sizeof(name), "blk.%u.ffn_%s%s.weight", block, roles[i], suffix);
        recipe_tensor(r, name, "F32", down ? width : RECIPE_H, down ? RECIPE_H : width, third);
    }
}

void recipe_init(struct recipe *r, const char *arch)
{
    memset(r, 0, sizeof(*r));
    r->arch = arch;
    recipe_key(r, "block_count", RECIPE_U32, 1);
    recipe_key(r, "embedding_length", RECIPE_U32, RECIPE_H);
    recipe_key(r, "expert_count", RECIPE_U32, RECIPE_E);
    recipe_key(r, "expert_used_count", RECIPE_U32, RECIPE_K);
    recipe_key(r, "attention.layer_norm_rms_epsilon", RECIPE_F32, 1e-5);
    recipe_tensor(r, "blk.0.ffn_norm.weight", "F32", RECIPE_H, 0, 0);
    recipe_tensor(r, "blk.0.ffn_gate_inp.weight", "F32", RECIPE_H, RECIPE_E, 0);
    recipe_bank(r, 0, "_exps", RECIPE_F, RECIPE_E);
}

static void write_keys(const struct recipe *r, struct moed_gguf_writer *w)
{
    assert_int_equal(moed_gguf_writer_string(w, "general.architecture", r->arch), 0);
    for (size_t i = 0; i < r->n_keys; i++) {
        const struct recipe_key *k = &r->keys[i];
        int rc = k->kind == RECIPE_U32   ? moed_gguf_writer_u32(w, k->name, (uint32_t)k->value)
                 : k->kind == RECIPE_F32 ? moed_gguf_writer_f32(w, k->name, (float)k->value)
                                         : moed_gguf_writer_bool(w, k->name, k->value != 0.0);

        assert_int_equal(rc, 0);
    }
}

/* Weights that keep rows at about their size; norms and scales are near 1. */
static void fill_at_random(const struct recipe_tensor *t, struct moed_random *random, void *data,
                           uint64_t n)
{
    const bool vector = t->n_dims == 1 && strstr(t->name, "gate_inp") == NULL;
    const float sigma = vector ? 0.1F : 1.0F / sqrtf((float)t->dims[0]);
    float *f32 = data;

    if (moed_format_by_name(t->type)->fill == NULL)
        return;
    moed_format_by_name(t->type)->fill(random, sigma, data, n);
    for (uint64_t i = 0; vector && strcmp(t->type, "F32") == 0 && i < n; i++)
        f32[i] += 1.0F;
}

static void ramp(const struct recipe_tensor *t, uint8_t *data, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const float value = (float)(i % 1000);

        if (strcmp(t->type, "F32") == 0)
            memcpy(data + 4 * i, &value, 4);
        else if (strcmp(t->type, "F16") == 0)
            moed_dtype_from_f32(MOED_F16, &value, data + 2 * i, 1);
    }
}

static void write_data(const struct recipe_tensor *t, struct moed_random *random,
                       struct moed_gguf_writer *w)
{
    const struct moed_format *format = moed_format_by_name(t->type);
    uint64_t n = t->dims[0];
    uint8_t *data;

    for (uint32_t i = 1; i < t->n_dims; i++)
        n *= t->dims[i];
    data = calloc(n / format->block, format->bytes);
    assert_non_null(data);
    if (random != NULL)
        fill_at_random(t, random, data, n);
    else
        ramp(t, data, n);
    assert_int_equal(moed_gguf_writer_data(w, data, n / format->block * format->bytes, NULL), 0);
    free(data);
}

void recipe_write(const struct recipe *r, char path[64])
{
    struct moed_random random;
    struct moed_gguf_writer *w;
    int fd;

    snprintf(path, 64, "/tmp/moed-recipe-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    moed_random_seed(&random, r->seed);
    assert_int_equal(moed_gguf_writer_create(path, &w, NULL), 0);
    write_keys(r, w);
    for (size_t i = 0; i < r->n_tensors; i++) {
        const struct recipe_tensor *t = &r->tensors[i];

        assert_int_equal(
            moed_gguf_writer_tensor(w, t->name, moed_format_by_name(t->type), t->n_dims, t->dims),
            0);
    }
    for (size_t i = 0; i < r->n_tensors; i++)
        write_data(&r->tensors[i], r->seed != 0 ? &random : NULL, w);
    assert_int_equal(moed_gguf_writer_finish(w, NULL), 0);
    moed_gguf_writer_destroy(w);
}

int recipe_open(const struct recipe *r, const char *layers, struct moed_model **out,
                struct moed_error *err)
{
    char path[64];
    int rc;

    recipe_write(r, path);
    rc = moed_model_open(path, &(struct moed_model_options){.layers = layers}, out, err);
    unlink(path);
    return rc;
}

struct moed_model *recipe_must_open(const struct recipe *r)
{
    struct moed_model *model;
    struct moed_error err;

    if (recipe_open(r, NULL, &model, &err) != 0)
        fail_msg("%s", err.message);
    return model;
}

void recipe_must_fail(const struct recipe *r, int code, const char *const words[4])
{
    struct moed_model *model;
    struct moed_error err = {0};
    int rc = recipe_open(r, NULL, &model, &err);

    if (rc != code)
        fail_msg("found code %d, expected %d: %s", rc, code, err.message);
    for (int i = 0; i < 4 && words[i] != NULL; i++) {
        if (strstr(err.message, words[i]) == NULL)
            fail_msg("no \"%s\" in: %s", words[i], err.message);
    }
    if (strstr(err.message, "/tmp/moed-recipe-") == NULL)
        fail_msg("the file is not named: %s", err.message);
}
