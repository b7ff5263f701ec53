/* attach.c: a client's way in, by a hello and a welcome, and out, when its socket ends. */
#include "lanes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static uint64_t round_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

/* ---- out ---- */
static void on_closed(uv_handle_t *handle)
{
    struct lane_client *client = handle->data;

    if (client->lane != NULL) {
        munmap(client->lane, client->size);
        body_give_room(client->lanes->service->host, client->size);
    }
    close(client->fd);
    for (uint32_t i = 0; client->slots != NULL && i < client->n_slots; i++)
        free(client->slots[i].routing);
    free(client->slots);
    free(client);
}

void lane_client_reap(struct lane_client *client)
{
    struct lanes *lanes = client->lanes;

    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        lanes->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    lanes->n_clients--;
    moed_metric_set(lanes->connections, lanes->n_clients);
    uv_close((uv_handle_t *)&client->poll, on_closed);
}

void lane_client_leave(struct lane_client *client, const char *why)
{
    if (client->leaving)
        return;
    client->leaving = true;
    uv_poll_stop(&client->poll);
    shutdown(client->fd, SHUT_RDWR);
    if (why != NULL)
        moed_log(MOED_LOG_WARN, "lane: client of process %d %s and is disconnected",
                 (int)client->peer.pid, why);
    for (uint32_t i = 0; client->slots != NULL && i < client->n_slots; i++)
        if (atomic_load(&client->slots[i].busy))
            atomic_store(&client->slots[i].job.cancelled, true);
    if (atomic_fetch_or(&client->load, LANE_LEAVING) == 0)
        lane_client_reap(client);
}

/* ---- in ---- */
static void send_welcome(const struct lane_client *client, struct moed_lane_welcome *welcome,
                         int memory)
{
    struct iovec bytes = {welcome, sizeof *welcome};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

    welcome->magic = MOED_LANE_MAGIC;
    welcome->version = MOED_LANE_VERSION;
    if (memory >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof memory);
        memcpy(CMSG_DATA(&control.head), &memory, sizeof memory);
    }
    sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Whether the client may have a lane, and now. */
static int check_hello(struct lane_client *client, struct moed_error *err)
{
    struct moed_lane_hello *hello = &client->hello;
    const struct service *service = client->lanes->service;
    const struct host *host = service->host;

    hello->key[sizeof hello->key - 1] = '\0';
    if (hello->magic != MOED_LANE_MAGIC || hello->version != MOED_LANE_VERSION)
        return moed_fail(err, MOED_E_UNSUPPORTED, "found version %u of the lane, expected %u",
                         hello->version, MOED_LANE_VERSION);
    if (host->keys.n > 0 && !keys_allow(&host->keys, NULL, hello->key))
        return moed_fail(err, MOED_E_UNAUTHORIZED,
                         "found no API key of this server in the lane's hello");
    if (service->phase == SERVICE_LOADING)
        return moed_fail(err, MOED_E_LOADING, "the model is loading; try again");
    if (service->phase != SERVICE_READY)
        return moed_fail(err, MOED_E_DRAINING, "the server is draining");
    return 0;
}

