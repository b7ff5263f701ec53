/* spin.h: staying awake for a while after something happened. */
#ifndef MOED_SERVER_SPIN_H
#define MOED_SERVER_SPIN_H

#include <stdint.h>
#include <uv.h>

struct spin {
    uv_idle_t idle; /* while it is active, the loop does not sleep */
    uint64_t us, until_ns;
};

/* `us` 0: never. 0 or a libuv error. */
int spin_init(struct spin *spin, uv_loop_t *loop, uint32_t us);
/* Something happened: the next may be near. */
void spin_extend(struct spin *spin);

#endif
