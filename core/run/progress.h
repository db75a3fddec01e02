/* How far a long stage is: one rewritten line on a terminal, else one plain line a minute, on the
 * log's stream. */
#ifndef NAS_RUN_PROGRESS_H
#define NAS_RUN_PROGRESS_H

#include "base/clock.h"
#include "base/log.h"

typedef struct nas_progress {
    const nas_log *log; /* borrowed */
    const char *stage;  /* borrowed, such as "train" */
    uint64_t first, total;
    double opened, shown; /* seconds on nas_seconds' clock */
    uint64_t warm;        /* what was done at `warmed`; the first of all takes longer than others */
    double warmed;        /* 0: nothing is done yet */
    bool silent, terminal, dirty;
} nas_progress;

/* first: what was done before, by an earlier run. silent: shows nothing. [main] */
nas_progress nas_progress_open(const nas_log *log, const char *stage, uint64_t first,
                               uint64_t total, bool silent);

/* True if it is time to show something: ask before making the text, and whenever something is done,
 * since the time that is left is reckoned from the first call on that finds something done. [main]
 */
bool nas_progress_due(nas_progress *progress, uint64_t done);

/* Shows "train 120/1500 TEXT, 3:10 left". [main] */
void nas_progress_show(nas_progress *progress, uint64_t done, const char *text);

/* Wipes the rewritten line, so that other lines can be written. [main] */
void nas_progress_clear(nas_progress *progress);

#endif
