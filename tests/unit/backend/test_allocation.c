/* A warm forward pass allocates nothing: malloc and its kin are interposed and counted. */
#include "../support/tiny.h"

#include "src/backend/backend.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_bool counting;
static atomic_int allocations;

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static void count(void)
{
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
}

/* dlsym itself may call calloc before it has been found: it is served from here. */
static char early[4096];
static size_t early_used;

void *malloc(size_t size)
{
    static void *(*real)(size_t);

    count();
    if (real == NULL)
        *(void **)&real = next("malloc");
    return real(size);
}

void *calloc(size_t n, size_t size)
{
    static void *(*real)(size_t, size_t);
    static bool looking;

    count();
    if (real == NULL && looking) {
        void *p = early + early_used;

        early_used += (n * size + 15) & ~(size_t)15;
        return early_used <= sizeof early ? p : NULL;
    }
    if (real == NULL) {
        looking = true;
        *(void **)&real = next("calloc");
    }
    return real(n, size);
}

void *realloc(void *p, size_t size)
{
    static void *(*real)(void *, size_t);

    count();
    if (real == NULL)
        *(void **)&real = next("realloc");
    return real(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    static void *(*real)(size_t, size_t);

    count();
    if (real == NULL)
        *(void **)&real = next("aligned_alloc");
    return real(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    static int (*real)(void **, size_t, size_t);

    count();
    if (real == NULL)
        *(void **)&real = next("posix_memalign");
    return real(out, alignment, size);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);

    count();
    if (real == NULL)
        *(void **)&real = next("mmap");
    return real(at, size, protection, flags, fd, offset);
}

enum { ROWS = 40, HIDDEN = 256, USED = 2 };

/* Warm passes of every size over a model of one type; false if something failed. */
static bool run(const char *type)
{
    const struct tiny_spec spec = {.layers = 1,
                                   .hidden = HIDDEN,
                                   .width = 256,
                                   .experts = 8,
                                   .used = USED,
                                   .seed = 3,
                                   .type = type};
    const struct moed_backend_options options = {.name = "cpu", .threads = 2, .max_rows = ROWS};
    static float x[ROWS * HIDDEN], y[ROWS * HIDDEN], weights[ROWS * USED];
    static int32_t ids[ROWS * USED];
    static uint8_t not_finite[ROWS];
    struct moed_batch_rows batch = {.rows = ROWS,
                                    .slots = USED,
                                    .hidden = x,
                                    .output = y,
                                    .ids = ids,
                                    .weights = weights,
                                    .not_finite = not_finite};
    struct moed_workspace *workspace;
    struct moed_backend *backend;
    struct moed_model *model;
    struct moed_error err = {0};
    char path[256];
    int status;

    tiny_write(&spec, path);
    if (moed_model_open(path, NULL, &model, &err) != 0 ||
        moed_backend_open(model, &options, &backend, &err) != 0 ||
        moed_workspace_create(backend, &workspace, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    status = moed_forward(workspace, 0, &batch, &err); /* warms the thread team */
    atomic_store(&counting, true);
    for (uint32_t n = 1; n <= ROWS && status == 0; n++) {
        batch.rows = n;
        status = moed_forward(workspace, 0, &batch, &err);
    }
    atomic_store(&counting, false);
    moed_workspace_destroy(workspace);
    moed_backend_close(backend);
    moed_model_close(model);
    unlink(path);
    return status == 0;
}

int main(void)
{
    static const char *const types[] = {"Q4_K", "Q8_0", "BF16", "F32", "IQ2_XS"};
    bool ok = true;

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const int before = atomic_load(&allocations);

        ok = run(types[i]) && ok;
        printf("%s: %d allocations in %d warm forward passes\n", types[i],
               atomic_load(&allocations) - before, ROWS);
    }
    return !ok || atomic_load(&allocations) != 0;
}
