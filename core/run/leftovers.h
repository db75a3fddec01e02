/* What is in a run directory that no run has put there, and what a killed one has left. */
#ifndef NAS_RUN_LEFTOVERS_H
#define NAS_RUN_LEFTOVERS_H

#include "base/log.h"

#define NAS_RUN_MARK ".nashost" /* the file that a run leaves in its directory */

/* Before a run writes into the directory, which must be locked: fails if a folder in it that a run
 * writes into is a symbolic link, which could lead anywhere, and as nas_leftovers_check_owner;
 * removes the temporary files (NAME.PID-N.tmp) of runs that were killed; leaves the mark. [main] */
int nas_leftovers_settle(const char *out, const nas_log *log, nas_error *err);

/* Fails if the directory is no run's and holds a file that a run would replace; one that holds
 * anything else is told to the log. A directory is a run's if it has the mark of one, or trained
 * weights or a checkpoint. [any] */
int nas_leftovers_check_owner(const char *out, const nas_log *log, nas_error *err);

#endif
