/* suggest: the right word for a wrong one: a slip of the finger, or what other programs call it. */
#ifndef MOED_CLI_SUGGEST_H
#define MOED_CLI_SUGGEST_H

#include "options.h"

/* Letters that are wrong, missing, too many or exchanged between two words, whatever their case. */
uint32_t suggest_distance(const char *a, const char *b);
/* Whether that is little enough, for words of this length, to be a slip. */
bool suggest_is_slip(const char *word, const char *meant);
/* What was meant by an option that the set does not have ("--jsn", "-ngl"), into `out`: the rest of
 * a message, which begins with a colon; empty where there is nothing to say. */
void suggest_option(const struct option_set *set, const char *word, char *out, size_t size);

#endif