/* The shared memory: sealed, so that nobody can cut it short under us. */
static int make_memory(struct lane_client *client, struct moed_error *err)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int memory = memfd_create("moed-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *map = MAP_FAILED;

    if (memory >= 0 && ftruncate(memory, (off_t)client->size) == 0 &&
        fcntl(memory, F_ADD_SEALS, seals) == 0)
        map = mmap(NULL, client->size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (map == MAP_FAILED) {
        moed_fail(err, MOED_E_NO_MEMORY, "no shared memory of %zu bytes: %s", client->size,
                  strerror(errno));
        if (memory >= 0)
            close(memory);
        return -1;
    }
    client->lane = map;
    return memory;
}

static void fill_lane(struct lane_client *client)
{
    struct moed_lane *lane = client->lane;

    lane->magic = MOED_LANE_MAGIC;
    lane->version = MOED_LANE_VERSION;
    lane->slots = client->n_slots;
    lane->slot_bytes = client->slot_bytes;
    lane->slot_stride = client->slot_stride;
    lane->slots_at = client->slots_at;
    lane->asleep = 1;
    for (uint32_t i = 0; i < client->n_slots; i++) {
        client->slots[i].client = client;
        client->slots[i].index = i;
        atomic_init(&client->slots[i].busy, false);
    }
}

/* Gives the client a lane as large as it asks for and may have; the memory's descriptor, or -1. */
static int make_lane(struct lane_client *client, struct moed_error *err)
{
    const struct moed_lane_hello *hello = &client->hello;
    struct host *host = client->lanes->service->host;
    const uint32_t most = host->options->lane_slots;
    int memory;

    if (hello->slot_bytes == 0 || hello->slot_bytes > host->options->max_inflight_bytes) {
        moed_fail(err, MOED_E_TOO_LARGE, "slots of %llu bytes were asked for, expected 1 to %llu",
                  (unsigned long long)hello->slot_bytes,
                  (unsigned long long)host->options->max_inflight_bytes);
        return -1;
    }
    client->n_slots = hello->slots == 0 || hello->slots > most ? most : hello->slots;
    client->slot_bytes = round_up(hello->slot_bytes, MOED_LANE_ALIGNMENT);
    client->slot_stride = round_up(client->slot_bytes + sizeof(struct moed_lane_slot), PAGE);
    client->slots_at = round_up(sizeof(struct moed_lane), PAGE);
    client->size = client->slots_at + client->n_slots * client->slot_stride;
    if (body_take_room(host, client->size, err) != 0)
        return -1;
    client->slots = moed_calloc(client->n_slots, sizeof *client->slots);
    if (client->slots == NULL)
        memory = moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u slots", client->n_slots);
    else
        memory = make_memory(client, err);
    if (client->lane == NULL)
        body_give_room(host, client->size);
    else
        fill_lane(client);
    return memory;
}

static void welcome(struct lane_client *client)
{
    struct moed_lane_welcome welcome = {0};
    struct moed_error err;
    int memory = -1;

    if (check_hello(client, &err) == 0)
        memory = make_lane(client, &err);
    if (client->lane == NULL) {
        welcome.status = err.code;
        snprintf(welcome.message, sizeof welcome.message, "%.*s", (int)sizeof welcome.message - 1,
                 err.message);
        send_welcome(client, &welcome, -1);
        moed_log(MOED_LOG_INFO, "lane: refused process %d: %s", (int)client->peer.pid, err.message);
        lane_client_leave(client, NULL);
        return;
    }
    welcome.slots = client->n_slots;
    welcome.slot_bytes = client->slot_bytes;
    welcome.slot_stride = client->slot_stride;
    welcome.slots_at = client->slots_at;
    welcome.size = client->size;
    send_welcome(client, &welcome, memory);
    close(memory);
    moed_log(MOED_LOG_INFO, "lane: process %d of user %u has %u slots of %llu bytes",
             (int)client->peer.pid, (unsigned)client->peer.uid, client->n_slots,
             (unsigned long long)client->slot_bytes);
}

/* ---- the socket ---- */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct lane_client *client = poll->data;
    char rung[256];
    ssize_t n;

    (void)events;
    if (client->lane == NULL)
        n = recv(client->fd, (char *)&client->hello + client->heard,
                 sizeof client->hello - client->heard, MSG_DONTWAIT);
    else
        n = recv(client->fd, rung, sizeof rung, MSG_DONTWAIT);
    if (n == 0 || status < 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        lane_client_leave(client, NULL);
        return;
    }
    if (n > 0 && client->lane == NULL) {
        client->heard += (size_t)n;
        if (client->heard == sizeof client->hello)
            welcome(client);
    } else if (client->lane != NULL) {
        lanes_look(client->lanes, client);
    }
}

void lane_client_accept(struct lanes *lanes, int fd)
{
    struct lane_client *client = moed_calloc(1, sizeof *client);
    socklen_t size = sizeof client->peer;
    int rc =
        client == NULL ? UV_ENOMEM : uv_poll_init(&lanes->service->host->loop, &client->poll, fd);

    if (rc != 0) {
        free(client);
        close(fd);
        return;
    }
    client->lanes = lanes;
    client->fd = fd;
    client->opened_ns = moed_now_ns();
    client->poll.data = client;
    atomic_init(&client->load, 0);
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &client->peer, &size);
    client->next = lanes->clients;
    if (client->next != NULL)
        client->next->previous = client;
    lanes->clients = client;
    moed_metric_set(lanes->connections, ++lanes->n_clients);
    uv_poll_start(&client->poll, UV_READABLE, on_readable);
}
