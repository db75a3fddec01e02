/* Jobs of which each allocation, and each call of input and output, fails once: such a job ends
 * well, or says why. Include after <cmocka.h>. */
#ifndef NAS_TESTS_FAILING_H
#define NAS_TESTS_FAILING_H

#include <nashost/plugin.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sanitizers replace malloc themselves. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NAS_TESTS_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NAS_TESTS_SANITIZED 1
#endif

/* A job's status is that of what it calls, with a message in err. */
typedef int (*failing_job)(void *context, nas_error *err);

/* Starts the program anew with tests/lib/faults.so, which lies beside it; call it first in main. */
static inline void failing_start(void) {
#ifndef NAS_TESTS_SANITIZED
    char program[PATH_MAX], library[PATH_MAX + 20];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (getenv("LD_PRELOAD") || n < 0) return;
    program[n] = 0;
    snprintf(library, sizeof library, "%.*s/lib/faults.so", (int)(strrchr(program, '/') - program),
             program);
    setenv("LD_PRELOAD", library, 1);
    execl(program, program, (char *)NULL);
#endif
}

/* For what a job does to check itself. */
static inline void failing_pause(void) {
    void (*pause)(void);
    *(void **)&pause = dlsym(RTLD_DEFAULT, "faults_pause");
    if (pause) pause();
}

/* What a job that was disturbed may end with. */
static inline void failing_judge(const char *what, const char *kind, long n, int rc,
                                 const nas_error *err) {
    bool memory = strcmp(kind, "malloc") == 0;
    if (rc && strcmp(kind, "interrupt") == 0)
        fail_msg("%s, interrupted in call %ld: %s", what, n, err->message);
    if (rc && !err->message[0]) fail_msg("%s, %s %ld: %d without a word", what, kind, n, rc);
    if (rc && memory && (rc != NAS_ERR_MEMORY || !strstr(err->message, "memory")))
        fail_msg("%s, %s %ld: status %d: %s", what, kind, n, rc, err->message);
}

/* Tries a kind ("malloc", "io", "interrupt"): of the job's calls at most `most` ($FAILING_TRIES,
 * where that is given), evenly spread. The job itself looks whether a good end is one. */
static inline void failing_kind(const char *what, const char *kind, failing_job job, void *context,
                                long most) {
    long (*set)(const char *, long);
    *(void **)&set = dlsym(RTLD_DEFAULT, "faults_set");
    nas_error err = {0};
    if (!set) { /* a sanitizer's program: undisturbed */
        if (job(context, &err)) fail_msg("%s: %s", what, err.message);
        return;
    }
    const char *tries = getenv("FAILING_TRIES");
    if (tries) most = atol(tries);
    set(kind, 0);
    int rc = job(context, &err);
    long total = set(kind, 0), step = (total + most - 1) / most, tried = 0;
    if (rc) fail_msg("%s: %s", what, err.message);
    for (long n = 1; n <= total; n += step, tried++) {
        err = (nas_error){0};
        set(kind, n);
        rc = job(context, &err);
        set(kind, 0);
        failing_judge(what, kind, n, rc, &err);
    }
    rc = job(context, &err); /* nothing that failed is left behind */
    if (rc) fail_msg("%s, after what failed: %s", what, err.message);
    print_message("%s, %s: %ld of %ld failed\n", what, kind, tried, total);
}

static inline void failing_all(const char *what, failing_job job, void *context, long most) {
    failing_kind(what, "malloc", job, context, most);
    failing_kind(what, "io", job, context, most);
}

/* A signal interrupts each call once, which no one may notice. */
static inline void failing_interrupts(const char *what, failing_job job, void *context) {
    failing_kind(what, "interrupt", job, context, 400);
}

#endif
