/* cuda_rig: a small model on the cuda backend and on the float64 reference, for tests that compare.
 */
#ifndef MOED_TEST_CUDA_RIG_H
#define MOED_TEST_CUDA_RIG_H

#include "src/backend/backend.h"

#include "../support/tiny.h"

#define RIG_ROWS 4096 /* of a batch at most */

struct side {
    struct moed_backend *backend;
    struct moed_workspace *workspace;
};

struct rig {
    struct tiny_spec spec;
    char path[256];
    struct moed_model *model;
    struct side cuda, reference;
};

struct batch { /* memory of a batch of up to RIG_ROWS rows */
    float *hidden, *output, *weights;
    int32_t *ids;
    uint8_t *flags, *not_finite;
    uint32_t slots;
};

/* Failures fail the test. `options` are the cuda side's; NULL: none. */
void rig_open(struct rig *rig, const struct tiny_spec *spec,
              const struct moed_backend_options *options);
void rig_close(struct rig *rig);

void batch_init(struct batch *b, const struct rig *rig, uint32_t slots); /* Gaussian rows */
void batch_fini(struct batch *b);

/* Rows [first, first + n) of a batch on one side. */
void rig_run(const struct rig *rig, const struct side *side, struct batch *b, uint32_t first,
             uint32_t n);
/* The largest relative error of a row among `sample` of `n`, against the reference; also that the
 * experts are the same. */
double rig_error(const struct rig *rig, struct batch *b, uint32_t n, uint32_t sample);

#endif
