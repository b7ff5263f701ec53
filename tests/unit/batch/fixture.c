/* The fixture: setting up and tearing down, waiting for answers, making and judging jobs. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t layer_at(uint32_t place)
{
    static const uint32_t blocks[LAYERS] = {3, 5, 9};

    return blocks[place];
}

void fixture_init(struct fixture *f, uint32_t max_rows)
{
    memset(f, 0, sizeof(*f));
    for (uint32_t i = 0; i < LAYERS; i++) {
        f->layers[i] = (struct moed_layer){.index = layer_at(i),
                                           .hidden = HIDDEN,
                                           .experts = EXPERTS,
                                           .used = USED,
                                           .held = EXPERTS,
                                           .primary = true,
                                           .shared.width = 1};
    }
    f->model = (struct moed_model){.n_layers = LAYERS, .layers = f->layers};
    fake_init(&f->backend, &f->model, max_rows);
    f->metrics = moed_metrics_create();
    assert_non_null(f->metrics);
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->changed, NULL);
}

void fixture_start(struct fixture *f, const struct moed_batcher_options *options)
{
    struct moed_error err = {0};

    if (moed_batcher_create(&f->model, &f->backend, f->metrics, options, &f->batcher, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

void fixture_stop(struct fixture *f)
{
    moed_batcher_destroy(f->batcher);
    f->batcher = NULL;
}

void fixture_fini(struct fixture *f)
{
    fixture_stop(f);
    assert_string_equal(f->backend.broken, "");
    assert_int_equal(f->backend.workspaces, 0);
    moed_metrics_destroy(f->metrics);
    fake_fini(&f->backend);
    pthread_mutex_destroy(&f->mutex);
    pthread_cond_destroy(&f->changed);
}

void fixture_wait(struct fixture *f, uint32_t answered)
{
    pthread_mutex_lock(&f->mutex);
    while (f->answered < answered) {
        pthread_cond_wait(&f->changed, &f->mutex);
    }
    pthread_mutex_unlock(&f->mutex);
}

struct test_job *fixture_plug(struct fixture *f)
{
    struct test_job *plug = job_create(f, 0, 1);

    fake_hold(&f->backend);
    job_submit(plug);
    fake_wait_at_gate(&f->backend, 1);
    return plug;
}

double fixture_metric(struct fixture *f, const char *cell)
{
    size_t size;
    char *text = moed_metrics_render(f->metrics, MOED_PROMETHEUS_TEXT, &size);
    const size_t length = strlen(cell);
    double value = -1;

    assert_non_null(text);
    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');

        if (strncmp(line, cell, length) == 0 && line[length] == ' ') {
            value = strtod(line + length, NULL);
        }
        line = end == NULL ? NULL : end + 1;
    }
    free(text);
    return value;
}

static void count_answer(struct moed_job *job)
{
    struct test_job *t = (struct test_job *)job;
    struct fixture *f = t->fixture;

    pthread_mutex_lock(&f->mutex);
    t->done++;
    t->order = ++f->answered;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
}

struct test_job *job_create(struct fixture *f, uint32_t place, uint32_t rows)
{
    struct test_job *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    pthread_mutex_lock(&f->mutex);
    t->tag = ++f->tags;
    pthread_mutex_unlock(&f->mutex);
    t->fixture = f;
    t->hidden = calloc((size_t)rows * HIDDEN + 1, sizeof(float));
    t->output = calloc((size_t)rows * HIDDEN + 1, sizeof(float));
    assert_non_null(t->hidden);
    assert_non_null(t->output);
    for (uint32_t i = 0; i < rows; i++) {
        float *row = t->hidden + (size_t)i * HIDDEN;

        row[0] = t->tag;
        row[1] = (float)i;
        for (uint32_t h = 2; h < HIDDEN; h++) {
            row[h] = (float)h;
        }
    }
    t->job = (struct moed_job){.layer = layer_at(place),
                               .rows = rows,
                               .slots = USED,
                               .hidden = t->hidden,
                               .output = t->output,
                               .done = count_answer};
    return t;
}

void job_destroy(struct test_job *job)
{
    free(job->hidden);
    free(job->output);
    free(job);
}

void job_submit(struct test_job *job)
{
    struct moed_error err = {0};

    if (moed_batcher_submit(job->fixture->batcher, &job->job, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

int job_refused(struct test_job *job, const char *message)
{
    struct moed_error err = {0};
    const int rc = moed_batcher_submit(job->fixture->batcher, &job->job, &err);

    assert_int_not_equal(rc, 0);
    assert_int_equal(err.code, rc);
    if (strstr(err.message, message) == NULL) {
        fail_msg("'%s' has no '%s'", err.message, message);
    }
    assert_int_equal(job->done, 0);
    return rc;
}

void job_assert_right(const struct test_job *job)
{
    assert_int_equal(job->done, 1);
    if (job->job.status != 0) {
        fail_msg("%s", job->job.error.message);
    }
    for (size_t i = 0; i < (size_t)job->job.rows * HIDDEN; i++) {
        const float expected = fake_output(job->hidden[i], job->job.layer, 0);

        if (job->output[i] != expected) {
            fail_msg("job %g, element %zu: %g is not %g", (double)job->tag, i,
                     (double)job->output[i], (double)expected);
        }
    }
}

void job_assert_failed(const struct test_job *job, int status, const char *message)
{
    assert_int_equal(job->done, 1);
    assert_int_equal(job->job.status, status);
    assert_int_equal(job->job.error.code, status);
    if (strstr(job->job.error.message, message) == NULL) {
        fail_msg("'%s' has no '%s'", job->job.error.message, message);
    }
}
