/* Quotas of processor time, of control groups made of files. */
#include "src/base/processors.h"

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

static char root[64], before[64];

static int enter(void **state)
{
    (void)state;
    strcpy(root, "/tmp/moed-quota-XXXXXX");
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

static void without_groups_there_is_no_limit(void **state)
{
    (void)state;
    assert_int_equal(moed_quota_read("missing", "fs"), UINT32_MAX);
    put("groups", "no colons\n:\n\n");
    assert_int_equal(moed_quota_read("groups", "fs"), UINT32_MAX);
}

static void of_a_container(void **state)
{
    static const struct {
        const char *text;
        uint32_t cores;
    } cases[] = {
        {"max 100000\n", UINT32_MAX}, {"200000 100000\n", 2}, {"150000 100000\n", 2},
        {"100000 100000\n", 1},       {"1000 100000\n", 1},   {"99999999999 1\n", UINT32_MAX},
        {"0 100000\n", UINT32_MAX},   {"5\n", UINT32_MAX},    {"", UINT32_MAX},
        {"-1 100000\n", UINT32_MAX},
    };

    (void)state;
    put("groups", "0::/\n");
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        put("fs/cpu.max", cases[i].text);
        assert_int_equal(moed_quota_read("groups", "fs"), cases[i].cores);
    }
}

/* systemd's CPUQuota= is of a service, and its slices may have one too. */
static void the_least_of_nested_groups(void **state)
{
    (void)state;
    put("groups", "0::/system.slice/moed.service\n");
    put("fs/system.slice/moed.service/cpu.max", "300000 100000\n");
    assert_int_equal(moed_quota_read("groups", "fs"), 3);
    put("fs/system.slice/cpu.max", "200000 100000\n");
    assert_int_equal(moed_quota_read("groups", "fs"), 2);
    put("fs/system.slice/moed.service/cpu.max", "100000 100000\n");
    assert_int_equal(moed_quota_read("groups", "fs"), 1);
    put("fs/system.slice/other.service/cpu.max", "50000 100000\n");
    put("fs/system.slice/moed.service/cpu.max", "max 100000\n");
    assert_int_equal(moed_quota_read("groups", "fs"), 2);
}

static void of_version_1(void **state)
{
    (void)state;
    put("groups", "3:cpuset:/\n2:cpu,cpuacct:/docker/4711\n1:name=systemd:/\n0::/\n");
    put("fs/cpuset/docker/4711/cpu.cfs_quota_us", "100000\n");
    put("fs/cpu,cpuacct/docker/4711/cpu.cfs_quota_us", "-1\n");
    put("fs/cpu,cpuacct/docker/4711/cpu.cfs_period_us", "100000\n");
    assert_int_equal(moed_quota_read("groups", "fs"), UINT32_MAX);
    put("fs/cpu,cpuacct/docker/4711/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(moed_quota_read("groups", "fs"), 3);
}

/* In a container the path is the host's, and its own group lies at the root. */
static void a_path_of_the_host(void **state)
{
    (void)state;
    put("groups", "2:cpu:/docker/4711\n0::/docker/4711\n");
    put("fs/cpu/cpu.cfs_quota_us", "400000\n");
    put("fs/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(moed_quota_read("groups", "fs"), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_groups_there_is_no_limit, enter, leave),
        cmocka_unit_test_setup_teardown(of_a_container, enter, leave),
        cmocka_unit_test_setup_teardown(the_least_of_nested_groups, enter, leave),
        cmocka_unit_test_setup_teardown(of_version_1, enter, leave),
        cmocka_unit_test_setup_teardown(a_path_of_the_host, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
