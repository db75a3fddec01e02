/* Results, which are JSON, as tables for people. */
#ifndef NAS_CLI_RENDER_H
#define NAS_CLI_RENDER_H

#include "cli/table.h"

#include <jansson.h>

/* How a cell shows a value; null is "-", and a key that is not there leaves the cell empty. */
typedef enum nas_show {
    NAS_SHOW_TEXT,    /* a string as it is, another value as short JSON */
    NAS_SHOW_NUMBER,  /* six digits */
    NAS_SHOW_MS,      /* "1.23 ms" */
    NAS_SHOW_LATENCY, /* "1.23 ms +-5 %, 80 % known", of predicted costs: with the expected error
                         and the share of layers that the model knows, where there is something to
                         say */
    NAS_SHOW_SECONDS, /* likewise, of a value in seconds */
    NAS_SHOW_MJ,      /* "1.23 mJ" */
    NAS_SHOW_COUNT,   /* "340.7 k" */
    NAS_SHOW_BYTES,   /* "96 KiB" */
    NAS_SHOW_PERCENT, /* "74.79 %", of a share */
    NAS_SHOW_YES,     /* "yes" or "no" */
    NAS_SHOW_GENOME,  /* "r28 16:3x1 24:5x3,5x2": resolution; of each stage its width, and of each
                         block kernel x expansion */
    NAS_SHOW_LIMITS,  /* "2 ms, 96 KiB peak", of a platform's constraints; "-": none */
} nas_show;

typedef struct nas_column {
    const char *title;
    const char *path; /* keys and indices below a row, such as "predicted.latency_ms" */
    nas_show as;
} nas_column;

/* The value at a path of keys and indices; NULL: there is none. [any] */
json_t *nas_json_at(const json_t *json, const char *path);

/* A value as a cell shows it. [any] */
nas_cell nas_show_cell(const json_t *value, nas_show as);

/* Prints a row for each item of the array rows to stdout. [main] */
int nas_render_table(const json_t *rows, const nas_column *columns, size_t n, nas_error *err);

/* Prints an object to stdout, a key a line; an array of objects with the same keys as a table.
 * [main] */
void nas_render_object(const json_t *object);

#endif
