/* keys: the keys "ARCH.suffix" of a file, scalar or one value a block. */
#ifndef MOED_MODEL_KEYS_H
#define MOED_MODEL_KEYS_H

#include "src/gguf/gguf.h"

struct model_keys {
    const struct moed_gguf *gguf;
    const char *arch;
};

/* The value for block `block`: an array gives its element. MOED_E_NOT_FOUND, leaving `err` alone,
 * where the file does not have the key; MOED_E_BAD_FILE where it does not fit: wrong type, an
 * array that is too short, a number that is not whole, not in range or not finite. */
int model_key_u64(const struct model_keys *keys, const char *suffix, uint32_t block, uint64_t *out,
                  struct moed_error *err);
int model_key_f64(const struct model_keys *keys, const char *suffix, uint32_t block, double *out,
                  struct moed_error *err);
int model_key_bool(const struct model_keys *keys, const char *suffix, uint32_t block, bool *out,
                   struct moed_error *err);

#endif
