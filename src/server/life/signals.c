/* signals.c: libuv takes its handlers away as the loop closes, and a signal that comes then is the
 * process's end and its exit status. So signals are blocked from the beginning to the end, in every
 * thread, and read from a descriptor in between. */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void add(sigset_t *set, int number)
{
    sigaddset(set, number);
    signal(number, SIG_DFL); /* what is ignored would not wait, as SIGINT in the background */
}

void signals_hold(bool hangup)
{
    sigset_t set;

    sigemptyset(&set);
    add(&set, SIGTERM);
    add(&set, SIGINT);
    if (hangup)
        add(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct signals *signals = poll->data;
    struct signalfd_siginfo info;

    (void)status;
    (void)events;
    while (read(signals->fd, &info, sizeof info) == (ssize_t)sizeof info)
        signals->heard(signals->owner, (int)info.ssi_signo);
}

int signals_init(struct signals *signals, uv_loop_t *loop)
{
    sigset_t held, ours;
    int rc;

    pthread_sigmask(SIG_BLOCK, NULL, &held);
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    if (sigismember(&held, SIGHUP))
        sigaddset(&ours, SIGHUP);
    signals->fd = signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd < 0)
        return -errno;
    rc = uv_poll_init(loop, &signals->poll, signals->fd);
    signals->poll.data = signals;
    return rc != 0 ? rc : uv_poll_start(&signals->poll, UV_READABLE, on_readable);
}

void signals_let_kill(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void signals_fini(struct signals *signals)
{
    if (signals->fd >= 0)
        close(signals->fd);
    signals->fd = -1;
}
