/* nashost plugin kit: one run of a program whose output is read. */
#ifndef NASHOST_KIT_CHILD_H
#define NASHOST_KIT_CHILD_H

#include <jansson.h>
#include <nashost/plugin.h>
#include <sys/types.h>

#define NAS_CHILD_OUTPUT (1u << 20) /* bytes of standard output */
#define NAS_CHILD_TAIL 400          /* bytes of standard error that an error quotes */

typedef struct nas_child {
    pid_t pid;
    int out, err; /* ends of pipes to read from; -1: closed */
    bool ended;
    int status; /* of waitpid, once it has ended */
    size_t n_out, n_tail;
    char *output; /* [NAS_CHILD_OUTPUT + 1], the caller's */
    char tail[NAS_CHILD_TAIL + 1];
} nas_child;

/* Seconds on a clock that only goes on. [any] */
double nas_child_seconds(void);

/* Starts words[0], which is searched for in PATH, with the words as its arguments, in a process
 * group of its own that ends with this process; its standard input is empty. c has its output, the
 * ends of pipes -1, and zeros. A program that cannot be started is NAS_ERR_INPUT. [any] */
int nas_child_start(char **words, nas_child *c, nas_error *err);

/* Reads its output, and what its standard error ends with, both then with a 0 behind them, until
 * the program has ended; what its children still hold open is not waited for. One that takes longer
 * than timeout_s, ends by a signal or with a status that is not 0 is NAS_ERR_IO, one that prints
 * more than NAS_CHILD_OUTPUT NAS_ERR_INPUT. All are killed with their children. [any] */
int nas_child_collect(nas_child *c, double timeout_s, nas_error *err);

/* The last line of an output that is not blank, which must be a JSON object; the caller releases
 * it. Changes the output. Anything else is NAS_ERR_INPUT. [any] */
int nas_child_answer(char *output, json_t **json, nas_error *err);

/* Makes text one line, for a message: what is not printable becomes a space. Returns its begin.
 * [any] */
const char *nas_child_line(char *text);

#endif
