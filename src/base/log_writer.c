/* log_writer: one descriptor, and a ring of lines before it while a thread writes.
 *
 *   who logs ──► ring: size, line, size, line, 0, descriptor, … ──► thread ──► write(2)
 *                  │ full: dropped and counted
 *
 * The mutex is never held during a write, so that who logs waits for nobody but others who do. A
 * file that takes over has its place in the ring (size 0): what was logged before goes to the
 * former one. */
#include "log_writer.h"

#include "src/base/base.h"
#include "src/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RING_BYTES = 1 << 20, SIZE_BYTES = sizeof(uint16_t), TELL_NS = 1000000000 };

enum writer_state {
    WRITER_NONE,    /* who logs writes */
    WRITER_RUNS,    /* the thread does */
    WRITER_STOPS,   /* the thread ends when the ring is empty */
    WRITER_ENDED,   /* it has, and is to be joined */
    WRITER_GIVEN_UP /* it waits for a reader that stands still: lines are dropped */
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t filled, ended;
    pthread_t thread;
    enum writer_state state;
    char ring[RING_BYTES];
    uint64_t in, out; /* bytes that ever went in and came out: places modulo RING_BYTES */
} writer = {.mutex = PTHREAD_MUTEX_INITIALIZER,
            .filled = PTHREAD_COND_INITIALIZER,
            .ended = PTHREAD_COND_INITIALIZER};

static atomic_int descriptor = STDERR_FILENO;
static atomic_bool torn; /* the descriptor has the beginning of a line without its end */
static _Atomic uint64_t dropped, told;

/* ---- the descriptor ---- */

/* As many bytes as get out: all, unless the disk is full or the reader gone. */
static size_t write_some(const char *data, size_t size)
{
    const int fd = atomic_load(&descriptor);
    size_t done = 0;

    while (done < size) {
        const ssize_t n = write(fd, data + done, size - done);

        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN) /* others have made it so */
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (n == 0 || errno != EINTR)
            break;
    }
    return done;
}

static bool write_line(const char *line, size_t size)
{
    size_t done;

    if (atomic_load(&torn)) {
        if (write_some("\n", 1) != 1)
            return false;
        atomic_store(&torn, false);
    }
    done = write_some(line, size);
    if (done > 0 && done < size)
        atomic_store(&torn, true);
    return done == size;
}

static void tell_lost(void)
{
    uint64_t before = atomic_load(&told);
    const uint64_t now = atomic_load(&dropped);
    struct log_line line;

    if (now == before || !atomic_compare_exchange_strong(&told, &before, now))
        return;
    log_line_of_lost(&line, now - before);
    if (!write_line(line.data, line.size))
        atomic_fetch_sub(&told, now - before);
}

/* The number stays and changes its file at once, so that a writer in between is in no danger. */
static int change_file(int fd)
{
    const int current = atomic_load(&descriptor);
    int rc = 0;

    atomic_store(&torn, false);
    if (current == STDERR_FILENO) {
        atomic_store(&descriptor, fd);
        return 0;
    }
    if (dup3(fd, current, O_CLOEXEC) < 0)
        rc = errno;
    close(fd);
    return rc;
}

/* ---- the ring; the mutex is held ---- */

static void copy_in(const void *data, size_t size)
{
    const size_t at = writer.in % RING_BYTES;
    const size_t first = size < RING_BYTES - at ? size : RING_BYTES - at;

    memcpy(writer.ring + at, data, first);
    memcpy(writer.ring, (const char *)data + first, size - first);
    writer.in += size;
}

static void copy_out(void *data, size_t size)
{
    const size_t at = writer.out % RING_BYTES;
    const size_t first = size < RING_BYTES - at ? size : RING_BYTES - at;

    memcpy(data, writer.ring + at, first);
    memcpy((char *)data + first, writer.ring, size - first);
    writer.out += size;
}

static bool has_room(size_t size)
{
    return RING_BYTES - (writer.in - writer.out) >= SIZE_BYTES + size;
}

static bool put_line(const char *line, uint16_t size)
{
    if (size == 0)
        return true;
    if (!has_room(size))
        return false;
    copy_in(&size, SIZE_BYTES);
    copy_in(line, size);
    pthread_cond_signal(&writer.filled);
    return true;
}

static bool put_file(int fd)
{
    const uint16_t no_line = 0;

    if (!has_room(sizeof fd))
        return false;
    copy_in(&no_line, SIZE_BYTES);
    copy_in(&fd, sizeof fd);
    pthread_cond_signal(&writer.filled);
    return true;
}

