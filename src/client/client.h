/* client: reaching a server and asking it: the text of a URL, connected sockets, HTTP/1.1 answers.
 * What is asked for is the caller's: requests are bytes. */
#ifndef MOED_SRC_CLIENT_H
#define MOED_SRC_CLIENT_H

#include "src/base/base.h"

#include <sys/socket.h>

/* "http://HOST[:PORT][/PATH]", "https://…", "HOST[:PORT]", "[v6]:PORT" or "unix:PATH". */
struct moed_url {
    bool is_unix;
    bool is_tls;
    char host[256]; /* or the socket's path; of v6 without brackets */
    char port[8];   /* "80", or "443" of https, unless named */
    char path[256]; /* as it stands in the URL: "" where there is none, else from its slash */
};

/* MOED_E_USAGE with what was expected. */
int moed_url_parse(const char *text, struct moed_url *out, struct moed_error *err);
/* What a request's Host header says. */
const char *moed_url_host(const struct moed_url *url);

/* ---- whom an https:// URL is believed ---- */
struct moed_trust_options {
    const char *ca;         /* PEM file of authorities; NULL: the system's */
    const char *cert, *key; /* PEM files for servers that ask who we are; NULL: nobody */
    bool insecure;          /* whoever answers is believed */
};
struct moed_trust; /* read-only once it is made: any thread */

/* MOED_E_USAGE or MOED_E_IO for what cannot be read, MOED_E_UNSUPPORTED in builds without TLS. */
int moed_trust_create(const struct moed_trust_options *options, struct moed_trust **out,
                      struct moed_error *err);
void moed_trust_destroy(struct moed_trust *trust); /* NULL is fine */

/* ---- streams: connected sockets, plain or with TLS ---- */
struct moed_secure;
struct moed_stream {
    int fd;                     /* -1: closed; it never blocks */
    struct moed_secure *secure; /* NULL: plain */
    uint64_t deadline_ns;       /* until when calls wait, as moed_now_ns; 0: they do not */
};

/* As send(2) and recv(2), without signals; EPROTO where TLS fails, EAGAIN once the deadline has
 * passed. Both see to a handshake that is not over. */
ssize_t moed_stream_send(const struct moed_stream *stream, const void *data, size_t size);
ssize_t moed_stream_receive(const struct moed_stream *stream, void *data, size_t size);
/* Goes on with the handshake: 0 once it is over, or where there is none; else -1 with errno. */
int moed_stream_shake(const struct moed_stream *stream);
/* What errno says, or TLS where it knows better. Borrowed. */
const char *moed_stream_fault(const struct moed_stream *stream);
void moed_stream_close(struct moed_stream *stream); /* a closed one is fine */

/* ---- reaching a server ---- */
struct moed_address { /* one that a URL stands for, and that has answered */
    struct sockaddr_storage to;
    socklen_t size;
};

/* Connects to the first address of the URL that answers. All together, connecting, sending and
 * receiving may take timeout_ms from now on, however little a server sends at a time. `trust` is
 * needed for https only, and outlives the stream. `address` (may be NULL) gets the one that
 * answered. Blocks. MOED_E_IO. */
int moed_stream_connect(const struct moed_url *url, const struct moed_trust *trust,
                        uint32_t timeout_ms, struct moed_stream *out, struct moed_address *address,
                        struct moed_error *err);
/* Begins to connect without waiting: the socket does not block and is writable once it is
 * connected. 0 or -errno. Both kinds send what is written at once (TCP_NODELAY). */
int moed_stream_begin(const struct moed_url *url, const struct moed_trust *trust,
                      const struct moed_address *address, struct moed_stream *out);

/* ---- answers: responses as their bytes arrive; in builds with the server ---- */
struct moed_answer;

/* `body` gets the bytes of each answer's body in their order. NULL without memory. */
struct moed_answer *moed_answer_create(void (*body)(void *context, const char *data, size_t size),
                                       void *context);
void moed_answer_destroy(struct moed_answer *answer); /* NULL is fine */
/* Forgets what it read: the next bytes are those of a new answer. */
void moed_answer_begin(struct moed_answer *answer);
/* Takes what arrived, or with no bytes the end of the connection. MOED_E_MALFORMED with what is
 * wrong; a connection that ends before its answer is complete is such a thing. */
int moed_answer_take(struct moed_answer *answer, const char *data, size_t size,
                     struct moed_error *err);
bool moed_answer_complete(const struct moed_answer *answer);
/* Of a complete one: whether its connection may be used again. */
bool moed_answer_keeps_alive(const struct moed_answer *answer);
unsigned moed_answer_status(const struct moed_answer *answer); /* 0 before it is known */
/* A part of Server-Timing ("queue", "compute") in nanoseconds; 0 where the server says none. */
uint64_t moed_answer_timing(const struct moed_answer *answer, const char *part);

/* ---- one request at a time over a blocking connection that is kept; with the server too ---- */
struct moed_asker {
    const struct moed_url *url;
    const struct moed_trust *trust;
    uint32_t timeout_ms;
    struct moed_stream stream;
    struct moed_address address; /* that answered */
};

struct moed_asked {
    unsigned status;
    char *body; /* NUL-terminated; the caller's to free */
    size_t size;
};

void moed_asker_init(struct moed_asker *asker, const struct moed_url *url,
                     const struct moed_trust *trust, uint32_t timeout_ms);
void moed_asker_fini(struct moed_asker *asker);
/* Sends the bytes of a whole request and reads its answer, whatever its status; that takes no
 * longer than timeout_ms from the connection to the answer's last byte. MOED_E_IO,
 * MOED_E_MALFORMED, MOED_E_NO_MEMORY. */
int moed_asker_ask(struct moed_asker *asker, const char *request, size_t size,
                   struct moed_asked *out, struct moed_error *err);

#endif
