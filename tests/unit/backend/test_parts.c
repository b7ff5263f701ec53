/* Shards of experts: for every architecture, every way of holding weights and random splits, the
 * parts of a layer add up to the whole, and each part routes as the whole does. */
#include "tests/unit/model/claims.h"

#include "src/backend/backend.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../support/golden.h"
#include "device.h"
#include "kernels/random.h"

#define H     ((size_t)RECIPE_H)
#define K     ((size_t)RECIPE_K)
#define E     ((size_t)RECIPE_E)
#define T     ((size_t)12)
#define PARTS 3

struct answer {
    float output[T * H], weights[T * K];
    int32_t ids[T * K];
};

struct split { /* of the experts over shards: "0,3,4" each, none empty */
    char experts[PARTS][3 * RECIPE_MAX];
    int n;
};

static float rows[T * H];
static struct moed_random chance;

static struct split random_split(void)
{
    struct split s = {.n = 2 + (int)moed_random_below(&chance, PARTS - 1)};

    for (uint32_t e = 0; e < E; e++) { /* the first n experts go round, so that none is empty */
        char *to = s.experts[e < (uint32_t)s.n ? e : moed_random_below(&chance, (uint32_t)s.n)];

        snprintf(to + strlen(to), 8, "%s%u", to[0] ? "," : "", e);
    }
    return s;
}

/* What a shard's batcher asks for: one of the parts brings what a row has once. */
static uint8_t flags_for(const struct moed_layer *layer, uint8_t flags)
{
    return (uint8_t)(layer->primary ? flags : flags | MOED_ROW_NO_SHARED | MOED_ROW_PART);
}

static void supply(struct answer *out)
{
    for (size_t t = 0; t < T; t++) {
        out->ids[t * K] = (int32_t)(t % E);
        out->ids[t * K + 1] = (int32_t)((t + 1 + t / 4) % E);
        out->weights[t * K] = 0.7F;
        out->weights[t * K + 1] = 0.4F;
    }
}

struct setting {
    const char *backend;
    bool map;
    uint8_t flags;
};

static void run(const char *path, const char *experts, const struct setting *set,
                struct answer *out)
{
    const struct moed_model_options part = {.experts = experts};
    const struct moed_backend_options options = {
        .name = set->backend, .threads = 2, .max_rows = T, .map = set->map};
    uint8_t flags[T], not_finite[T];
    struct moed_batch_rows batch = {.rows = T,
                                    .slots = K,
                                    .hidden = rows,
                                    .output = out->output,
                                    .ids = out->ids,
                                    .weights = out->weights,
                                    .flags = flags,
                                    .not_finite = not_finite};
    struct moed_model *model = NULL;
    struct moed_backend *b = NULL;
    struct moed_workspace *ws = NULL;
    struct moed_error err;

    supply(out);
    memset(out->output, 0xff, sizeof out->output); /* NaN: dirty on purpose */
    if (moed_model_open(path, &part, &model, &err) != 0)
        fail_msg("%s", err.message);
    memset(flags, flags_for(&model->layers[0], set->flags), T);
    if (moed_backend_open(model, &options, &b, &err) != 0 ||
        moed_workspace_create(b, &ws, &err) != 0 || moed_forward(ws, 0, &batch, &err) != 0)
        fail_msg("%s", err.message);
    moed_workspace_destroy(ws);
    moed_backend_close(b);
    moed_model_close(model);
}

static void check(const char *path, const char *arch, const struct setting *set)
{
    const struct split split = random_split();
    struct answer whole, part;
    float sum[T * H] = {0};

    run(path, NULL, set, &whole);
    for (int i = 0; i < split.n; i++) {
        run(path, split.experts[i], set, &part);
        assert_memory_equal(part.ids, whole.ids, sizeof whole.ids);
        assert_memory_equal(part.weights, whole.weights, sizeof whole.weights);
        for (size_t j = 0; j < T * H; j++)
            sum[j] += part.output[j];
    }
    if (!(golden_error(sum, whole.output, T * H) <= 1e-6))
        fail_msg("%s, %s, flags %u, parts %s | %s | %s: relative error %g", arch, set->backend,
                 set->flags, split.experts[0], split.experts[1], split.experts[2],
                 golden_error(sum, whole.output, T * H));
}

static void check_modes(const char *path, const char *arch)
{
    struct moed_model *model;
    struct moed_error err;
    struct setting set;
    uint8_t routed;

    if (moed_model_open(path, NULL, &model, &err) != 0)
        fail_msg("%s", err.message);
    routed = model->layers[0].router.refuses_routing != NULL ? MOED_ROW_SUPPLIED : 0;
    for (int way = 0; way < (has_device() ? 4 : 3); way++) {
        static const char *const backends[] = {"cpu", "cpu", "reference", "cuda"};
        const struct moed_layer *l = &model->layers[0];

        set = (struct setting){backends[way], way == 1, routed};
        check(path, arch, &set);
        set.flags = MOED_ROW_SUPPLIED;
        check(path, arch, &set);
        set.flags = routed | MOED_ROW_NORM;
        if (l->block.refuses_norm == NULL)
            check(path, arch, &set);
        set.flags = routed | MOED_ROW_NORM | MOED_ROW_RESIDUAL;
        if (l->block.refuses_residual == NULL && l->post_norm.tensor == NULL)
            check(path, arch, &set);
    }
    moed_model_close(model);
}

static void parts_add_up_to_the_whole(void **state)
{
    const struct claim *c;

    (void)state;
    for (size_t i = 0; (c = claim_at(i)); i++) {
        struct recipe r;
        char path[64];

        claim_make(c, &r);
        r.seed = i + 1;
        claim_add_options(c, &r);
        if (i % 2 == 0) /* leaves the residual to be had, where the row heeds such norms */
            recipe_drop(&r, "blk.0.post_ffw_norm.weight");
        if (strcmp(c->arch, "kimi-k3") == 0)
            recipe_drop(&r, "blk.0.ffn_routed_norm.weight"); /* of the sum, which has no parts */
        if (strcmp(c->arch, "nemotron_h_moe") == 0)
            recipe_drop(&r, "blk.0.ffn_latent_norm.weight");
        recipe_write(&r, path);
        check_modes(path, c->arch);
        unlink(path);
    }
}

static int random_rows(void **state)
{
    (void)state;
    moed_random_seed(&chance, 17);
    for (size_t i = 0; i < T * H; i++)
        rows[i] = moed_random_gaussian(&chance);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_add_up_to_the_whole),
    };

    return cmocka_run_group_tests(tests, random_rows, NULL);
}
