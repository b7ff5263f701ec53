/* passes: threads that work between barriers, each with its own clock: the thread that counts the
 * passes may be woken late, when the others are halfway through. */
#include "passes.h"

#include <pthread.h>
#include <stdlib.h>

struct team {
    const struct passes *passes;
    pthread_mutex_t gate;      /* held until it is known how many members there are */
    pthread_barrier_t barrier; /* members and the counting thread, around each pass */
};

struct member {
    struct team *team;
    pthread_t thread;
    uint32_t index;
    uint64_t begin, end; /* of its part of the last pass */
};

static void *work(void *argument)
{
    struct member *member = argument;
    struct team *team = member->team;
    const struct passes *passes = team->passes;

    if (passes->prepare != NULL)
        passes->prepare(passes->context, member->index);
    pthread_mutex_lock(&team->gate);
    pthread_mutex_unlock(&team->gate);
    for (uint32_t pass = 0; pass < passes->count; pass++) {
        pthread_barrier_wait(&team->barrier);
        member->begin = moed_now_ns();
        passes->work(passes->context, member->index);
        member->end = moed_now_ns();
        pthread_barrier_wait(&team->barrier);
    }
    return NULL;
}

/* From the first member's start to the last one's end. */
static uint64_t elapsed(const struct member *members, uint32_t n)
{
    uint64_t begin = UINT64_MAX, end = 0;

    for (uint32_t i = 0; i < n; i++) {
        begin = members[i].begin < begin ? members[i].begin : begin;
        end = members[i].end > end ? members[i].end : end;
    }
    return end > begin ? end - begin : 1;
}

static double fastest(struct team *team, const struct member *members, uint32_t n)
{
    uint64_t best = UINT64_MAX;

    for (uint32_t pass = 0; pass < team->passes->count && n > 0; pass++) {
        pthread_barrier_wait(&team->barrier);
        pthread_barrier_wait(&team->barrier); /* the members rest until the next pass */
        if (elapsed(members, n) < best)
            best = elapsed(members, n);
    }
    return (double)best * 1e-9;
}

int passes_time(const struct passes *passes, uint32_t threads, double *seconds,
                struct moed_error *err)
{
    struct member *members = moed_calloc(threads, sizeof *members);
    struct team team = {.passes = passes};
    uint32_t started = 0;

    if (members == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "out of memory for %u threads", threads);
    pthread_mutex_init(&team.gate, NULL);
    pthread_mutex_lock(&team.gate);
    for (; started < threads; started++) {
        members[started] = (struct member){.team = &team, .index = started};
        if (pthread_create(&members[started].thread, NULL, work, &members[started]) != 0)
            break;
    }
    pthread_barrier_init(&team.barrier, NULL, started + 1);
    pthread_mutex_unlock(&team.gate);
    *seconds = fastest(&team, members, started);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(members[i].thread, NULL);
    pthread_barrier_destroy(&team.barrier);
    pthread_mutex_destroy(&team.gate);
    free(members);
    if (started < threads)
        return moed_fail(err, MOED_E_INTERNAL, "started %u of %u threads to measure with", started,
                         threads);
    return 0;
}
