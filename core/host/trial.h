/* Strangers' code in a child process first: what crashes, hangs or ends the process there does no
 * harm here. */
#ifndef NAS_HOST_TRIAL_H
#define NAS_HOST_TRIAL_H

#include <nashost/plugin.h>

/* What parent and child share while a trial runs. */
typedef struct nas_trial {
    char doing[96]; /* what the child is at, such as "create"; "" at first */
    bool done;      /* the function returned; then: */
    int rc;
    nas_error err;
} nas_trial;

/* The name for trial->doing. [main] */
void nas_trial_doing(nas_trial *trial, const char *what);

/* Runs fn(context, trial) in a child, for at most `seconds` in one step (nas_trial_doing). Returns
 * what fn returned, with its error; a child that crashed, hung or ended before that is
 * NAS_ERR_PLUGIN, and the message says which and what it was doing. Where no child can be made, it
 * is NAS_OK, and nothing ran: *ran tells. [main] */
int nas_trial_run(int (*fn)(void *context, nas_trial *trial), void *context, double seconds,
                  bool *ran, nas_error *err);

#endif
