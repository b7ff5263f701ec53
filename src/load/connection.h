/* connection.h: one client: a socket, the request that it waits for, and its answer as it comes. */
#ifndef MOED_LOAD_CONNECTION_H
#define MOED_LOAD_CONNECTION_H

#include "plan.h"

enum connection_state {
    CONNECTION_CLOSED,
    CONNECTION_CONNECTING,
    CONNECTION_IDLE,
    CONNECTION_BUSY
};

enum connection_outcome {
    CONNECTION_WAITS,     /* nothing that its owner must know */
    CONNECTION_CAN_SEND,  /* it has connected */
    CONNECTION_ANSWERED,  /* see answer, differs; the state is IDLE or CLOSED */
    CONNECTION_ABANDONED, /* it hung up in mid-request, as it was told to; CLOSED */
    CONNECTION_LOST,      /* the request has got no answer; CLOSED */
    CONNECTION_ENDED,     /* closed by the server between two requests */
    CONNECTION_UNREACHED  /* it could not connect, see fault; CLOSED */
};

struct connection {
    struct connection *next; /* among those that may be idle */
    bool listed;             /* among them */
    enum connection_state state;
    struct moed_stream stream;
    int epoll;
    struct moed_answer *answer;
    const struct planned *request;
    size_t sent, limit; /* bytes of the request; to be sent before hanging up, or all */
    bool abandons;
    size_t compared; /* bytes of the answer's body */
    bool differs;
    uint64_t due_ns, sent_ns; /* when the request was to be sent, and was */
    struct moed_error fault;
};

/* Makes a closed one; `epoll` watches its sockets. */
int connection_init(struct connection *connection, int epoll, struct moed_error *err);
void connection_fini(struct connection *connection);
/* Begins to connect to where a plan's server has answered. */
enum connection_outcome connection_open(struct connection *connection, const struct plan *plan);
/* Sends a request on an idle one. */
enum connection_outcome connection_send(struct connection *connection,
                                        const struct planned *request);
/* Sends so many bytes of it and hangs up. */
enum connection_outcome connection_abandon(struct connection *connection,
                                           const struct planned *request, size_t limit);
/* Something happened to the socket (epoll's bits). */
enum connection_outcome connection_advance(struct connection *connection, uint32_t events);
/* Gives up waiting: CLOSED. */
void connection_close(struct connection *connection);

#endif
