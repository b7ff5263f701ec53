/* keys: see keys.h. */
#include "keys.h"

#include <math.h>
#include <stdio.h>

#define KEY_MAX 160

/* Keys of one architecture are short; one that does not fit is in no file. */
static bool full_name(const struct model_keys *keys, const char *suffix, char out[KEY_MAX])
{
    return snprintf(out, KEY_MAX, "%s.%s", keys->arch, suffix) < KEY_MAX;
}

int model_key_u64(const struct model_keys *keys, const char *suffix, uint32_t block, uint64_t *out,
                  struct moed_error *err)
{
    char name[KEY_MAX];
    double value;
    int rc;

    if (!full_name(keys, suffix, name))
        return MOED_E_NOT_FOUND;
    if (!moed_gguf_is_array(keys->gguf, name))
        return moed_gguf_get_u64(keys->gguf, name, out, err);
    rc = moed_gguf_get_element(keys->gguf, name, block, &value, err);
    if (rc != 0)
        return rc;
    if (!(value >= 0.0 && value <= 0x1p53 && floor(value) == value))
        return moed_fail(err, MOED_E_BAD_FILE, "key %s[%u]: found %g, expected a whole number",
                         name, block, value);
    *out = (uint64_t)value;
    return 0;
}

int model_key_f64(const struct model_keys *keys, const char *suffix, uint32_t block, double *out,
                  struct moed_error *err)
{
    char name[KEY_MAX];
    double value;
    int rc;

    if (!full_name(keys, suffix, name))
        return MOED_E_NOT_FOUND;
    rc = moed_gguf_is_array(keys->gguf, name)
             ? moed_gguf_get_element(keys->gguf, name, block, &value, err)
             : moed_gguf_get_f64(keys->gguf, name, &value, err);
    if (rc != 0)
        return rc;
    if (!isfinite((float)value))
        return moed_fail(err, MOED_E_BAD_FILE, "key %s: found %g, expected a finite float", name,
                         value);
    *out = value;
    return 0;
}

int model_key_bool(const struct model_keys *keys, const char *suffix, uint32_t block, bool *out,
                   struct moed_error *err)
{
    char name[KEY_MAX];
    double value;
    int rc;

    if (!full_name(keys, suffix, name))
        return MOED_E_NOT_FOUND;
    if (!moed_gguf_is_array(keys->gguf, name))
        return moed_gguf_get_bool(keys->gguf, name, out, err);
    rc = moed_gguf_get_element(keys->gguf, name, block, &value, err);
    if (rc == 0)
        *out = value != 0.0;
    return rc;
}
