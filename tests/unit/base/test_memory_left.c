/* How much memory is left, by files like the kernel's. */
#include "src/base/memory_left.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64], before[64];
static struct moed_memory_free left;

static int enter(void **state)
{
    (void)state;
    memcpy(root, "/tmp/moed-limits-XXXXXX", sizeof "/tmp/moed-limits-XXXXXX");
    return getcwd(before, sizeof before) != NULL && mkdtemp(root) != NULL && chdir(root) == 0 ? 0
                                                                                              : -1;
}

static int leave(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", root);
    return chdir(before) == 0 ? system(command) : -1; /* NOLINT(cert-env33-c) */
}

/* Writes a file, with the folders on the way. */
static void put(const char *path, const char *text)
{
    char folder[128];
    FILE *file;

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        mkdir(folder, 0755);
    }
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void nobody_says(void **state)
{
    (void)state;
    memory_read("missing", "missing", &left);
    assert_true(left.bytes == UINT64_MAX);
}

static void the_machine(void **state)
{
    (void)state;
    put("proc/meminfo",
        "MemTotal:  9000 kB\nMemFree: 1 kB\nMemAvailable:   4000 kB\nSwapFree: 96 kB\n");
    put("proc/self/cgroup", "0::/\n");
    memory_read("proc", "fs", &left);
    assert_int_equal(left.bytes, 4096 << 10);
    assert_string_equal(left.by, "MemAvailable and SwapFree");
}

/* As after `ulimit -v` and `ulimit -d`: soft limit, hard limit. */
static void limits_of_its_own(void **state)
{
    (void)state;
    put("proc/meminfo", "MemAvailable: 4000000 kB\n");
    put("proc/self/limits",
        "Max data size             unlimited            unlimited            bytes\n"
        "Max address space         1048576000           unlimited            bytes\n");
    put("proc/self/status", "VmPeak:\t  900000 kB\nVmSize:\t   24000 kB\nVmData:\t    1000 kB\n");
    memory_read("proc", "fs", &left);
    assert_int_equal(left.bytes, 1000000 << 10);
    assert_string_equal(left.by, "Max address space of this process");
    put("proc/self/limits",
        "Max data size             2048000              2048000              bytes\n"
        "Max address space         1048576000           unlimited            bytes\n");
    memory_read("proc", "fs", &left);
    assert_int_equal(left.bytes, 1000 << 10);
    assert_string_equal(left.by, "Max data size of this process");
    put("proc/self/status", "VmSize:\t   24000 kB\nVmData:\t    9000 kB\n");
    memory_read("proc", "fs", &left);
    assert_int_equal(left.bytes, 0);
}

/* As systemd's MemoryMax= of a slice, two groups above; cached files do not count as used. */
static void nested_groups(void **state)
{
    (void)state;
    put("proc/meminfo", "MemAvailable: 4000000 kB\n");
    put("proc/self/cgroup", "0::/a.slice/b.service/c\n");
    put("fs/a.slice/memory.max", "1000000\n");
    put("fs/a.slice/memory.current", "500000\n");
    put("fs/a.slice/memory.stat", "anon 100000\ninactive_file 300000\nactive_file 100000\n");
    put("fs/a.slice/b.service/memory.max", "max\n");
    put("fs/a.slice/b.service/c/memory.max", "950000\n");
    put("fs/a.slice/b.service/c/memory.current", "1000\n");
    memory_read("proc", "fs", &left);
    assert_int_equal(left.bytes, 900000);
    assert_string_equal(left.by, "fs/a.slice/memory.max");
}

static void of_version_1(void **state)
{
    (void)state;
    put("proc/meminfo", "MemAvailable: 4000000 kB\n");
    put("proc/self/cgroup", "3:cpu,cpuacct:/x\n2:memory:/box\n");
    put("fs/memory/box/memory.limit_in_bytes", "700000\n");
    put("fs/memory/box/memory.usage_in_bytes", "900000\n");
    memory_read("proc", "fs", &left);
    assert_int_equal(left.bytes, 0); /* more is used than may be */
    put("fs/memory/box/memory.usage_in_bytes", "100000\n");
    memory_read("proc", "fs", &left);
    assert_int_equal(left.bytes, 600000);
    assert_string_equal(left.by, "fs/memory/box/memory.limit_in_bytes");
}

/* A container sees its own group as the root, whatever path it has outside. */
static void of_a_container(void **state)
{
    (void)state;
    put("proc/meminfo", "MemAvailable: 4000000 kB\n");
    put("proc/self/cgroup", "0::/docker/0123\n");
    put("fs/memory.max", "123456\n");
    memory_read("proc", "fs", &left);
    assert_int_equal(left.bytes, 123456);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_says, enter, leave),
        cmocka_unit_test_setup_teardown(the_machine, enter, leave),
        cmocka_unit_test_setup_teardown(limits_of_its_own, enter, leave),
        cmocka_unit_test_setup_teardown(nested_groups, enter, leave),
        cmocka_unit_test_setup_teardown(of_version_1, enter, leave),
        cmocka_unit_test_setup_teardown(of_a_container, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
