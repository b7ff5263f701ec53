/* guard: mappings whose file was cut short. Reading behind the file's end is SIGBUS, which ends the
 * process; here it is survived: the pages read as zeros from then on, and whoever asks is told. */
#ifndef MOED_GGUF_GUARD_H
#define MOED_GGUF_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Watches over a mapping, where moed_gguf_survive_cuts was called; its place, or -1: too many. */
int guard_add(const void *map, uint64_t size);
void guard_remove(int place); /* -1 is fine */
/* Whether something behind the end was read; *offset: where first. Any thread. */
bool guard_hit(int place, uint64_t *offset);

#endif
