/* A double of src/backend/backend.h whose arithmetic shows mix-ups: every row carries the tag of
 * its job in column 0 and its number in column 1, and comes back as a function of both and the
 * layer. Calls can be held at a gate, made to fail, and are recorded. */
#ifndef FAKE_BACKEND_H
#define FAKE_BACKEND_H

#include "src/backend/backend.h"

#include <pthread.h>

enum { FAKE_MAX_CALLS = 64 };

struct fake_call {
    uint32_t layer, rows, slots;
    uint32_t jobs;     /* different tags */
    float first, last; /* tags of the first and the last row */
    float last_row;    /* number of the last row */
    bool logits;       /* were wanted */
    const float *in;   /* where rows and outputs were */
    const float *out;
};

struct moed_backend {
    const struct moed_model *model;
    uint32_t max_rows, threads;
    int create_status;   /* of moed_workspace_create() */
    uint32_t fail_layer; /* whose forward fails; UINT32_MAX: none */
    int32_t nan_expert;  /* whose weights are NaN; -1: none */
    bool nan_router;     /* whose logits are, then */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t permits; /* calls that may pass the gate; UINT32_MAX: all */
    uint32_t at_gate; /* calls that wait there */
    uint32_t n_calls, workspaces;
    struct fake_call calls[FAKE_MAX_CALLS]; /* the first ones */
    char broken[128];                       /* the first promise that a caller broke, or "" */
};

void fake_init(struct moed_backend *fake, const struct moed_model *model, uint32_t max_rows);
void fake_fini(struct moed_backend *fake);
void fake_hold(struct moed_backend *fake);                    /* closes the gate */
void fake_release(struct moed_backend *fake, uint32_t calls); /* lets that many more through */
void fake_open(struct moed_backend *fake);
void fake_wait_at_gate(struct moed_backend *fake, uint32_t calls);

/* What a row comes back as, in each column. */
float fake_output(float hidden, uint32_t layer, float routed);
/* The router: id and weight of a slot for a row with that tag and number. */
int32_t fake_id(float tag, float row, uint32_t slot, uint32_t experts);
float fake_weight(uint32_t slot);

#endif
