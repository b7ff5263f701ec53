/* wait.c: waiting for the server: first looking, then sleeping on the lane's futex. */
#include "remote.h"

#include "src/base/base.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS = 64, LOOK_MS = 50, NS_A_MS = 1000000 };

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Tells the server that somebody sleeps on the futex, or that nobody does. */
static void announce(struct moed_client *client, bool sleeps)
{
    pthread_mutex_lock(&client->lock);
    client->sleeping += sleeps ? 1 : UINT32_MAX;
    __atomic_store_n(&client->lane.shared->waits, client->sleeping > 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&client->lock);
}

static void sleep_on(uint32_t *answered, uint32_t seen)
{
    const struct timespec limit = {0,
                                   (long)LOOK_MS * NS_A_MS}; /* a server that dies wakes nobody */

    syscall(SYS_futex, answered, FUTEX_WAIT, seen, &limit, NULL, 0);
}

static int give_up(const struct moed_client *client, uint64_t since_ns, struct moed_error *err)
{
    if (lane_has_ended(&client->lane))
        return moed_fail(err, MOED_E_IO, "the server has closed the lane");
    if ((moed_now_ns() - since_ns) / NS_A_MS > client->options.timeout_ms)
        return moed_fail(err, MOED_E_DEADLINE, "no answer within %u ms",
                         client->options.timeout_ms);
    return 0;
}

int client_wait_until(struct moed_client *client,
                      bool (*ready)(struct moed_client *client, const void *context),
                      const void *context, struct moed_error *err)
{
    const uint64_t since_ns = moed_now_ns();
    const uint64_t spin_ns = (uint64_t)client->options.spin_us * 1000;
    uint32_t *answered = &client->lane.shared->answered;
    int rc = 0;

    while (!ready(client, context)) {
        if (moed_now_ns() - since_ns < spin_ns) {
            for (int i = 0; i < LOOKS; i++)
                relax();
            sched_yield(); /* the server's worker may wait for this processor */
            continue;
        }
        announce(client, true);
        for (;;) {
            const uint32_t seen = __atomic_load_n(answered, __ATOMIC_SEQ_CST);
            bool ended;

            if (ready(client, context))
                break;
            ended = give_up(client, since_ns, err) != 0;
            if (ended && ready(client, context))
                break; /* its last answers came before its end */
            if (ended) {
                rc = err->code;
                break;
            }
            sleep_on(answered, seen);
        }
        announce(client, false);
        break;
    }
    return rc;
}
