/* Connections counted by address. */
#include "src/server/http/peers.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static struct peers peers;

static struct peer *enter(const char *text, uint32_t *open)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return peers_enter(&peers, (const struct sockaddr *)&four, open);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return peers_enter(&peers, (const struct sockaddr *)&six, open);
}

static bool is_empty(void)
{
    for (size_t i = 0; i < PEER_BUCKETS; i++)
        if (peers.buckets[i] != NULL)
            return false;
    return true;
}

static void come_and_go(void **state)
{
    struct peer *first, *second;
    uint32_t open;

    (void)state;
    first = enter("10.0.0.1", &open);
    assert_int_equal(open, 1);
    second = enter("10.0.0.1", &open);
    assert_int_equal(open, 2);
    assert_ptr_equal(first, second);
    peers_leave(&peers, first);
    assert_ptr_equal(enter("10.0.0.1", &open), second);
    assert_int_equal(open, 2);
    peers_leave(&peers, second);
    peers_leave(&peers, second);
    assert_true(is_empty());
    peers_leave(&peers, NULL);
}

static void which_are_the_same_client(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"2001:db8::1", "2001:db8::ffff:1:2:3", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"a00:1::", "10.0.0.1", false},
        {"::1", "0.0.0.0", false},
        {"::1", "::2", true},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(pairs); i++) {
        uint32_t open;
        struct peer *a = enter(pairs[i].a, &open), *b = enter(pairs[i].b, &open);

        assert_int_equal(open, pairs[i].same ? 2 : 1);
        assert_int_equal(a == b, pairs[i].same);
        peers_leave(&peers, a);
        peers_leave(&peers, b);
        assert_true(is_empty());
    }
}

static void unix_sockets_are_not_counted(void **state)
{
    const struct sockaddr_un near = {.sun_family = AF_UNIX};
    uint32_t open = 7;

    (void)state;
    assert_null(peers_enter(&peers, (const struct sockaddr *)&near, &open));
    assert_int_equal(open, 0);
    assert_true(is_empty());
}

/* More than there are buckets, in and out in different orders. */
static void many(void **state)
{
    enum { MANY = 3 * PEER_BUCKETS };
    static struct peer *entered[MANY];
    uint32_t open;

    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = i};

        entered[i] = peers_enter(&peers, (const struct sockaddr *)&four, &open);
        assert_int_equal(open, 1);
    }
    for (uint32_t i = 0; i < MANY; i++)
        peers_leave(&peers, entered[(i * 1021) % MANY]); /* prime to MANY: each once */
    assert_true(is_empty());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_and_go),
        cmocka_unit_test(which_are_the_same_client),
        cmocka_unit_test(unix_sockets_are_not_counted),
        cmocka_unit_test(many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
