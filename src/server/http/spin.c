/* spin.c: a processor that slept takes tens of microseconds to come back, which a loop that looks a
 * little longer does not have to wait for. The price is that it computes nothing meanwhile. */
#include "spin.h"

#include "src/base/base.h"
#include <sched.h>

static void on_idle(uv_idle_t *idle)
{
    const struct spin *spin = idle->data;

    if (moed_now_ns() >= spin->until_ns)
        uv_idle_stop(idle);
    else
        sched_yield(); /* whoever else has work on this processor goes first */
}

int spin_init(struct spin *spin, uv_loop_t *loop, uint32_t us)
{
    spin->us = us;
    spin->idle.data = spin;
    return uv_idle_init(loop, &spin->idle);
}

void spin_extend(struct spin *spin)
{
    if (spin->us == 0)
        return;
    spin->until_ns = moed_now_ns() + spin->us * 1000;
    uv_idle_start(&spin->idle, on_idle); /* nothing where it is active already */
}
