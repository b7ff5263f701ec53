/* Files that are no model with experts: each is told what it is, and what to name instead; names
 * that are not fit to be shown, and tensors that nobody needs. */
#include "recipe.h"

#include "tests/unit/gguf/build.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void refuse(const struct build *b, int code, const char *const words[4])
{
    const char path[] = "/tmp/moed-kind-test.gguf";
    char own[64];
    struct moed_model *m = NULL;
    struct moed_error err = {0};

    snprintf(own, sizeof(own), "%s.%d", path, getpid());
    build_save(b, own);
    assert_int_equal(moed_model_open(own, NULL, &m, &err), code);
    unlink(own);
    for (size_t i = 0; i < 4 && words[i] != NULL; i++)
        if (strstr(err.message, words[i]) == NULL)
            fail_msg("no \"%s\" in: %s", words[i], err.message);
}

/* One tensor and keys as the converters write them; NULL: no such key. */
static void holds(const char *type, const char *arch, const char *tensor, const char *word,
                  const char *other)
{
    struct build b = {0};

    build_head(&b, 3, tensor != NULL ? 1 : 0, (type != NULL ? 1U : 0U) + (arch != NULL ? 1U : 0U));
    if (type != NULL)
        build_key_string(&b, "general.type", type);
    if (arch != NULL)
        build_key_string(&b, "general.architecture", arch);
    if (tensor != NULL)
        build_vector(&b, tensor, 8, 0);
    build_align(&b, 32);
    build_zeros(&b, 32);
    refuse(&b, MOED_E_UNSUPPORTED, (const char *const[4]){word, other});
    build_free(&b);
}

static void each_kind_is_named(void **state)
{
    (void)state;
    holds("adapter", "qwen3moe", "blk.0.ffn_down_exps.weight.lora_a", "adapter (LoRA)", "merge");
    holds("imatrix", NULL, "blk.0.ffn_down_exps.weight.in_sum2", "importance matrix", "the model");
    holds("mmproj", "clip", "v.blk.0.attn_q.weight", "mmproj", "text model");
    holds(NULL, "clip", "v.blk.0.attn_q.weight", "mmproj", "text model");
    holds(NULL, "controlvector", "direction.1", "control vector", "the model");
    holds("model", "llama", NULL, "no tensors", "vocabulary");
    holds("model", "llama", "blk.0.ffn_down.weight", "dense model of architecture llama",
          "mixture of experts");
    holds(NULL, "gemma2", "blk.0.ffn_down.weight", "dense model of architecture gemma2", NULL);
}

static void an_unknown_architecture_can_be_described(void **state)
{
    struct recipe r;

    (void)state;
    recipe_init(&r, "newmoe");
    recipe_must_fail(&r, MOED_E_UNSUPPORTED,
                     (const char *const[4]){"\"newmoe\" is not in the table", "--arch-file"});
}

static void key(struct build *b, const char *name, uint32_t value)
{
    char full[64];

    snprintf(full, sizeof(full), "qwen3moe.%s", name);
    build_key_u32(b, full, value);
}

/* A model of one block whose general.name is of that type and bytes; NULL: named as its file. */
static void named(uint32_t type, const char *bytes, size_t size, const char *expected)
{
    static const char *const tensors[] = {"blk.0.ffn_gate_inp.weight", "blk.0.ffn_gate_exps.weight",
                                          "blk.0.ffn_up_exps.weight", "blk.0.ffn_down_exps.weight"};
    const float epsilon = 1e-6F;
    struct build b = {0};
    struct moed_model *m;
    struct moed_error err = {0};
    char path[64];

    build_head(&b, 3, 4, 6);
    build_key_string(&b, "general.architecture", "qwen3moe");
    build_key(&b, "general.name", type);
    if (type == MOED_GGUF_STRING)
        build_u64(&b, size);
    build_bytes(&b, bytes, size);
    key(&b, "block_count", 1);
    key(&b, "expert_count", 4);
    key(&b, "expert_used_count", 2);
    build_key(&b, "qwen3moe.attention.layer_norm_rms_epsilon", MOED_GGUF_F32);
    build_bytes(&b, &epsilon, sizeof(epsilon));
    build_tensor(&b, tensors[0], 2, (const uint64_t[]){8, 4}, TYPE_F32, 0);
    for (uint64_t i = 1; i < MOED_ARRAY_LEN(tensors); i++)
        build_tensor(&b, tensors[i], 3, (const uint64_t[]){8, 8, 4}, TYPE_F32,
                     128 + (i - 1) * 1024);
    build_align(&b, 32);
    build_zeros(&b, 128 + 3 * 1024);
    snprintf(path, sizeof(path), "/tmp/moed-named-%d.gguf", getpid());
    build_save(&b, path);
    build_free(&b);
    if (moed_model_open(path, NULL, &m, &err) != 0)
        fail_msg("%s", err.message);
    if (expected != NULL)
        assert_string_equal(m->name, expected);
    else
        assert_int_equal(strncmp(m->name, "moed-named-", 11), 0);
    moed_model_close(m);
    unlink(path);
}

/* Opens the recipe's file with `tensor` of a type that nobody knows. */
static int open_with_unknown(const struct recipe *r, const char *tensor, unsigned n_dims,
                             struct moed_model **m, struct moed_error *err)
{
    static uint8_t bytes[1U << 20];
    const uint32_t type = 777;
    char path[64];
    int rc;

    recipe_write(r, path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, sizeof(bytes), file);
    const uint8_t *at = memmem(bytes, size, tensor, strlen(tensor));
    assert_non_null(at); /* then the number of dimensions, each of them, the type */
    fseek(file, at - bytes + (long)strlen(tensor) + 4 + 8 * (long)n_dims, SEEK_SET);
    assert_int_equal(fwrite(&type, 1, sizeof(type), file), sizeof(type));
    fclose(file);
    rc = moed_model_open(path, NULL, m, err);
    unlink(path);
    return rc;
}

static void only_what_is_used_is_held_to_its_type(void **state)
{
    struct moed_model *m;
    struct moed_error err = {0};
    struct recipe r;

    (void)state;
    recipe_init(&r, "qwen3moe");
    recipe_tensor(&r, "blk.0.indexer.weight", "F32", 8, 0, 0);
    if (open_with_unknown(&r, "blk.0.indexer.weight", 1, &m, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(m->n_layers, 1);
    moed_model_close(m);
    assert_int_equal(open_with_unknown(&r, "blk.0.ffn_up_exps.weight", 3, &m, &err),
                     MOED_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'blk.0.ffn_up_exps.weight': found tensor type 777"));
}

/* A name is for show: whatever is in its key, the model is served, under a name that is text. */
static void a_name_is_shown_or_replaced(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *name;
    } cases[] = {
        {"Mo\xff"
         "e",
         4,
         "Mo\xef\xbf\xbd"
         "e"},
        {"A\0B", 3,
         "A\xef\xbf\xbd"
         "B"},
        {"\x1b[31mred", 8, "\xef\xbf\xbd[31mred"},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++)
        named(MOED_GGUF_STRING, cases[i].bytes, cases[i].size, cases[i].name);
    named(MOED_GGUF_U32, "\1\0\0", 4, NULL); /* no text: the file's own name */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_named),
        cmocka_unit_test(an_unknown_architecture_can_be_described),
        cmocka_unit_test(only_what_is_used_is_held_to_its_type),
        cmocka_unit_test(a_name_is_shown_or_replaced),
    };

    return cmocka_run_group_tests_name("model kind", tests, NULL, NULL);
}
