/* mailbox.c: a lock-free stack that many workers push to and the loop empties in one exchange.
 * libuv merges wake-ups, so one call of on_bell may find many answers. */
#include "mailbox.h"

#include "forward.h"

#include "src/server/http/host.h"

static struct forward *take_all(struct mailbox *mailbox)
{
    struct forward *stack = atomic_exchange(&mailbox->newest, NULL);
    struct forward *oldest = NULL;

    while (stack != NULL) { /* turned round, so that the first to finish is answered first */
        struct forward *next = stack->next_done;
        stack->next_done = oldest;
        oldest = stack;
        stack = next;
    }
    return oldest;
}

static void on_bell(uv_async_t *bell)
{
    struct mailbox *mailbox = bell->data;
    struct forward *forward = take_all(mailbox);

    while (forward != NULL) {
        struct forward *next = forward->next_done;
        forward_finish(forward->request);
        forward = next;
    }
    host_run_resumed(mailbox->host);
}

int mailbox_init(struct mailbox *mailbox, struct host *host)
{
    atomic_init(&mailbox->newest, NULL);
    mailbox->host = host;
    mailbox->bell.data = mailbox;
    return uv_async_init(&host->loop, &mailbox->bell, on_bell);
}

void mailbox_post(struct mailbox *mailbox, struct forward *forward)
{
    struct forward *newest = atomic_load(&mailbox->newest);

    do
        forward->next_done = newest;
    while (!atomic_compare_exchange_weak(&mailbox->newest, &newest, forward));
    uv_async_send(&mailbox->bell);
}
