/* runner: a model on a backend with the buffers of one batch, as bench and verify use it. */
#ifndef MOED_CLI_RUNNER_H
#define MOED_CLI_RUNNER_H

#include "src/backend/backend.h"

#include "kernels/random.h"

struct runner {
    const struct moed_model *model;
    struct moed_backend *backend;
    struct moed_workspace *workspace;
    uint32_t max_rows;
    struct moed_random random; /* of routing, where the layer's router refuses */
    float *output;             /* [max_rows, H] */
    int32_t *ids;              /* [max_rows, K] */
    float *weights;            /* [max_rows, K] */
    uint8_t *not_finite;       /* [max_rows] */
    uint8_t *flags;            /* [max_rows] */
    uint32_t active_experts;   /* of the last batch */
    uint64_t weight_bytes;     /* of the last batch */
};

/* Loads `model`, which must outlive the runner; `options->max_rows` sizes the buffers. */
int runner_open(struct runner *runner, const struct moed_model *model,
                const struct moed_backend_options *options, struct moed_error *err);
void runner_close(struct runner *runner); /* also after a failed open, and twice */

/* One layer over hidden[rows, H]; results are in the runner's buffers. Where routing must be
 * supplied it is random, and the same for all runners after as many calls. */
int runner_forward(struct runner *runner, const struct moed_layer *layer, const float *hidden,
                   uint32_t rows, struct moed_error *err);

/* The largest H of the model's served layers. */
uint32_t runner_hidden(const struct moed_model *model);

#endif