/* The next line; files before it take over. False: there is none. */
static bool take_line(struct log_line *line)
{
    uint16_t size;
    int fd;

    while (writer.in != writer.out) {
        copy_out(&size, SIZE_BYTES);
        if (size > 0) {
            copy_out(line->data, size);
            line->size = size;
            return true;
        }
        copy_out(&fd, sizeof fd);
        change_file(fd);
    }
    return false;
}

/* ---- the thread ---- */

static void *run(void *argument)
{
    uint64_t told_ns = 0;
    struct log_line line;

    (void)argument;
    pthread_mutex_lock(&writer.mutex);
    for (;;) {
        bool empty, written;

        if (!take_line(&line)) {
            if (writer.state != WRITER_RUNS)
                break;
            pthread_cond_wait(&writer.filled, &writer.mutex);
            continue;
        }
        empty = writer.in == writer.out;
        pthread_mutex_unlock(&writer.mutex);
        written = write_line(line.data, line.size);
        if (!written)
            atomic_fetch_add(&dropped, 1);
        if (written && (empty || moed_now_ns() - told_ns > TELL_NS)) {
            tell_lost();
            told_ns = moed_now_ns();
        }
        pthread_mutex_lock(&writer.mutex);
    }
    if (writer.state == WRITER_STOPS)
        writer.state = WRITER_ENDED;
    pthread_cond_signal(&writer.ended);
    pthread_mutex_unlock(&writer.mutex);
    return NULL;
}

/* Signals are for the threads that were there before. */
static int start_thread(void)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&writer.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_setname_np(writer.thread, "log");
    return rc;
}

int moed_log_start(struct moed_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&writer.mutex);
    if (writer.state == WRITER_NONE) {
        rc = start_thread();
        if (rc == 0)
            writer.state = WRITER_RUNS;
    }
    pthread_mutex_unlock(&writer.mutex);
    return rc == 0
               ? 0
               : moed_fail(err, MOED_E_NO_MEMORY, "no thread to write the log: %s", strerror(rc));
}

void moed_log_stop(uint32_t patience_ms)
{
    struct timespec until;
    bool ended;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience_ms / 1000;
    until.tv_nsec += (long)(patience_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&writer.mutex);
    if (writer.state != WRITER_RUNS) {
        pthread_mutex_unlock(&writer.mutex);
        return;
    }
    writer.state = WRITER_STOPS;
    pthread_cond_signal(&writer.filled);
    while (writer.state == WRITER_STOPS &&
           pthread_cond_timedwait(&writer.ended, &writer.mutex, &until) == 0)
        ;
    ended = writer.state == WRITER_ENDED;
    writer.state = ended ? WRITER_NONE : WRITER_GIVEN_UP;
    pthread_mutex_unlock(&writer.mutex);
    if (ended)
        pthread_join(writer.thread, NULL);
    else
        pthread_detach(writer.thread);
}

/* ---- for those who log ---- */

void log_writer_put(const char *line, size_t size)
{
    enum writer_state state;
    bool kept = true;

    pthread_mutex_lock(&writer.mutex);
    state = writer.state;
    if (state == WRITER_GIVEN_UP)
        kept = false;
    else if (state != WRITER_NONE)
        kept = put_line(line, (uint16_t)size);
    pthread_mutex_unlock(&writer.mutex);
    if (state == WRITER_NONE)
        kept = write_line(line, size);
    if (!kept)
        atomic_fetch_add(&dropped, 1);
    else if (state == WRITER_NONE)
        tell_lost();
}

int moed_log_open(const char *path, struct moed_error *err)
{
    int fd, rc = moed_file_append("log file", path, &fd, err);
    bool kept = true, later;

    if (rc != 0)
        return rc;
    pthread_mutex_lock(&writer.mutex);
    later = writer.state == WRITER_RUNS;
    if (later)
        kept = put_file(fd);
    pthread_mutex_unlock(&writer.mutex);
    rc = later ? 0 : change_file(fd);
    if (kept && rc == 0)
        return 0;
    if (!kept)
        close(fd);
    return moed_fail(err, MOED_E_IO, "log file %s: %s", path,
                     kept ? strerror(rc) : "too many lines wait for the former file");
}

uint64_t moed_log_dropped(void)
{
    return atomic_load(&dropped);
}
