/* guard: the handler of SIGBUS, and the mappings that it knows. The handler may only look at what
 * needs no lock: a fixed table of atomic cells. */
#include "guard.h"

#include "src/gguf/gguf.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES = 1024 };

static struct {
    atomic_uintptr_t begin; /* 0: free */
    atomic_uintptr_t end;
    _Atomic uint64_t hit; /* an offset + 1 */
} places[PLACES];

static struct sigaction before;
static uintptr_t page;

/* Zeros from the page at `at` to the end of the mapping: what is computed with them is thrown away,
 * and no thread has to be taken out of what it is doing. mmap(2) is a bare system call. */
static bool fill(int place, uintptr_t at)
{
    const uintptr_t from = at / page * page;
    const uintptr_t end = atomic_load(&places[place].end);
    uint64_t none = 0;

    atomic_compare_exchange_strong(&places[place].hit, &none,
                                   at - atomic_load(&places[place].begin) + 1);
    /* The kernel told the address as a number. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    return mmap((void *)from, end - from, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    const uintptr_t at = (uintptr_t)info->si_addr;
    const int saved = errno;

    (void)number;
    (void)context;
    for (int i = 0; i < PLACES; i++)
        if (at >= atomic_load(&places[i].begin) && at < atomic_load(&places[i].end) &&
            fill(i, at)) {
            errno = saved;
            return;
        }
    sigaction(SIGBUS, &before, NULL); /* not ours: it comes again, and does what it did */
}

void moed_gguf_survive_cuts(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sigaction now;

    if (sigaction(SIGBUS, NULL, &now) != 0 || now.sa_sigaction == on_bus_error)
        return;
    before = now;
    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

int guard_add(const void *map, uint64_t size)
{
    for (int i = 0; i < PLACES; i++) {
        uintptr_t none = 0;

        if (!atomic_compare_exchange_strong(&places[i].begin, &none, (uintptr_t)map))
            continue;
        atomic_store(&places[i].hit, 0);
        atomic_store(&places[i].end, (uintptr_t)map + size);
        return i;
    }
    return -1;
}

void guard_remove(int place)
{
    if (place < 0)
        return;
    atomic_store(&places[place].end, 0);
    atomic_store(&places[place].begin, 0);
}

bool guard_hit(int place, uint64_t *offset)
{
    const uint64_t hit = place < 0 ? 0 : atomic_load(&places[place].hit);

    *offset = hit - 1;
    return hit != 0;
}
