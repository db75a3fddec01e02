/* What of the process a plugin must leave as it was. */
#ifndef NAS_HOST_PROCESS_H
#define NAS_HOST_PROCESS_H

#include <nashost/plugin.h>
#include <signal.h>
#include <sys/stat.h>

#define NAS_SIGNALS 65

typedef struct nas_process {
    uint64_t float_mode; /* control bits of MXCSR (x86-64) or FPCR (AArch64) of this thread */
    char locale[256];    /* "": unknown, not compared */
    mode_t mask;         /* umask */
    dev_t device;        /* of the working directory; not compared where it cannot be seen */
    ino_t folder;        /* of it */
    int directory;       /* a descriptor to go back by; -1: none */
    struct sigaction actions[NAS_SIGNALS];
} nas_process;

/* Notes the calling thread's floating-point mode, the locale, the umask, the working directory and
 * the signal handlers. [main] */
void nas_process_save(nas_process *process);

/* Puts back what changed since, and fails with NAS_ERR_PLUGIN if there was a change: what did it,
 * such as "loading it", starts the message. May be called again. [main] */
int nas_process_restore(const nas_process *process, const char *what, nas_error *err);

/* Closes what save opened. [main] */
void nas_process_free(nas_process *process);

#endif
