#include <nashost/kit/child.h>
#include <nashost/kit/json_file.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

/* In the child, where only calls that are safe in a signal handler may stand: a process group of
 * its own, so that its children can be reached; the end of the host is its own; signals as a
 * program expects them, since the host ignores some. */
static void become(char **words, int out, int err, pid_t parent, int report) {
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(err, STDERR_FILENO) >= 0)
        execvp(words[0], words);
    int number = errno;
    if (write(report, &number, sizeof number) < 0) _exit(126);
    _exit(127);
}

/* Returns an errno. */
static int spawn(char **words, int out, int err, pid_t *pid) {
    int report[2], number = 0;
    pid_t parent = getpid();
    if (pipe2(report, O_CLOEXEC)) return errno;
    *pid = fork();
    if (*pid == 0) become(words, out, err, parent, report[1]);
    if (*pid < 0) number = errno;
    close(report[1]);
    /* Its end is closed by an exec that went well. */
    ssize_t got;
    do got = *pid < 0 ? 0 : read(report[0], &number, sizeof number);
    while (got < 0 && errno == EINTR);
    close(report[0]);
    if (*pid > 0 && number) waitpid(*pid, NULL, 0);
    return number;
}

int nas_child_start(char **words, nas_child *c, nas_error *err) {
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

/* Keeps the last NAS_CHILD_TAIL bytes. */
static void keep_tail(nas_child *c, const char *data, size_t n) {
    if (n > NAS_CHILD_TAIL) data += n - NAS_CHILD_TAIL, n = NAS_CHILD_TAIL;
    size_t drop = c->n_tail + n > NAS_CHILD_TAIL ? c->n_tail + n - NAS_CHILD_TAIL : 0;
    memmove(c->tail, c->tail + drop, c->n_tail - drop);
    memcpy(c->tail + c->n_tail - drop, data, n);
    c->n_tail += n - drop;
    c->tail[c->n_tail] = 0;
}

/* Reads what is there; at the end, closes. False: too much output. */
static bool drain_output(nas_child *c) {
    ssize_t n = 1;
    while (c->out >= 0 && c->n_out < NAS_CHILD_OUTPUT && n > 0) {
        n = read(c->out, c->output + c->n_out, NAS_CHILD_OUTPUT - c->n_out);
        if (n > 0) c->n_out += (size_t)n;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(&c->out);
    c->output[c->n_out] = 0;
    return c->n_out < NAS_CHILD_OUTPUT;
}

static void drain_errors(nas_child *c) {
    char data[4096];
    ssize_t n = 1;
    /* A program may write faster than this reads: not for ever. */
    for (int i = 0; c->err >= 0 && i < 64 && n > 0; i++) {
        n = read(c->err, data, sizeof data);
        if (n > 0) keep_tail(c, data, (size_t)n);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(&c->err);
}

/* Leaves it to be waited for, so that its number stays its own. */
static bool has_ended(pid_t pid) {
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

int nas_child_collect(nas_child *c, double timeout_s, nas_error *err) {
    double deadline = nas_child_seconds() + timeout_s;
    bool fits = true;
    while (fits && !c->ended && nas_child_seconds() < deadline) {
        struct pollfd ends[2] = {{c->out, POLLIN, 0}, {c->err, POLLIN, 0}};
        poll(ends, 2, POLL_MS);
        c->ended = has_ended(c->pid);
        fits = drain_output(c);
        drain_errors(c);
    }
    kill(-c->pid, SIGKILL); /* its children, too, if it has ended without them */
    while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR) continue;
    close_end(&c->out);
    close_end(&c->err);
    if (!fits)
        return nas_fail(err, NAS_ERR_INPUT, "it printed more than %u bytes", NAS_CHILD_OUTPUT - 1);
    if (!c->ended) return nas_fail(err, NAS_ERR_IO, "it took longer than %g s", timeout_s);
    if (WIFSIGNALED(c->status))
        return nas_fail(err, NAS_ERR_IO, "signal %d ended it", WTERMSIG(c->status));
    if (WEXITSTATUS(c->status))
        return nas_fail(err, NAS_ERR_IO, "it ended with exit status %d", WEXITSTATUS(c->status));
    return NAS_OK;
}

/* The last line that is not blank; cuts off what follows it. */
static char *last_line(char *text) {
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1])) n--;
    text[n] = 0;
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

int nas_child_answer(char *output, json_t **json, nas_error *err) {
    char *line = last_line(output);
    *json = NULL;
    if (!*line) return nas_fail(err, NAS_ERR_INPUT, "it printed nothing");
    int rc = nas_json_parse(line, strlen(line), 0, "its answer", json, err);
    if (rc == NAS_ERR_MEMORY || json_is_object(*json)) return rc;
    json_decref(*json);
    *json = NULL;
    return nas_fail(err, NAS_ERR_INPUT,
                    "expected a JSON object as the last line, such as {\"latency_ms\": 1.5}, "
                    "found \"%.100s\"",
                    line);
}

const char *nas_child_line(char *text) {
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = ' ';
    return text + strspn(text, " ");
}
