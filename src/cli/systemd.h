/* systemd: what the service manager says to a service in its environment: the sockets that it has
 * bound for it (sd_listen_fds(3)) and where it wants to hear from it (sd_notify(3)). */
#ifndef MOED_CLI_SYSTEMD_H
#define MOED_CLI_SYSTEMD_H

#include "options.h"

struct systemd {
    const char *notify_socket; /* or NULL */
    uint64_t watchdog_us;      /* 0: it does not watch */
    uint32_t n_sockets;
    const char *names; /* of the sockets, with colons in between; "" where it names none */
};

/* Reads the variables with `get`; those that are meant for a process other than `pid` are nothing
 * to us. MOED_E_USAGE for a number that is none. */
int systemd_read(struct systemd *systemd, char *(*get)(const char *name), uint32_t pid,
                 struct moed_error *err);

/* Puts "fd:N" for each "fd:NAME" of `listen`, and where `listen` is empty, for all sockets.
 * MOED_E_USAGE for a name that no socket has, listing those that are there. */
int systemd_resolve(const struct systemd *systemd, struct option_texts *listen,
                    struct moed_error *err);

#endif
