/* mailbox.h: where workers leave finished requests for the loop thread. */
#ifndef MOED_SERVER_MAILBOX_H
#define MOED_SERVER_MAILBOX_H

#include <stdatomic.h>
#include <uv.h>

struct forward;
struct host;

struct mailbox {
    _Atomic(struct forward *) newest; /* a stack, linked by forward.next_done */
    uv_async_t bell;
    struct host *host;
};

int mailbox_init(struct mailbox *mailbox, struct host *host);
/* Any thread; never blocks. The request is the loop's again afterwards. */
void mailbox_post(struct mailbox *mailbox, struct forward *forward);

#endif
