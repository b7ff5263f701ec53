/* Processors and NUMA nodes, of machines made of files and of this one. */
#include "src/base/processors.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/moed-nodes-XXXXXX";

/* The set as a list of numbers, "0 1 8". */
static const char *text_of(const cpu_set_t *set)
{
    static char text[8192];
    size_t used = 0;

    text[0] = '\0';
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, set))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%zu", used > 0 ? " " : "",
                                     cpu);
    return text;
}

static void lists(void **state)
{
    static const char *const good[][2] = {
        {"", ""},       {"\n", ""},           {"0\n", "0"},           {"0-3\n", "0 1 2 3"},
        {"7", "7"},     {"0,2,4\n", "0 2 4"}, {"1-2,8-9", "1 2 8 9"}, {"1023", "1023"},
        {"5-5\n", "5"},
    };
    static const char *const bad[] = {"x",   "-1", "1-",   "3-1",   "1024",       "0-1024", "1 2",
                                      "1;2", ",1", "1,,2", "1-2-3", "4294967296", "0x1",    " 1"};
    cpu_set_t set;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(good); i++) {
        assert_true(moed_cpu_list(good[i][0], &set));
        assert_string_equal(text_of(&set), good[i][1]);
    }
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad); i++)
        assert_false(moed_cpu_list(bad[i], &set));
}

static void write_node(uint32_t number, const char *list)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/node%u", folder, number);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/node%u/cpulist", folder, number);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(list, file);
    fclose(file);
}

static int make_machine(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    write_node(0, "0-3,16-19\n");
    write_node(1, "4-7\n");
    write_node(2, "\n"); /* memory alone */
    write_node(5, "8-11\n");
    write_node(6, "what is this\n");
    return 0;
}

static int remove_machine(void **state)
{
    static const uint32_t numbers[] = {0, 1, 2, 5, 6};
    char path[128];

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(numbers); i++) {
        snprintf(path, sizeof(path), "%s/node%u/cpulist", folder, numbers[i]);
        unlink(path);
        snprintf(path, sizeof(path), "%s/node%u", folder, numbers[i]);
        rmdir(path);
    }
    return rmdir(folder);
}

static void nodes(void **state)
{
    static struct moed_node found[MOED_NODES_MAX];
    cpu_set_t mine;

    (void)state;
    assert_true(moed_cpu_list("0-1023", &mine));
    assert_int_equal(moed_nodes_read(folder, &mine, found), 3);
    assert_int_equal(found[0].number, 0);
    assert_string_equal(text_of(&found[0].cpus), "0 1 2 3 16 17 18 19");
    assert_int_equal(found[2].number, 5);
    assert_string_equal(text_of(&found[2].cpus), "8 9 10 11");

    /* A container that may use two processors of one node and one of another. */
    assert_true(moed_cpu_list("2-3,8", &mine));
    assert_int_equal(moed_nodes_read(folder, &mine, found), 2);
    assert_string_equal(text_of(&found[0].cpus), "2 3");
    assert_int_equal(found[1].number, 5);
    assert_string_equal(text_of(&found[1].cpus), "8");

    assert_int_equal(moed_nodes_read("/nowhere", &mine, found), 0);
}

static void this_machine(void **state)
{
    cpu_set_t set;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_in_range(moed_physical_cores(), 1, (uint32_t)CPU_COUNT(&set));
    assert_in_range(moed_numa_nodes(), 1, MOED_NODES_MAX);
}

/* On a thread of its own, whose affinity dies with it. */
static void *keep_to_a_node(void *argument)
{
    cpu_set_t before, after;

    (void)argument;
    sched_getaffinity(0, sizeof(before), &before);
    assert_false(moed_run_on_node(0, 100000));
    assert_false(moed_run_on_node(moed_numa_nodes(), 1));
    sched_getaffinity(0, sizeof(after), &after);
    assert_true(CPU_EQUAL(&before, &after));

    if (moed_run_on_node(0, 1)) { /* not where the machine has no nodes to read of */
        sched_getaffinity(0, sizeof(after), &after);
        assert_int_equal(moed_numa_nodes(), 1);
        CPU_AND(&before, &before, &after);
        assert_true(CPU_EQUAL(&before, &after));
        assert_in_range(moed_physical_cores(), 1, (uint32_t)CPU_COUNT(&after));
    }
    return NULL;
}

static void keeping_to_a_node(void **state)
{
    cpu_set_t before, after;
    pthread_t thread;

    (void)state;
    sched_getaffinity(0, sizeof(before), &before);
    assert_int_equal(pthread_create(&thread, NULL, keep_to_a_node, NULL), 0);
    pthread_join(thread, NULL);
    sched_getaffinity(0, sizeof(after), &after);
    assert_true(CPU_EQUAL(&before, &after));
}

static void one_processor_is_one_core_of_one_node(void **state)
{
    cpu_set_t before, one;

    (void)state;
    sched_getaffinity(0, sizeof(before), &before);
    CPU_ZERO(&one);
    for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(moed_physical_cores(), 1);
    assert_int_equal(moed_numa_nodes(), 1);
    assert_false(moed_run_on_node(0, 2));
    assert_false(moed_spread_memory(true)); /* over one node: there is nothing to spread over */
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test_setup_teardown(nodes, make_machine, remove_machine),
        cmocka_unit_test(this_machine),
        cmocka_unit_test(keeping_to_a_node),
        cmocka_unit_test(one_processor_is_one_core_of_one_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
