#include "base/processors.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 4096, MOST_PROCESSORS = 1 << 16 };

typedef long long ll;

/* A resource that control groups limit: how a group's folder tells the limit (0: it has none), by
 * version 2 and version 1 of their interface, and where the latter is mounted. */
typedef struct resource {
    ll (*of_v2)(const char *folder), (*of_v1)(const char *folder);
    const char *controller;
    const char *mounts[4];
} resource;

/* The first line of a file, without its end; false: there is none. */
static bool read_line(const char *folder, const char *name, char *line, size_t size) {
    char path[2 * PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    bool got = file && fgets(line, (int)size, file);
    if (file) fclose(file);
    if (got) line[strcspn(line, "\n")] = '\0';
    return got;
}

/* quota / period, rounded up; 0: no quota. */
static ll processors_of(ll quota, ll period) {
    if (quota <= 0 || period <= 0 || quota / period >= MOST_PROCESSORS) return 0;
    return (quota + period - 1) / period;
}

/* "QUOTA PERIOD" or "max PERIOD", in microseconds (Linux's cgroup-v2.rst). */
static ll quota_of_v2(const char *folder) {
    char line[100], *end;
    if (!read_line(folder, "cpu.max", line, sizeof line)) return 0;
    ll quota = strtoll(line, &end, 10);
    return end == line ? 0 : processors_of(quota, strtoll(end, NULL, 10));
}

/* A quota of -1 is none (Linux's sched-bwc.rst). */
static ll quota_of_v1(const char *folder) {
    char quota[40], period[40];
    if (!read_line(folder, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !read_line(folder, "cpu.cfs_period_us", period, sizeof period))
        return 0;
    return processors_of(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

/* "max", or bytes. */
static ll memory_of_v2(const char *folder) {
    char line[100];
    return read_line(folder, "memory.max", line, sizeof line) ? strtoll(line, NULL, 10) : 0;
}

/* No limit is a number beyond any machine's memory. */
static ll memory_of_v1(const char *folder) {
    char line[100];
    bool got = read_line(folder, "memory.limit_in_bytes", line, sizeof line);
    return got ? strtoll(line, NULL, 10) : 0;
}

static const resource processors = {
    quota_of_v2, quota_of_v1, "cpu", {"cpu", "cpu,cpuacct", "cpuacct,cpu"}};
static const resource memory = {memory_of_v2, memory_of_v1, "memory", {"memory"}};

static ll smaller(ll a, ll b) {
    return !a || (b && b < a) ? b : a;
}

/* The smallest limit from a group up to the mount's root. In a container the group's path may be
 * the host's, and only the root is there. */
static ll limit_up(const char *mount, const char *group, ll (*limit_of)(const char *)) {
    char folder[2 * PATH];
    ll limit = 0;
    snprintf(folder, sizeof folder, "%s%s", mount, group);
    for (size_t least = strlen(mount);;) {
        limit = smaller(limit, limit_of(folder));
        char *slash = strrchr(folder + least, '/');
        if (!slash) return limit;
        *slash = '\0';
    }
}

/* Whether a list such as "cpu,cpuacct" has the word. */
static bool names(const char *list, size_t n, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list, *end = list + n; at < end;) {
        size_t part = strcspn(at, ",:");
        if (part == length && strncmp(at, word, length) == 0) return true;
        at += part + 1;
    }
    return false;
}

/* A line of /proc/self/cgroup, "ID:CONTROLLERS:PATH"; no controllers: version 2. */
static ll limit_of_line(const resource *what, const char *root, const char *line) {
    static const char *const unified[] = {"", "/unified"};
    char mount[PATH];
    ll limit = 0;
    const char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
    if (!group) return 0;
    size_t n = (size_t)(group - ++list);
    if (strcmp(++group, "/") == 0) group = "";
    for (size_t i = 0; !n && i < 2; i++) {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, unified[i]);
        limit = smaller(limit, limit_up(mount, group, what->of_v2));
    }
    for (size_t i = 0; names(list, n, what->controller) && what->mounts[i]; i++) {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, what->mounts[i]);
        limit = smaller(limit, limit_up(mount, group, what->of_v1));
    }
    return limit;
}

static ll limit_of(const resource *what, const char *root) {
    char path[PATH], line[PATH];
    ll limit = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        limit = smaller(limit, limit_of_line(what, root, line));
    }
    if (file) fclose(file);
    return limit;
}

int nas_processors_quota(const char *root) {
    return (int)limit_of(&processors, root);
}

/* A machine may have more processors than a cpu_set_t has room for. */
static int affinity(void) {
    for (int most = CPU_SETSIZE; most <= MOST_PROCESSORS; most *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)most);
        size_t bytes = CPU_ALLOC_SIZE((size_t)most);
        int n = set && sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        if (set) CPU_FREE(set);
        if (n > 0) return n;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < MOST_PROCESSORS ? (int)online : 1;
}

int nas_processors(void) {
    int quota = nas_processors_quota(""), n = affinity();
    return quota && quota < n ? quota : n;
}

uint64_t nas_memory_limit(const char *root) {
    ll limit = limit_of(&memory, root);
    return limit > 0 ? (uint64_t)limit : 0;
}

uint64_t nas_memory_available(void) {
    uint64_t limit = nas_memory_limit("");
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
    return limit && (!bytes || limit < bytes) ? limit : bytes;
}
