/* One run of a program whose output is read. */
#ifndef NASHOST_CHILD_H
#define NASHOST_CHILD_H

#include <nashost/plugin.h>

#include <sys/types.h>

#define MOST_OUTPUT (1u << 20) /* bytes of standard output */
#define TAIL 400               /* bytes of standard error that an error quotes */

typedef struct child {
    pid_t pid;
    int out, err; /* ends of pipes to read from; -1: closed */
    bool ended;
    int status; /* of waitpid, once it has ended */
    size_t n_out, n_tail;
    char *output; /* [MOST_OUTPUT + 1] */
    char tail[TAIL + 1];
} child;

/* On a clock that only goes on. */
double nas_child_seconds(void);

/* Starts words[0], which is searched for in PATH, with the words as its arguments. */
int nas_child_start(char **words, child *c, nas_error *err);

/* Reads its output, and what its standard error ends with, until the program has ended; what its
 * children still hold open is not waited for. One that takes longer, or prints more than
 * MOST_OUTPUT, is killed with its children. */
int nas_child_collect(child *c, double timeout_s, nas_error *err);

#endif
