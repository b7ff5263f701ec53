/* lane.c: the handshake of a lane, and ringing its server. */
#include "remote.h"

#include "src/base/base.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(struct lane *lane, const struct lane_wish *wish, struct moed_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {wish->timeout_ms / 1000, wish->timeout_ms % 1000 * 1000};

    if (wish->path[0] == '\0' || strlen(wish->path) >= sizeof address.sun_path)
        return moed_fail(err, MOED_E_USAGE,
                         "found \"lane:%s\", expected lane:PATH of up to %zu bytes", wish->path,
                         sizeof address.sun_path - 1);
    memcpy(address.sun_path, wish->path, strlen(wish->path) + 1);
    lane->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (lane->fd >= 0) {
        setsockopt(lane->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(lane->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    if (lane->fd < 0 || connect(lane->fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return moed_fail(err, MOED_E_IO, "lane:%s: %s", wish->path, strerror(errno));
    return 0;
}

static int send_hello(const struct lane *lane, const struct lane_wish *wish, struct moed_error *err)
{
    struct moed_lane_hello hello = {.magic = MOED_LANE_MAGIC,
                                    .version = MOED_LANE_VERSION,
                                    .slots = wish->slots,
                                    .slot_bytes = wish->slot_bytes};

    if (wish->api_key != NULL && strlen(wish->api_key) >= sizeof hello.key)
        return moed_fail(err, MOED_E_USAGE, "an API key of %zu characters, the limit is %zu",
                         strlen(wish->api_key), sizeof hello.key - 1);
    if (wish->api_key != NULL)
        memcpy(hello.key, wish->api_key, strlen(wish->api_key) + 1);
    if (send(lane->fd, &hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello)
        return moed_fail(err, MOED_E_IO, "lane:%s: %s", wish->path, strerror(errno));
    return 0;
}

/* The welcome, and the descriptor that comes with it; -1: none came. */
static int receive_welcome(const struct lane *lane, struct moed_lane_welcome *welcome, int *memory)
{
    struct iovec bytes = {welcome, sizeof *welcome};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    const struct cmsghdr *head;

    *memory = -1;
    if (recvmsg(lane->fd, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL) != (ssize_t)sizeof *welcome)
        return -1;
    head = CMSG_FIRSTHDR(&message);
    if (head != NULL && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof *memory))
        memcpy(memory, CMSG_DATA(head), sizeof *memory);
    return 0;
}

static int check_welcome(const struct lane_wish *wish, struct moed_lane_welcome *welcome,
                         int memory, struct moed_error *err)
{
    welcome->message[sizeof welcome->message - 1] = '\0';
    if (welcome->magic != MOED_LANE_MAGIC)
        return moed_fail(err, MOED_E_UNSUPPORTED, "lane:%s: this is no lane of moed", wish->path);
    if (welcome->status != 0)
        return moed_fail(err, welcome->status, "lane:%s: %s", wish->path, welcome->message);
    if (welcome->version != MOED_LANE_VERSION || memory < 0 || welcome->slots == 0 ||
        welcome->slots > MOED_LANE_MAX_SLOTS ||
        welcome->slots_at + welcome->slots * welcome->slot_stride > welcome->size)
        return moed_fail(err, MOED_E_UNSUPPORTED, "lane:%s: found version %u, expected %u",
                         wish->path, welcome->version, MOED_LANE_VERSION);
    return 0;
}

static int map(struct lane *lane, const struct lane_wish *wish, struct moed_error *err)
{
    struct moed_lane_welcome welcome;
    void *shared = MAP_FAILED;
    int memory, rc;

    if (receive_welcome(lane, &welcome, &memory) != 0)
        return moed_fail(err, MOED_E_IO, "lane:%s: the server sent no welcome", wish->path);
    rc = check_welcome(wish, &welcome, memory, err);
    if (rc == 0)
        shared = mmap(NULL, welcome.size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (rc == 0 && shared == MAP_FAILED)
        rc = moed_fail(err, MOED_E_NO_MEMORY, "lane:%s: mapping %llu bytes: %s", wish->path,
                       (unsigned long long)welcome.size, strerror(errno));
    if (memory >= 0)
        close(memory);
    if (rc != 0)
        return rc;
    lane->shared = shared;
    lane->size = welcome.size;
    lane->n_slots = welcome.slots;
    lane->slot_bytes = welcome.slot_bytes;
    lane->slot_stride = welcome.slot_stride;
    lane->slots_at = welcome.slots_at;
    return 0;
}

int lane_open(struct lane *lane, const struct lane_wish *wish, struct moed_error *err)
{
    int rc;

    *lane = (struct lane){.fd = -1};
    rc = connect_to(lane, wish, err);
    if (rc == 0)
        rc = send_hello(lane, wish, err);
    if (rc == 0)
        rc = map(lane, wish, err);
    if (rc != 0)
        lane_close(lane);
    return rc;
}

void lane_close(struct lane *lane)
{
    if (lane->shared != NULL)
        munmap(lane->shared, lane->size);
    if (lane->fd >= 0)
        close(lane->fd);
    *lane = (struct lane){.fd = -1};
}

void lane_submit(struct lane *lane, uint32_t index)
{
    struct moed_lane *shared = lane->shared;
    const uint32_t submitted = __atomic_load_n(&shared->submitted, __ATOMIC_RELAXED);

    __atomic_store_n(&lane_slot(lane, index)->state, MOED_LANE_SUBMITTED, __ATOMIC_RELAXED);
    __atomic_store_n(&shared->queue[submitted % lane->n_slots], index, __ATOMIC_RELAXED);
    __atomic_store_n(&shared->submitted, submitted + 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&shared->asleep, __ATOMIC_SEQ_CST) != 0 &&
        __atomic_exchange_n(&shared->asleep, 0, __ATOMIC_SEQ_CST) != 0)
        send(lane->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL); /* if it is full, the server is awake */
}

bool lane_has_ended(const struct lane *lane)
{
    struct pollfd socket = {.fd = lane->fd, .events = POLLRDHUP};

    return poll(&socket, 1, 0) > 0;
}
