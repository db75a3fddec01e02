#include "cli/cli.h"

#include <unistd.h>

/* A signal handler can be told nothing but by a global. */
static volatile sig_atomic_t stop_requested, silent;

static void request_stop(int number) {
    static const char note[] = "\nnashost: stopping; the same signal again ends it at once\n";
    (void)number;
    if (stop_requested) nas_watch_leave(NAS_EXIT_INTERRUPTED);
    stop_requested = 1;
    if (silent) return;
    if (write(STDERR_FILENO, note, sizeof note - 1) < 0) return; /* nobody is there to read it */
}

void nas_cli_silence_signals(void) {
    silent = 1;
}

/* A signal that was ignored from the start, as nohup does, stays so. */
const volatile sig_atomic_t *nas_cli_catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    nas_watch_slow();
    return &stop_requested;
}
