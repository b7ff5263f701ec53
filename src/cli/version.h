/* version: what this build is made of. */
#ifndef MOED_CLI_VERSION_H
#define MOED_CLI_VERSION_H

/* The version, then backends, instruction sets and libraries, a line each. */
void version_print(void);

#endif
