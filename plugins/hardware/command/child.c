#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 20

double nas_child_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void close_end(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* A process group of its own, so that a time-out reaches its children; signals as a program expects
 * them, since the host ignores SIGPIPE and SIGXFSZ. Returns an errno. */
static int spawn(char **words, int out, int err, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, pipe_only;
    sigemptyset(&none);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigaddset(&pipe_only, SIGXFSZ);
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc) return rc;
    rc = posix_spawnattr_init(&attributes);
    if (!rc) {
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                  POSIX_SPAWN_SETSIGMASK);
        posix_spawnattr_setpgroup(&attributes, 0);
        posix_spawnattr_setsigdefault(&attributes, &pipe_only);
        posix_spawnattr_setsigmask(&attributes, &none);
        rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (!rc) rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (!rc) rc = posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
        if (!rc) rc = posix_spawnp(pid, words[0], &actions, &attributes, words, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

int nas_child_start(char **words, child *c, nas_error *err) {
    int out[2] = {-1, -1}, errors[2] = {-1, -1};
    int rc = pipe2(out, O_CLOEXEC) || pipe2(errors, O_CLOEXEC) ? errno : 0;
    if (!rc) rc = spawn(words, out[1], errors[1], &c->pid);
    close_end(&out[1]);
    close_end(&errors[1]);
    c->out = out[0];
    c->err = errors[0];
    if (!rc) {
        fcntl(c->out, F_SETFL, O_NONBLOCK);
        fcntl(c->err, F_SETFL, O_NONBLOCK);
        return NAS_OK;
    }
    close_end(&c->out);
    close_end(&c->err);
    return nas_fail(err, rc == ENOMEM ? NAS_ERR_MEMORY : NAS_ERR_INPUT,
                    "cannot start \"%.200s\": %s", words[0], strerror(rc));
}

/* Keeps the last TAIL bytes. */
static void keep_tail(child *c, const char *data, size_t n) {
    if (n > TAIL) data += n - TAIL, n = TAIL;
    size_t drop = c->n_tail + n > TAIL ? c->n_tail + n - TAIL : 0;
    memmove(c->tail, c->tail + drop, c->n_tail - drop);
    memcpy(c->tail + c->n_tail - drop, data, n);
    c->n_tail += n - drop;
    c->tail[c->n_tail] = 0;
}

/* Reads what is there; at the end, closes. False: too much output. */
static bool drain_output(child *c) {
    ssize_t n = 1;
    while (c->out >= 0 && c->n_out < MOST_OUTPUT && n > 0) {
        n = read(c->out, c->output + c->n_out, MOST_OUTPUT - c->n_out);
        if (n > 0) c->n_out += (size_t)n;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(&c->out);
    c->output[c->n_out] = 0;
    return c->n_out < MOST_OUTPUT;
}

static void drain_errors(child *c) {
    char data[4096];
    ssize_t n = 1;
    /* A program may write faster than this reads: not for ever. */
    for (int i = 0; c->err >= 0 && i < 64 && n > 0; i++) {
        n = read(c->err, data, sizeof data);
        if (n > 0) keep_tail(c, data, (size_t)n);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(&c->err);
}

int nas_child_collect(child *c, double timeout_s, nas_error *err) {
    double deadline = nas_child_seconds() + timeout_s;
    bool fits = true;
    while (fits && !c->ended && nas_child_seconds() < deadline) {
        struct pollfd ends[2] = {{c->out, POLLIN, 0}, {c->err, POLLIN, 0}};
        poll(ends, 2, POLL_MS);
        c->ended = waitpid(c->pid, &c->status, WNOHANG) != 0;
        fits = drain_output(c);
        drain_errors(c);
    }
    if (!c->ended) {
        kill(-c->pid, SIGKILL);
        while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR) continue;
    }
    close_end(&c->out);
    close_end(&c->err);
    if (!fits)
        return nas_fail(err, NAS_ERR_INPUT, "it printed more than %u bytes", MOST_OUTPUT - 1);
    if (!c->ended) return nas_fail(err, NAS_ERR_IO, "it took longer than %g s", timeout_s);
    if (WIFSIGNALED(c->status))
        return nas_fail(err, NAS_ERR_IO, "signal %d ended it", WTERMSIG(c->status));
    if (WEXITSTATUS(c->status))
        return nas_fail(err, NAS_ERR_IO, "it ended with exit status %d", WEXITSTATUS(c->status));
    return NAS_OK;
}
