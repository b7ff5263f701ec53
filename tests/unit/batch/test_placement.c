/* Which NUMA nodes workers keep to. The machine is a double of src/base/base.h's processors: it has
 * as many nodes as a test says. */
#include "fixture.h"

#include <string.h>

enum { MAX_ASKED = 8, NODE_CORES = 4 };

static struct {
    pthread_mutex_t mutex;
    uint32_t nodes, n_asked;
    struct {
        pthread_t thread;
        uint32_t node, cores;
    } asked[MAX_ASKED];
} machine = {.mutex = PTHREAD_MUTEX_INITIALIZER};

uint32_t moed_numa_nodes(void)
{
    return machine.nodes;
}

bool moed_run_on_node(uint32_t index, uint32_t cores)
{
    pthread_mutex_lock(&machine.mutex);
    assert_true(machine.n_asked < MAX_ASKED);
    machine.asked[machine.n_asked].thread = pthread_self();
    machine.asked[machine.n_asked].node = index;
    machine.asked[machine.n_asked++].cores = cores;
    pthread_mutex_unlock(&machine.mutex);
    return cores <= NODE_CORES;
}

/* What the machine was asked for while a batcher started that then answered a job. */
static void start(uint32_t nodes, uint32_t workers, uint32_t threads, bool pin)
{
    const struct moed_batcher_options options = {.workers = workers, .pin = pin};
    struct fixture f;
    struct test_job *job;

    machine.nodes = nodes;
    machine.n_asked = 0;
    moed_log_configure(MOED_LOG_OFF, MOED_LOG_TEXT);
    fixture_init(&f, 8);
    f.backend.threads = threads;
    fixture_start(&f, &options);
    job = job_create(&f, 0, 3);
    job_submit(job);
    fixture_wait(&f, 1);
    job_assert_right(job);
    job_destroy(job);
    fixture_fini(&f);
}

/* How many workers asked for a node. */
static uint32_t on_node(uint32_t node)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < machine.n_asked; i++)
        n += machine.asked[i].node == node;
    return n;
}

static void one_a_node(void **state)
{
    (void)state;
    start(2, 0, NODE_CORES, true); /* 0: as many as nodes */
    assert_int_equal(machine.n_asked, 2);
    assert_int_equal(on_node(0), 1);
    assert_int_equal(on_node(1), 1);
    assert_int_equal(machine.asked[0].cores, NODE_CORES);
    /* Each for itself, on the thread that will make its team. */
    assert_false(pthread_equal(machine.asked[0].thread, machine.asked[1].thread));
    assert_false(pthread_equal(machine.asked[0].thread, pthread_self()));
}

static void several_a_node(void **state)
{
    (void)state;
    start(2, 5, 1, true);
    assert_int_equal(on_node(0), 3);
    assert_int_equal(on_node(1), 2);
}

static void one_node_needs_no_asking(void **state)
{
    (void)state;
    start(1, 3, 2, true);
    assert_int_equal(machine.n_asked, 0);
}

static void a_team_that_fits_no_node_still_works(void **state)
{
    (void)state;
    start(2, 2, NODE_CORES + 1, true);
    assert_int_equal(machine.n_asked, 2);
}

static void switched_off(void **state)
{
    (void)state;
    start(4, 0, 1, false);
    assert_int_equal(machine.n_asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_a_node),
        cmocka_unit_test(several_a_node),
        cmocka_unit_test(one_node_needs_no_asking),
        cmocka_unit_test(a_team_that_fits_no_node_still_works),
        cmocka_unit_test(switched_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
