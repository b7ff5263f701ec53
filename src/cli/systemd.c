/* systemd: environment variables to sockets. Descriptors are handed over from 3 on, in order. */
#include "systemd.h"

#include <string.h>

enum { SOCKETS_MAX = OPTION_LIST_MAX };

/* What each socket is called in --listen from here on. */
static const char *const specs[SOCKETS_MAX] = {
    "fd:3",  "fd:4",  "fd:5",  "fd:6",  "fd:7",  "fd:8",  "fd:9",  "fd:10",
    "fd:11", "fd:12", "fd:13", "fd:14", "fd:15", "fd:16", "fd:17", "fd:18",
};

/* The number in a variable; 0 where it is not set. */
static int read_number(const char *name, const char *text, uint64_t *out, struct moed_error *err)
{
    const char *end = text;

    *out = 0;
    if (text == NULL || (moed_read_u64(&end, out) && *end == '\0'))
        return 0;
    return moed_fail(err, MOED_E_USAGE, "%s: expected a whole number, found \"%s\"", name, text);
}

int systemd_read(struct systemd *systemd, char *(*get)(const char *name), uint32_t pid,
                 struct moed_error *err)
{
    const char *names = get("LISTEN_FDNAMES");
    uint64_t sockets, sockets_pid, watchdog_us, watchdog_pid;

    *systemd = (struct systemd){.notify_socket = get("NOTIFY_SOCKET"), .names = ""};
    if (read_number("LISTEN_FDS", get("LISTEN_FDS"), &sockets, err) != 0 ||
        read_number("LISTEN_PID", get("LISTEN_PID"), &sockets_pid, err) != 0 ||
        read_number("WATCHDOG_USEC", get("WATCHDOG_USEC"), &watchdog_us, err) != 0 ||
        read_number("WATCHDOG_PID", get("WATCHDOG_PID"), &watchdog_pid, err) != 0)
        return err->code;
    if (watchdog_pid == 0 || watchdog_pid == pid)
        systemd->watchdog_us = watchdog_us;
    if (sockets_pid != pid)
        return 0;
    if (sockets > SOCKETS_MAX)
        return moed_fail(err, MOED_E_USAGE, "LISTEN_FDS: found %llu sockets, expected at most %d",
                         (unsigned long long)sockets, SOCKETS_MAX);
    systemd->n_sockets = (uint32_t)sockets;
    systemd->names = names != NULL ? names : "";
    return 0;
}

/* The `index`th of the names: its start, and its length in *size; NULL past the end. */
static const char *name_at(const char *names, uint32_t index, size_t *size)
{
    for (; index > 0; index--) {
        names = strchr(names, ':');
        if (names == NULL)
            return NULL;
        names++;
    }
    *size = strcspn(names, ":");
    return names;
}

static bool is_named(const struct systemd *systemd, uint32_t index, const char *name)
{
    size_t size;
    const char *found = name_at(systemd->names, index, &size);

    return found != NULL && size > 0 && strlen(name) == size && strncmp(found, name, size) == 0;
}

static int add(struct option_texts *out, const char *spec, struct moed_error *err)
{
    if (out->n == OPTION_LIST_MAX)
        return moed_fail(err, MOED_E_USAGE, "--listen: more than %d sockets", OPTION_LIST_MAX);
    out->at[out->n++] = spec;
    return 0;
}

/* All sockets with that name: systemd may give several the same. */
static int add_named(const struct systemd *systemd, const char *name, struct option_texts *out,
                     struct moed_error *err)
{
    const uint32_t before = out->n;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < systemd->n_sockets; i++)
        if (is_named(systemd, i, name))
            rc = add(out, specs[i], err);
    if (rc == 0 && out->n == before)
        return moed_fail(err, MOED_E_USAGE,
                         "--listen: no socket is named \"%s\"; systemd passed %u, named \"%s\"",
                         name, systemd->n_sockets, systemd->names);
    return rc;
}

int systemd_resolve(const struct systemd *systemd, struct option_texts *listen,
                    struct moed_error *err)
{
    struct option_texts out = {.n = 0};
    uint32_t ignored;
    int rc = 0;

    for (uint32_t i = 0; listen->n == 0 && rc == 0 && i < systemd->n_sockets; i++)
        rc = add(&out, specs[i], err);
    for (uint32_t i = 0; rc == 0 && i < listen->n; i++) {
        const char *name = strncmp(listen->at[i], "fd:", 3) == 0 ? listen->at[i] + 3 : NULL;

        if (name == NULL || moed_read_u32(&name, &ignored))
            rc = add(&out, listen->at[i], err);
        else
            rc = add_named(systemd, name, &out, err);
    }
    memcpy(listen->at, out.at, sizeof listen->at);
    listen->n = out.n;
    return rc;
}
