/* mailbox.h: where workers leave finished requests for the loop thread. */
#ifndef MOED_SERVER_MAILBOX_H
#define MOED_SERVER_MAILBOX_H

#include <stdatomic.h>
#include <uv.h>

struct request;

struct mailbox {
    _Atomic(struct request *) newest; /* a stack, linked by request.next_done */
    uv_async_t bell;
};

int mailbox_init(struct mailbox *mailbox, uv_loop_t *loop);
/* Any thread; never blocks. The request is the loop's again afterwards. */
void mailbox_post(struct mailbox *mailbox, struct request *request);

#endif
