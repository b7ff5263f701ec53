/* side: one more row for the table, read from a file beside the model (--arch-file): a fine-tune
 * whose architecture has a name of its own, or a new architecture that the columns can describe.
 *
 *     name = mymodel                      # general.architecture
 *     like = qwen2moe                     # the row that it starts from; left out: all defaults
 *     renorm = true
 *     key.scale = expert_weights_scale    # field <- key; "required" where there is no default
 */
#ifndef MOED_MODEL_SIDE_H
#define MOED_MODEL_SIDE_H

#include "architecture.h"

struct model_side {
    struct model_arch row;
    char *text; /* the file's, which the row's strings are in */
};

/* Reads the row for a GGUF file of architecture `arch`, whose keys choose among the variants of
 * `like`. MOED_E_IO, or MOED_E_USAGE naming file, line, what was found and what was expected.
 * To be freed whatever it returns. */
int model_side_read(const char *path, const struct moed_gguf *gguf, const char *arch,
                    struct model_side *out, struct moed_error *err);
void model_side_free(struct model_side *side);

#endif
