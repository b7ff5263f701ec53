/* A model of three layers without weights, a batcher over the fake backend, and jobs that know
 * what they must come back as. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "fake_backend.h"

#include "src/batch/batch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { HIDDEN = 8, EXPERTS = 16, USED = 2, LAYERS = 3 };

struct fixture {
    struct moed_layer layers[LAYERS]; /* blocks 3, 5 and 9 */
    struct moed_model model;
    struct moed_backend backend;
    struct moed_metrics *metrics;
    struct moed_batcher *batcher;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t answered; /* calls of done */
    float tags;        /* given out */
};

struct test_job {
    struct moed_job job; /* first: done() gets this */
    struct fixture *fixture;
    uint32_t done;  /* times */
    uint32_t order; /* was the order'th to be answered, from 1 */
    float tag;
    float *hidden, *output;
};

/* Block number of the layer at a place. */
uint32_t layer_at(uint32_t place);

/* Model and fake alone; `fixture_start` makes the batcher. */
void fixture_init(struct fixture *f, uint32_t max_rows);
void fixture_start(struct fixture *f, const struct moed_batcher_options *options);
/* Also asserts that no promise to the backend was broken. */
void fixture_fini(struct fixture *f);
void fixture_stop(struct fixture *f); /* destroys the batcher now */
/* Waits until `done` was called that often. */
void fixture_wait(struct fixture *f, uint32_t answered);
/* A job of one row that a worker holds at the gate, so that what follows must wait. */
struct test_job *fixture_plug(struct fixture *f);
/* The value of a cell, found in the rendered text: "name{labels}". */
double fixture_metric(struct fixture *f, const char *cell);

struct test_job *job_create(struct fixture *f, uint32_t place, uint32_t rows);
void job_destroy(struct test_job *job);
void job_submit(struct test_job *job); /* asserts that it is taken */
int job_refused(struct test_job *job, const char *message);
/* Asserts that it was answered once, with its own rows. */
void job_assert_right(const struct test_job *job);
void job_assert_failed(const struct test_job *job, int status, const char *message);

#endif
