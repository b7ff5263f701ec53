/* threads: how many could be made. Libraries that make their own end the process where they
 * cannot, so who is about to call them asks before. */
#include "src/base/base.h"

#include <pthread.h>
#include <stdlib.h>

static void *wait_at_gate(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

uint32_t moed_threads_possible(uint32_t wanted, size_t stack)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = moed_calloc(wanted, sizeof *threads);
    pthread_attr_t attributes;
    uint32_t n = 0;

    if (threads == NULL || pthread_attr_init(&attributes) != 0) {
        free(threads);
        return 0;
    }
    if (stack > 0)
        (void)pthread_attr_setstacksize(&attributes, stack);
    pthread_mutex_lock(&gate);
    while (n < wanted && pthread_create(&threads[n], &attributes, wait_at_gate, &gate) == 0)
        n++;
    pthread_mutex_unlock(&gate);
    for (uint32_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    free(threads);
    return n;
}
