/* architecture: finds the row of the table that a file asks for, or says what is known. */
#include "architecture.h"

#include "keys.h"

#include <stdio.h>
#include <string.h>

static bool condition_holds(const struct model_keys *keys, const struct model_condition *c)
{
    uint64_t whole;
    double value;

    if (model_key_u64(keys, c->key, 0, &whole, NULL) == 0)
        value = (double)whole;
    else if (model_key_f64(keys, c->key, 0, &value, NULL) != 0)
        return false;
    return value >= c->low && value <= c->high;
}

static bool row_fits(const struct model_arch *row, const struct model_keys *keys)
{
    for (size_t i = 0; i < MOED_ARRAY_LEN(row->when); i++) {
        if (row->when[i].key != NULL && !condition_holds(keys, &row->when[i]))
            return false;
    }
    return true;
}

const struct model_arch *model_arch_find(const struct moed_gguf *gguf, const char *arch,
                                         const char *name)
{
    const struct model_keys keys = {gguf, arch};
    const struct model_arch *row;

    for (size_t i = 0; (row = model_arch_at(i)); i++) {
        if (strcmp(row->name, name) == 0 && row_fits(row, &keys))
            return row;
    }
    return NULL;
}

/* The names of the table, each once; variants of one name are neighbours. */
static void list_names(char *out, size_t size)
{
    const struct model_arch *row;
    const char *last = "";
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; (row = model_arch_at(i)) && used < size; i++) {
        if (strcmp(row->name, last) == 0)
            continue;
        used += (size_t)snprintf(out + used, size - used, " %s", row->name);
        last = row->name;
    }
}

/* What a person who wants to add the row needs to know first. */
static void describe_router_keys(const struct model_keys *keys, char *out, size_t size)
{
    static const char *const numbers[] = {"expert_count", "expert_used_count", "expert_gating_func",
                                          "expert_group_count", "expert_shared_count"};
    size_t used = 0;
    uint64_t value;
    bool renorm;
    double scale;

    out[0] = '\0';
    for (size_t i = 0; i < MOED_ARRAY_LEN(numbers) && used < size; i++) {
        if (model_key_u64(keys, numbers[i], 0, &value, NULL) == 0)
            used += (size_t)snprintf(out + used, size - used, " %s=%llu", numbers[i],
                                     (unsigned long long)value);
    }
    if (used < size && model_key_bool(keys, "expert_weights_norm", 0, &renorm, NULL) == 0)
        used += (size_t)snprintf(out + used, size - used, " expert_weights_norm=%s",
                                 renorm ? "true" : "false");
    if (used < size && model_key_f64(keys, "expert_weights_scale", 0, &scale, NULL) == 0)
        used += (size_t)snprintf(out + used, size - used, " expert_weights_scale=%g", scale);
    if (used == 0)
        (void)snprintf(out, size, " nothing");
}

int model_arch_unknown(const struct moed_gguf *gguf, const char *name, struct moed_error *err)
{
    const struct model_keys keys = {gguf, name};
    char names[700];
    char router[240];

    list_names(names, sizeof names);
    describe_router_keys(&keys, router, sizeof router);
    return moed_fail(err, MOED_E_UNSUPPORTED,
                     "architecture \"%.40s\" is not in the table; of its router the file says:%s. "
                     "--arch-file FILE describes one more (src/model/README.md). Known:%s",
                     name, router, names);
}
