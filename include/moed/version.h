/* version.h: what these headers are of; moed_version() says it of the library that is linked. */
#ifndef MOED_VERSION_H
#define MOED_VERSION_H

#define MOED_VERSION_MAJOR 0
#define MOED_VERSION_MINOR 2
#define MOED_VERSION_PATCH 0
#define MOED_VERSION       "0.2.0"
/* For #if: MOED_VERSION_NUMBER >= 200 is 0.2.0 or later. */
#define MOED_VERSION_NUMBER \
    (MOED_VERSION_MAJOR * 10000 + MOED_VERSION_MINOR * 100 + MOED_VERSION_PATCH)

#endif
