/* json_memory: cJSON without memory says only that something failed; this knows why. Wire's own,
 * and its tests'. */
#ifndef MOED_WIRE_JSON_MEMORY_H
#define MOED_WIRE_JSON_MEMORY_H

#include <stddef.h>

/* cJSON allocates by this function from now on; one thread, before there are others. */
void json_memory_use(void *(*allocate)(size_t size));

#endif
