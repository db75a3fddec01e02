/* What of the process a plugin must leave as it was. */
#ifndef NAS_HOST_PROCESS_H
#define NAS_HOST_PROCESS_H

#include <nashost/plugin.h>
#include <signal.h>

#define NAS_SIGNALS 65

typedef struct nas_process {
    uint64_t float_mode; /* control bits of MXCSR (x86-64) or FPCR (AArch64) of this thread */
    char *locale;        /* NULL: out of memory, not compared */
    struct sigaction actions[NAS_SIGNALS];
} nas_process;

/* Notes the calling thread's floating-point mode, the locale and the signal handlers. [main] */
void nas_process_save(nas_process *process);

/* Puts back what changed since, frees what save noted, and fails with NAS_ERR_PLUGIN if there was a
 * change: what did it, such as "loading it", starts the message. [main] */
int nas_process_restore(nas_process *process, const char *what, nas_error *err);

#endif
