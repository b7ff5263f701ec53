/* pool.h: the threads of libuv's pool, on which bodies are read and answers printed. */
#ifndef MOED_SERVER_POOL_H
#define MOED_SERVER_POOL_H

#include "src/base/base.h"
#include <uv.h>

/* Has the pool make its threads now, as many as UV_THREADPOOL_SIZE says (`wanted`, or NULL). libuv
 * makes them when work first comes, and ends the process where it cannot; here that is
 * MOED_E_NO_MEMORY. */
int pool_start(uv_loop_t *loop, const char *wanted, struct moed_error *err);

#endif
