#include "run/progress.h"

#include <math.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double terminal_every = 0.2, plain_every = 60; /* seconds */

nas_progress nas_progress_open(const nas_log *log, const char *stage, uint64_t first,
                               uint64_t total, bool silent) {
    FILE *stream = log ? log->stream : NULL;
    nas_progress progress = {
        .log = log, .stage = stage, .first = first, .total = total, .opened = nas_seconds()};
    progress.silent = silent || !stream;
    progress.terminal = !progress.silent && isatty(fileno(stream));
    progress.shown = progress.opened;
    return progress;
}

bool nas_progress_due(nas_progress *progress, uint64_t done) {
    double every = progress->terminal ? terminal_every : plain_every, now = nas_seconds();
    if (progress->warmed <= 0 && done > progress->first) {
        progress->warm = done;
        progress->warmed = now;
    }
    return !progress->silent && now - progress->shown >= every;
}

/* Seconds that one more takes; NaN: not known yet. */
static double seconds_each(const nas_progress *progress, uint64_t done, double now) {
    if (progress->warmed > 0 && done > progress->warm)
        return (now - progress->warmed) / (double)(done - progress->warm);
    if (done > progress->first) return (now - progress->opened) / (double)(done - progress->first);
    return NAN;
}

/* "3:05" or "1:03:05" */
static void clock_text(double seconds, char *buffer, size_t size) {
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(buffer, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buffer, size, "%lu:%02lu", s / 60, s % 60);
}

/* Columns that a line may take: one that wraps could not be wiped. Asked each time, since windows
 * change. */
static int columns(FILE *terminal) {
    struct winsize size;
    if (ioctl(fileno(terminal), TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return 79;
    return size.ws_col - 1;
}

void nas_progress_show(nas_progress *progress, uint64_t done, const char *text) {
    if (progress->silent) return;
    double now = nas_seconds();
    char left[48] = "?", line[512];
    double each = seconds_each(progress, done, now);
    if (isfinite(each)) clock_text(each * (double)(progress->total - done), left, sizeof left);
    snprintf(line, sizeof line, "%s %llu/%llu  %s  %s left", progress->stage,
             (unsigned long long)done, (unsigned long long)progress->total, text, left);
    progress->shown = now;
    progress->dirty = progress->terminal;
    if (progress->terminal) {
        fprintf(progress->log->stream, "\r%.*s\033[K", columns(progress->log->stream), line);
        fflush(progress->log->stream);
    } else {
        nas_log_line(progress->log, NAS_INFO, "%s", line);
    }
}

void nas_progress_clear(nas_progress *progress) {
    if (!progress->dirty) return;
    fprintf(progress->log->stream, "\r\033[K");
    fflush(progress->log->stream);
    progress->dirty = false;
}
