/* moe: routing and planning on the host. From logits to chosen experts by the layer's rule, and
 * from chosen experts to rows grouped by expert. Pure arithmetic over the caller's memory. */
#ifndef MOED_MOE_H
#define MOED_MOE_H

#include "src/base/base.h"
#include "src/model/rule.h"

/* ---- router ---- */

struct moed_router {
    const struct moed_router_rule *rule;
    const float *bias; /* [E] added for selection only, or NULL */
    uint32_t experts;  /* E */
    uint32_t used;     /* K */
};

/* Chooses K of E experts for one row: ids[K] in descending order of selection score (ties: the
 * lower index first), weights[K] by the rule. f32 values, sums in double in a fixed order, so the
 * same logits give the same bits everywhere. `scratch` holds 2E floats. MOED_E_NOT_FINITE, writing
 * nothing, if a logit is NaN or infinite. */
int moed_route(const struct moed_router *router, const float *logits, float *scratch, int32_t *ids,
               float *weights);

/* A routing that was not chosen here: ids[rows, slots], -1 skips its slot; weights alike. */
struct moed_supplied {
    uint32_t experts; /* E */
    uint32_t slots;
    size_t rows;
    const int32_t *ids;
    const float *weights;
};
/* MOED_E_UNPROCESSABLE, naming row and slot: an id that is neither of 0 to E - 1 nor -1, an id
 * twice in a row, a weight that is not finite. */
int moed_check_routing(const struct moed_supplied *routing, struct moed_error *err);

/* ---- plan: slots grouped by expert ----
 * Planned experts are the routed ones [0, E), the shared one E, and chunks from E + 1 on. */
struct moed_plan {
    uint32_t planned;  /* E + 1 + chunks */
    uint32_t n_active; /* planned experts with at least one row */
    uint32_t *active;  /* [n_active], those with most rows first, then by index */
    uint32_t *begin;   /* [planned + 1]: token–expert pairs of e: [begin[e], begin[e + 1]) */
    uint32_t *row;     /* [pairs] the row of each pair; ascending within an expert */
    float *weight;     /* [pairs] its router weight, a chunk's is the sum of its experts'; 1 for
                          the shared expert */
    uint32_t capacity; /* pairs that fit */
};

/* Storage for up to `max_pairs` pairs (rows × slots, plus one a row when there is a shared
 * expert, plus rows × slots when there are chunks) over up to `experts` routed experts. */
int moed_plan_init(struct moed_plan *plan, uint32_t experts, uint32_t max_pairs);
void moed_plan_fini(struct moed_plan *plan);

/* What to plan: ids[T, slots] with -1 for no expert, weights alike, skip[T] and shared[T] as
 * flags (NULL: none skipped; none shared). Ids must be in range: the caller has checked them. */
struct moed_plan_input {
    uint32_t experts;    /* E, which chunk_size divides */
    uint32_t chunk_size; /* neighbours that share a chunk; 0: there are no chunks */
    uint32_t rows, slots;
    const int32_t *ids;
    const float *weights;
    const int32_t *place;  /* [E] experts with -1 are not held here and get no pairs; NULL: none */
    const uint8_t *skip;   /* rows that take no routed expert */
    const uint8_t *shared; /* rows that take the shared expert */
};
void moed_plan_build(struct moed_plan *plan, const struct moed_plan_input *input);

#endif
