/* pool.c: see pool.h. How many threads there are, and their stacks, are libuv's own rules
 * (docs.libuv.org, "Thread pool work scheduling"). */
#include "pool.h"

#include <inttypes.h>
#include <stdlib.h>

enum { USUAL_THREADS = 4, MOST_THREADS = 1024, STACK_BYTES = 8 << 20 };

static uint32_t pool_threads(const char *wanted)
{
    const int n = wanted != NULL ? atoi(wanted) : USUAL_THREADS; /* NOLINT: as libuv reads it */

    return n <= 0 ? 1 : n > MOST_THREADS ? MOST_THREADS : (uint32_t)n;
}

static void do_nothing(uv_work_t *work)
{
    (void)work;
}

static void done(uv_work_t *work, int status)
{
    (void)status;
    free(work);
}

int pool_start(uv_loop_t *loop, const char *wanted, struct moed_error *err)
{
    const uint32_t threads = pool_threads(wanted);
    const uint32_t found = moed_threads_possible(threads, STACK_BYTES);
    uv_work_t *work;

    if (found < threads)
        return moed_fail(err, MOED_E_NO_MEMORY,
                         "only %" PRIu32 " of %" PRIu32
                         " threads could be made that read requests "
                         "and print answers: raise the limit of threads or of memory, or set "
                         "UV_THREADPOOL_SIZE to fewer",
                         found, threads);
    work = moed_calloc(1, sizeof *work);
    if (work == NULL || uv_queue_work(loop, work, do_nothing, done) != 0) {
        free(work);
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the first work of the pool");
    }
    return 0;
}
