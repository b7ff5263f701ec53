/* tiny: writes small models with moed's own GGUF writer. */
#include "tiny.h"

#include "src/gguf/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int status, const char *what)
{
    if (status == 0)
        return;
    fprintf(stderr, "tiny model: %s failed with %d\n", what, status);
    exit(1);
}

struct part {
    const char *name;
    const struct moed_format *format;
    uint32_t n_dims;
    uint64_t dims[3];
};

static void parts_of(const struct tiny_spec *s, struct part out[5])
{
    const struct moed_format *f32 = moed_format_by_name("F32");
    const struct moed_format *type = moed_format_by_name(s->type != NULL ? s->type : "F32");
    const struct part parts[5] = {
        {"ffn_norm", f32, 1, {s->hidden, 1, 1}},
        {"ffn_gate_inp", f32, 2, {s->hidden, s->experts, 1}},
        {"ffn_gate_exps", type, 3, {s->hidden, s->width, s->experts}},
        {"ffn_up_exps", type, 3, {s->hidden, s->width, s->experts}},
        {"ffn_down_exps", type, 3, {s->width, s->hidden, s->experts}},
    };

    memcpy(out, parts, sizeof parts);
}

static void write_part(struct moed_gguf_writer *w, const struct tiny_spec *s, const struct part *p,
                       struct moed_random *random)
{
    const uint64_t n = p->dims[0] * p->dims[1] * p->dims[2];
    uint64_t row_bytes = 0;
    uint8_t *data;

    moed_format_row_bytes(p->format, p->dims[0], &row_bytes);
    data = calloc(p->dims[1] * p->dims[2], row_bytes);
    if (data == NULL)
        must(-1, "memory");
    if (s->value != NULL) {
        for (uint64_t i = 0; i < n; i++)
            ((float *)(void *)data)[i] = s->value(p->name, i, s->context);
    } else {
        const float sigma =
            strcmp(p->name, "ffn_norm") == 0 ? 1.0F : 1.0F / sqrtf((float)p->dims[0]);

        p->format->fill(random, sigma, data, n);
    }
    must(moed_gguf_writer_data(w, data, p->dims[1] * p->dims[2] * row_bytes, NULL), "data");
    free(data);
}

static void keys(struct moed_gguf_writer *w, const struct tiny_spec *s)
{
    const char *arch = s->arch != NULL ? s->arch : "qwen3moe";
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {
        {"block_count", s->layers},        {"embedding_length", s->hidden},
        {"expert_count", s->experts},      {"expert_used_count", s->used},
        {"feed_forward_length", s->width}, {"expert_feed_forward_length", s->width},
    };
    char key[128];

    must(moed_gguf_writer_string(w, "general.architecture", arch), "key");
    for (size_t i = 0; i < MOED_ARRAY_LEN(numbers); i++) {
        snprintf(key, sizeof key, "%s.%s", arch, numbers[i].name);
        must(moed_gguf_writer_u32(w, key, numbers[i].value), "key");
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", arch);
    must(moed_gguf_writer_f32(w, key, 1e-6F), "key");
}

void tiny_write(const struct tiny_spec *spec, char path[256])
{
    const char *dir = getenv("TMPDIR");
    struct moed_gguf_writer *w;
    struct moed_random random;
    struct part parts[5];
    int fd;

    snprintf(path, 256, "%s/moed-tiny-XXXXXX", dir != NULL ? dir : "/tmp");
    fd = mkstemp(path);
    if (fd < 0)
        must(-1, "mkstemp");
    close(fd);
    moed_random_seed(&random, spec->seed);
    parts_of(spec, parts);
    must(moed_gguf_writer_create(path, &w, NULL), "create");
    keys(w, spec);
    for (uint32_t l = 0; l < spec->layers; l++)
        for (int i = 0; i < 5; i++) {
            char name[128];

            snprintf(name, sizeof name, "blk.%u.%s.weight", l, parts[i].name);
            must(moed_gguf_writer_tensor(w, name, parts[i].format, parts[i].n_dims, parts[i].dims),
                 "tensor");
        }
    for (uint32_t l = 0; l < spec->layers; l++)
        for (int i = 0; i < 5; i++)
            write_part(w, spec, &parts[i], &random);
    must(moed_gguf_writer_finish(w, NULL), "finish");
    moed_gguf_writer_destroy(w);
}
