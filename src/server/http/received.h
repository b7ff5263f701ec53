/* received.h: the bytes of a request as they came. libmicrohttpd 0.9.75 ends methods, targets,
 * names, values and lines by writing NULs over what stood behind them, so that nobody sees a NUL
 * that the client sent, a line feed without its carriage return, or a line that continues another.
 * But all that it hands out still lies where it was received: what is between two parts tells.
 *
 *     GET \0 /livez \0 HTTP/1.1 \0\0 Host \0 x \0\0 Accept \0 any \0\0 \0\0 the body
 *         ' '        ' '        CRLF      ':'   CRLF                CRLF CRLF
 *
 * Later versions refuse all this themselves, when told to be strict. */
#ifndef MOED_SERVER_RECEIVED_H
#define MOED_SERVER_RECEIVED_H

#include "src/base/base.h"

#include <microhttpd.h>

#define RECEIVED_KEEPS_PLACES (MHD_VERSION < 0x00097701)

/* Of a request line, before anything in it is decoded. */
struct received_target {
    const char *at;
    const char *version; /* what has to follow it */
    bool plain;          /* of printable characters */
};

void received_target_note(struct received_target *target, const char *text);

/* libmicrohttpd's parts of a request line. */
struct request_line {
    const char *method, *target, *version;
};

/* A walk through the header fields, in their order. */
struct received {
    const char *at; /* where the next one has to begin; NULL: anywhere */
};

/* MOED_E_MALFORMED for anything but a method, a target and a version with one space between two,
 * and CR LF behind. */
int received_begin(struct received *walk, const struct request_line *line,
                   const struct received_target *target, struct moed_error *err);
/* MOED_E_MALFORMED where a field does not follow the one before it, or its value does not end with
 * its line, in CR LF. */
int received_field(struct received *walk, const char *name, const char *value,
                   struct moed_error *err);
/* MOED_E_MALFORMED where the head, of `size` bytes, has more than these fields and an empty line.
 */
int received_end(const struct received *walk, const struct request_line *line, size_t size,
                 struct moed_error *err);

/* What came before some bytes of a chunk, back to bytes of another chunk or, `first`, to where
 * libmicrohttpd's buffer begins. */
struct received_gap {
    const char *from, *to;
    bool first;
};

/* MOED_E_MALFORMED where a chunk's line has a line feed without its carriage return, or a carriage
 * return without its line feed. What libmicrohttpd had read before the first byte of the chunk came
 * cannot be seen any more. */
int received_check_chunk_line(const struct received_gap *gap, struct moed_error *err);

/* Leaves out the white space behind a value, which is no part of it (RFC 9112, 5.1), for all who
 * will look it up. */
void received_trim(const char *value);

#endif
