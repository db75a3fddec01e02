#include "host/trial.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void nas_trial_doing(nas_trial *trial, const char *what) {
    snprintf(trial->doing, sizeof trial->doing, "%s", what);
}

static void run_child(int (*fn)(void *context, nas_trial *trial), void *context, nas_trial *trial) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    /* The parent tells of a crash; nobody else's handler should. */
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) signal(crashes[i], SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    trial->rc = fn(context, trial);
    trial->done = true;
    _exit(0);
}

/* Waits until the child has ended, or has been at one thing for too long; false: that. Its end of
 * the pipe tells at once, but children of its own may hold that, too. */
static bool wait_for(const nas_trial *trial, pid_t child, int end, double seconds) {
    siginfo_t info;
    char doing[sizeof trial->doing];
    memcpy(doing, trial->doing, sizeof doing);
    double since = nas_seconds();
    struct pollfd watched = {.fd = end, .events = POLLIN};
    while (poll(&watched, 1, 20) <= 0) {
        if (strncmp(doing, trial->doing, sizeof doing) != 0) {
            memcpy(doing, trial->doing, sizeof doing);
            since = nas_seconds();
        }
        info.si_pid = 0;
        if (!waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid)
            return true;
        if (nas_seconds() - since > seconds) return false;
    }
    return true;
}

static int judge(const nas_trial *trial, int status, bool in_time, double seconds, nas_error *err) {
    const char *doing = trial->doing[0] ? trial->doing : "loading it";
    if (trial->done) return trial->rc ? nas_fail(err, trial->rc, "%s", trial->err.message) : NAS_OK;
    if (!in_time)
        return nas_fail(err, NAS_ERR_PLUGIN, "%s did not end within %g s; it hangs", doing,
                        seconds);
    if (WIFSIGNALED(status))
        return nas_fail(err, NAS_ERR_PLUGIN, "%s crashed: signal %d (%s)", doing, WTERMSIG(status),
                        strsignal(WTERMSIG(status)));
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "%s ended the process with exit status %d; a plugin must not call exit", doing,
                    WEXITSTATUS(status));
}

int nas_trial_run(int (*fn)(void *context, nas_trial *trial), void *context, double seconds,
                  bool *ran, nas_error *err) {
    int ends[2], status = 0;
    nas_trial *trial =
        mmap(NULL, sizeof *trial, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *ran = false;
    if (trial == MAP_FAILED) return NAS_OK;
    pid_t child = pipe(ends) ? -1 : fork();
    if (child == 0) run_child(fn, context, trial);
    *ran = child > 0;
    int rc = NAS_OK;
    if (*ran) {
        close(ends[1]);
        bool in_time = wait_for(trial, child, ends[0], seconds);
        if (!in_time) kill(child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
        rc = judge(trial, status, in_time, seconds, err);
        close(ends[0]);
    }
    munmap(trial, sizeof *trial);
    return rc;
}
