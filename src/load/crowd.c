/* crowd.c: the turns of those who only take up room. */
#include "crowd.h"

#include <errno.h>
#include <stdlib.h>

int crowd_init(struct crowd *crowd, const struct plan *plan, struct moed_error *err)
{
    const struct moed_load_options *options = plan->options;
    int rc = 0;

    *crowd = (struct crowd){.plan = plan, .n_slow = options->slow};
    if (options->slow + options->idle == 0)
        return 0;
    crowd->members = moed_calloc((uint64_t)options->slow + options->idle, sizeof *crowd->members);
    if (crowd->members == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for idle and slow connections");
    while (rc == 0 && crowd->n < options->slow + options->idle) {
        rc = moed_stream_connect(&plan->url, plan->trust, options->timeout_ms,
                                 &crowd->members[crowd->n].stream, NULL, err);
        if (rc == 0)
            crowd->members[crowd->n++].stream.deadline_ns = 0; /* waits no more */
    }
    return rc;
}

static void hang_up(struct crowd_member *member)
{
    moed_stream_close(&member->stream);
    member->sent = 0;
}

void crowd_fini(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->n; i++)
        hang_up(&crowd->members[i]);
    free(crowd->members);
    *crowd = (struct crowd){0};
}

/* Whether the server has hung up; what it may have answered is thrown away. */
static bool has_ended(const struct crowd_member *member)
{
    char answer[4096];
    ssize_t n = moed_stream_receive(&member->stream, answer, sizeof answer);

    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void take_turn(const struct crowd *crowd, struct crowd_member *member, bool slow)
{
    const struct planned *request = &crowd->plan->requests[0];

    if (member->stream.fd < 0) {
        moed_stream_begin(&crowd->plan->url, crowd->plan->trust, &crowd->plan->address,
                          &member->stream); /* if it fails, the next turn tries again */
    } else if (has_ended(member)) {
        hang_up(member);
    } else if (slow && moed_stream_send(&member->stream,
                                        request->bytes + member->sent % request->size, 1) == 1) {
        member->sent++;
    }
}

void crowd_turn(struct crowd *crowd)
{
    const uint32_t turns = (crowd->n + CROWD_TURNS - 1) / CROWD_TURNS;

    for (uint32_t i = 0; i < turns; i++) {
        take_turn(crowd, &crowd->members[crowd->next], crowd->next < crowd->n_slow);
        crowd->next = (crowd->next + 1) % crowd->n;
    }
}
