/* What is in a run directory that no run has put there, and what a killed one has left. */
#ifndef NAS_RUN_LEFTOVERS_H
#define NAS_RUN_LEFTOVERS_H

#include "base/log.h"

#define NAS_RUN_MARK ".nashost" /* the file that a run leaves in its directory */

/* Removes the temporary files (NAME.PID-N.tmp) of runs that were killed from the directory and its
 * folders. Only for whom the directory is locked. What cannot be removed does no harm. [main] */
void nas_leftovers_remove(const char *out);

/* Fails if a folder that a run writes into is a symbolic link: it could lead anywhere. [any] */
int nas_leftovers_check_links(const char *out, nas_error *err);

/* Fails if the directory is no run's and holds a file that a run would replace; one that holds
 * anything else is told to the log. A directory is a run's if it has the mark of one
 * (nas_leftovers_mark), or trained weights or a checkpoint. [any] */
int nas_leftovers_check_owner(const char *out, const nas_log *log, nas_error *err);

/* Writes the mark, .nashost, if it is not there. [main] */
int nas_leftovers_mark(const char *out, nas_error *err);

/* Notes the text of the split.json that the run is about to write. [main] */
int nas_leftovers_note_split(const char *out, const char *text, size_t bytes, nas_error *err);

/* Whether the directory's split.json is the one that was noted. [any] */
bool nas_leftovers_own_split(const char *out);

#endif
