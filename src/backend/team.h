/* team: the threads that share out one workspace's work. A team's threads live as long as it does,
 * in one OpenMP parallel region; tasks are claimed one by one, so a thread that another program
 * keeps from its processor holds up nobody but by the task that it has begun. Who waits spins for a
 * bounded time and then sleeps, and spins hardly at all while others want the processors. */
#ifndef MOED_BACKEND_TEAM_H
#define MOED_BACKEND_TEAM_H

#include "src/base/base.h"

/* Threads that a team may have; more than any machine has of use for one batch. */
#define TEAM_MOST 1024

struct team;

/* Starts the other threads of a team of `threads`, 1 to TEAM_MOST, and waits until they run. They
 * keep to the caller's processors. MOED_E_NO_MEMORY, saying how many threads there could be;
 * MOED_E_USAGE for a number that cannot be. */
int team_create(uint32_t threads, struct team **out, struct moed_error *err);
/* NULL is fine. */
void team_destroy(struct team *team);

/* Which of its team's threads the caller is, 0 to threads − 1, for scratch of its own. 0: the one
 * that calls team_for(). */
uint32_t team_rank(void);

/* Calls each(context, i) once for every i of [0, n), in tasks of `grain` (>= 1) that lie together,
 * and returns when all have returned. One caller at a time. Without a team (NULL), or where there
 * is one task, the caller does all. Allocates nothing. */
void team_for(struct team *team, uint32_t n, uint32_t grain,
              void (*each)(void *context, uint32_t i), void *context);

#endif
