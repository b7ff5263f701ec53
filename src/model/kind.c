/* kind: see kind.h. By general.type and general.architecture, as llama.cpp's converters write them,
 * and by whether any tensor is of an expert. */
#include "kind.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *key, *value, *is;
} kinds[] = {
    {"general.type", "adapter",
     "an adapter (LoRA), which has no experts of its own: merge it into its model, and name that"},
    {"general.type", "imatrix",
     "an importance matrix, which is for quantising: name the model itself"},
    {"general.type", "mmproj",
     "a multimodal projector (mmproj): name the file of the text model beside it"},
    {"general.type", "controlvector", "a control vector: name the model itself"},
    {"general.type", "vocab", "a vocabulary alone: name the model itself"},
    {"general.architecture", "clip",
     "a multimodal projector (mmproj): name the file of the text model beside it"},
    {"general.architecture", "controlvector", "a control vector: name the model itself"},
    {"general.architecture", "imatrix",
     "an importance matrix, which is for quantising: name the model itself"},
};

static bool has_value(const struct moed_gguf *gguf, const char *key, const char *value)
{
    char *text;
    bool same;

    if (moed_gguf_copy_string(gguf, key, &text, NULL) != 0)
        return false;
    same = strcmp(text, value) == 0;
    free(text);
    return same;
}

/* A router or experts of any form, whole or one tensor an expert. */
static bool has_experts(const struct moed_gguf *gguf)
{
    for (size_t i = 0; i < moed_gguf_tensor_count(gguf); i++) {
        const char *name = moed_gguf_tensor_at(gguf, i)->name;

        if (strstr(name, "_exps.") != NULL || strstr(name, ".ffn_gate_inp.") != NULL ||
            strstr(name, "_gate.0.") != NULL)
            return true;
    }
    return false;
}

int model_check_kind(const struct moed_gguf *gguf, const char *arch, struct moed_error *err)
{
    for (size_t i = 0; i < MOED_ARRAY_LEN(kinds); i++)
        if (has_value(gguf, kinds[i].key, kinds[i].value))
            return moed_fail(err, MOED_E_UNSUPPORTED, "found %s", kinds[i].is);
    if (has_experts(gguf))
        return 0;
    if (moed_gguf_tensor_count(gguf) == 0)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "found no tensors, as in a vocabulary: name the model itself");
    return moed_fail(err, MOED_E_UNSUPPORTED,
                     "no MoE layer: found a dense model%s%.40s, in which no tensor is of a router "
                     "(ffn_gate_inp) or of experts (ffn_down_exps), expected a mixture of experts",
                     arch != NULL ? " of architecture " : "", arch != NULL ? arch : "");
}
