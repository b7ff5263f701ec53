/* mailbox.c: a lock-free stack that many workers push to and the loop empties in one exchange.
 * One ring of the bell may stand for many letters: libuv merges them. */
#include "mailbox.h"

#include "forward.h"
#include "src/server/http/request.h"
#include "src/server/life/state.h"

static struct request *take_all(struct mailbox *mailbox)
{
    struct request *stack = atomic_exchange(&mailbox->newest, NULL);
    struct request *oldest = NULL;

    while (stack != NULL) { /* turned round, so that the first to finish is answered first */
        struct request *next = stack->next_done;
        stack->next_done = oldest;
        oldest = stack;
        stack = next;
    }
    return oldest;
}

static void on_bell(uv_async_t *bell)
{
    struct server *server = bell->data;
    struct request *request = take_all(&server->mailbox);

    while (request != NULL) {
        struct request *next = request->next_done;
        forward_finish(request);
        request = next;
    }
    server_run_resumed(server);
}

int mailbox_init(struct mailbox *mailbox, uv_loop_t *loop)
{
    atomic_init(&mailbox->newest, NULL);
    mailbox->bell.data = loop->data;
    return uv_async_init(loop, &mailbox->bell, on_bell);
}

void mailbox_post(struct mailbox *mailbox, struct request *request)
{
    struct request *newest = atomic_load(&mailbox->newest);

    do
        request->next_done = newest;
    while (!atomic_compare_exchange_weak(&mailbox->newest, &newest, request));
    uv_async_send(&mailbox->bell);
}
