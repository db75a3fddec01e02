/* Which plugin is at work, told when it crashes, ends the process or takes long. */
#include "base/clock.h"
#include "cli/cli.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CALLS = 8, SLOW_SECONDS = 60 };

/* Signal handlers and exit handlers can be told nothing but by globals: the calls in progress, the
 * innermost last, since a plugin may use another one. */
static struct { const char *volatile id, *volatile function; } calls[MOST_CALLS];
static atomic_int depth;
static atomic_uint begun;  /* calls so far */
static atomic_llong since; /* ms on nas_seconds' clock, of the latest */

/* Exit handlers run in children of plugins too, and what those do is their own. */
static pid_t watched;        /* this process */
static atomic_bool finished; /* main has returned */

void nas_watch_calling(void *context, const char *id, const char *function) {
    (void)context;
    int n = atomic_load(&depth);
    if (!function) {
        if (n > 0) atomic_store(&depth, n - 1);
        return;
    }
    if (n < MOST_CALLS) {
        calls[n].id = id;
        calls[n].function = function;
    }
    atomic_store(&since, (long long)(nas_seconds() * 1e3));
    atomic_fetch_add(&begun, 1);
    atomic_store(&depth, n + 1);
}

/* ---- Lines from handlers, by write() alone ---- */

static void say(const char *text) {
    size_t n = strlen(text);
    if (write(STDERR_FILENO, text, n) < 0) return; /* nobody is there to read it */
}

/* False: no plugin is at work. */
static bool say_who(const char *start) {
    int n = atomic_load(&depth);
    if (n < 1) return false;
    int at = n > MOST_CALLS ? MOST_CALLS - 1 : n - 1;
    say(start);
    say("plugin \"");
    say(calls[at].id);
    say("\": ");
    say(calls[at].function);
    return true;
}

static const char *name_of(int number) {
    switch (number) {
    case SIGSEGV:
        return "segmentation fault";
    case SIGBUS:
        return "bus error";
    case SIGFPE:
        return "arithmetic error";
    case SIGILL:
        return "illegal instruction";
    default:
        return "aborted";
    }
}

static void crashed(int number) {
    int reason = errno;
    if (say_who("nashost: error: ")) {
        say(" crashed (");
        say(name_of(number));
        say(")\n");
    } else if (number == SIGABRT && reason == ENOMEM) {
        /* BLIS knows no other way to say so. */
        say("nashost: error: out of memory in a library; what was saved is not touched\n");
        nas_watch_leave(NAS_EXIT_FAILED);
    } else {
        say("nashost: error: it crashed (");
        say(name_of(number));
        say("); this is a mistake in nashost: please report it\n");
    }
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- Ends that nobody asked the host for ---- */

void nas_watch_leave(int status) {
    for (;;) syscall(SYS_exit_group, status);
}

/* Whoever ended the process at a file's instruction (NULL: unknown), it is told and no success. */
static void blame(const char *file) {
    if (!say_who("nashost: error: ")) {
        say("nashost: error: ");
        say(file ? file : "a plugin or a library");
    }
    say(" ended the process; a plugin must not call exit or _exit\n");
    nas_watch_leave(NAS_EXIT_PLUGIN);
}

static void ended(void) {
    if (getpid() == watched && (!atomic_load(&finished) || atomic_load(&depth) > 0)) blame(NULL);
}

void nas_watch_exit(int status, const void *caller) {
    Dl_info found;
    if (getpid() == watched)
        blame(dladdr((void *)(uintptr_t)caller, &found) ? found.dli_fname : NULL);
    nas_watch_leave(status);
}

int nas_watch_finish(int status) {
    atomic_store(&finished, true);
    return status;
}

/* A sanitizer's handlers stay. The stack is another one, since the plugin's may be used up. */
void nas_watch_crashes(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static char stack[1 << 16];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER}, before;
    sigemptyset(&action.sa_mask);
    sigaltstack(&other, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(numbers[i], &action, NULL);
    watched = getpid();
    (void)atexit(ended);
    (void)at_quick_exit(ended);
}

/* ---- The watchdog ---- */

static void *watch(void *limit) {
    unsigned told = 0;
    long long slow = 1000 * *(int *)limit;
    for (;;) {
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
        unsigned now = atomic_load(&begun);
        long long ms = (long long)(nas_seconds() * 1e3) - atomic_load(&since);
        if (now == told || ms < slow || !say_who("nashost: ")) continue;
        char text[64];
        snprintf(text, sizeof text, " has not returned for %lld s\n", ms / 1000);
        say(text);
        told = now;
    }
    return NULL;
}

void nas_watch_slow(void) {
    static int limit = SLOW_SECONDS;
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    const char *text = getenv("NASHOST_SLOW_SECONDS");
    long wanted = text ? strtol(text, NULL, 10) : 0;
    if (wanted > 0 && wanted < 1000000) limit = (int)wanted;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_create(&thread, &attributes, watch, &limit); /* without it, nothing is told */
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
