/* fields: one place for the words of API that JSON bodies and raw parameters share. */
#include "fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const field_dtypes[] = {
    [MOED_F32] = "f32", [MOED_F16] = "f16", [MOED_BF16] = "bf16", [MOED_DTYPE_COUNT] = NULL};
const char *const field_blocks[] = {[MOED_BLOCK_FFN] = "ffn",
                                    [MOED_BLOCK_NORM_FFN] = "norm_ffn",
                                    [MOED_BLOCK_NORM_FFN_RESIDUAL] = "norm_ffn_residual",
                                    NULL};
const char *const field_shared[] = {[MOED_SHARED_INCLUDE] = "include",
                                    [MOED_SHARED_EXCLUDE] = "exclude",
                                    [MOED_SHARED_ONLY] = "only",
                                    NULL};
const char *const field_missing[] = {
    [MOED_MISSING_ERROR] = "error", [MOED_MISSING_SKIP] = "skip", NULL};
const char *const field_encodings[] = {"array", "base64", NULL};
const char *const field_returns[] = {"output", "routing", "logits", "timing", NULL};
const char *const field_routings[] = {"server", "topk", NULL};

_Static_assert(MOED_DTYPE_COUNT == 3, "a new type needs its name in field_dtypes");

int field_choose(const char *field, const char *const *names, const char *found, unsigned *out,
                 struct moed_error *err)
{
    char list[128] = "", quoted[FIELD_QUOTE_MAX];
    size_t used = 0;

    for (unsigned i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], found) == 0) {
            *out = i;
            return 0;
        }
        used += (size_t)snprintf(list + used, sizeof list - used, i == 0 ? "%s" : ", %s", names[i]);
    }
    return moed_fail(err, MOED_E_MALFORMED, "%s is \"%s\", expected one of %s", field,
                     field_quote(found, strlen(found), quoted), list);
}

void request_init(struct moed_request *request)
{
    *request = (struct moed_request){.returns = MOED_RETURN_OUTPUT};
}

void moed_request_fini(struct moed_request *request)
{
    free(request->owned);
    free(request->expert_ids);
    free(request->expert_weights);
    request_init(request);
}

const char *field_quote(const char *text, size_t size, char out[FIELD_QUOTE_MAX])
{
    const size_t room = FIELD_QUOTE_MAX - 4; /* for "..." and the NUL */
    size_t n = 0;

    for (; n < size && n < room; n++)
        out[n] = (char)(text[n] >= ' ' && text[n] <= '~' ? text[n] : '?');
    memcpy(out + n, n < size ? "..." : "", n < size ? 4 : 1);
    return out;
}
