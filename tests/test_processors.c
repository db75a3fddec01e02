/* CPU quotas of control groups, in folders laid out as /proc and /sys. */
#include "base/file.h"
#include "base/processors.h"
#include "base/threads.h"
#include "fixture.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static char root[FIXTURE_PATH];

static int setup(void **state) {
    (void)state;
    return fixture_folder(root);
}

static int teardown(void **state) {
    (void)state;
    fixture_remove(root);
    return 0;
}

static void put(const char *name, const char *text) {
    char path[FIXTURE_PATH + 200];
    snprintf(path, sizeof path, "%s/%s", root, name);
    char *folder = nas_path_folder(path);
    assert_int_equal(nas_folder_make(folder, NULL), NAS_OK);
    free(folder);
    assert_int_equal(nas_file_write(path, text, strlen(text), NULL), NAS_OK);
}

static void test_none(void **state) {
    (void)state;
    assert_int_equal(nas_processors_quota(root), 0);
    put("proc/self/cgroup", "0::/\n");
    assert_int_equal(nas_processors_quota(root), 0);
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_int_equal(nas_processors_quota(root), 0);
    put("sys/fs/cgroup/cpu.max", "nonsense\n");
    assert_int_equal(nas_processors_quota(root), 0);
}

/* The group's own, and those around it. */
static void test_version_2(void **state) {
    (void)state;
    put("proc/self/cgroup", "0::/jobs/mine\n");
    put("sys/fs/cgroup/jobs/mine/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/jobs/cpu.max", "350000 100000\n");
    assert_int_equal(nas_processors_quota(root), 4);
    put("sys/fs/cgroup/jobs/mine/cpu.max", "150000 100000\n");
    assert_int_equal(nas_processors_quota(root), 2);
    put("sys/fs/cgroup/cpu.max", "20000 100000\n");
    assert_int_equal(nas_processors_quota(root), 1);
}

/* In a container the path is the host's, and the mount's root is the group. */
static void test_container(void **state) {
    (void)state;
    put("proc/self/cgroup", "0::/../../docker/4f\n");
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_int_equal(nas_processors_quota(root), 2);
}

static void test_version_1(void **state) {
    (void)state;
    put("proc/self/cgroup", "12:cpuset:/a\n4:cpuacct,cpu:/box\n1:name=systemd:/x\n0::/box\n");
    put("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
    assert_int_equal(nas_processors_quota(root), 0);
    put("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "300000\n");
    assert_int_equal(nas_processors_quota(root), 3);
    put("sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us", "100000\n"); /* not of that controller */
    put("sys/fs/cgroup/cpuset/a/cpu.cfs_period_us", "100000\n");
    assert_int_equal(nas_processors_quota(root), 3);
}

static void test_memory(void **state) {
    (void)state;
    assert_int_equal(nas_memory_limit(root), 0);
    put("proc/self/cgroup", "5:memory:/box\n0::/jobs/mine\n");
    put("sys/fs/cgroup/jobs/mine/memory.max", "max\n");
    assert_int_equal(nas_memory_limit(root), 0);
    put("sys/fs/cgroup/jobs/memory.max", "6442450944\n");
    assert_int_equal(nas_memory_limit(root), 6442450944);
    put("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1073741824\n");
    assert_int_equal(nas_memory_limit(root), 1073741824);
    put("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(nas_memory_limit(root), 6442450944);
    assert_true(nas_memory_available() > 1 << 20);
}

static void test_affinity(void **state) {
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_in_range(nas_processors(), 1, CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(nas_processors(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(setenv("OMP_NUM_THREADS", "40", 1), 0);
    assert_int_equal(nas_threads_wanted(), 40);
    assert_int_equal(nas_threads_default(), NAS_CHUNKS);
    assert_int_equal(setenv("OMP_NUM_THREADS", "none", 1), 0);
    assert_int_equal(nas_threads_wanted(), nas_processors());
    assert_int_equal(unsetenv("OMP_NUM_THREADS"), 0);
}

#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {UNIT(test_none),      UNIT(test_version_2),
                                       UNIT(test_container), UNIT(test_version_1),
                                       UNIT(test_memory),    UNIT(test_affinity)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
