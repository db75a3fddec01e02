#include "csv.h"

#include <nashost/kit/dataset_files.h>
#include <nashost/kit/image_set.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 30, FIELDS = 2 };

/* The text of a file on its way. */
typedef struct reader {
    const char *path;
    char *at;    /* what comes next; NUL at the end */
    size_t line; /* of the row */
} reader;

static int bad_row(const reader *r, const char *what, nas_error *err) {
    return nas_fail(err, NAS_ERR_INPUT, "%s: line %zu: %s", r->path, r->line, what);
}

static bool at_end_of_row(const char *at) {
    return !*at || *at == '\n' || (*at == '\r' && at[1] == '\n');
}

/* A field in quotes, in place: "" stands for one of them. */
static int quoted_field(reader *r, char **field, nas_error *err) {
    char *to = ++r->at;
    *field = to;
    for (; *r->at && !(*r->at == '"' && r->at[1] != '"'); r->at++) {
        r->at += *r->at == '"';
        *to++ = *r->at;
    }
    if (!*r->at) return bad_row(r, "a quote that is not closed", err);
    r->at++;
    r->at += strspn(r->at, " \t");
    *to = '\0';
    return NAS_OK;
}

static void plain_field(reader *r, char **field, char **end) {
    *field = r->at;
    while (!at_end_of_row(r->at) && *r->at != ',') r->at++;
    *end = r->at;
    while (*end > *field && strchr(" \t", (*end)[-1])) --*end;
}

/* Splits a row into fields, which point into the text. */
static int read_row(reader *r, const char *fields[FIELDS], nas_error *err) {
    fields[0] = fields[1] = "";
    for (size_t n = 0;; n++) {
        char *field, *end = NULL;
        int rc = NAS_OK;
        r->at += strspn(r->at, " \t");
        if (*r->at == '"')
            rc = quoted_field(r, &field, err);
        else
            plain_field(r, &field, &end);
        if (rc) return rc;
        if (n >= FIELDS) return bad_row(r, "more than two fields; expected FILE,LABEL", err);
        fields[n] = field;
        bool last = at_end_of_row(r->at);
        if (!last && *r->at != ',') return bad_row(r, "expected a comma after a quote", err);
        char *next = !*r->at ? r->at : r->at + (*r->at == '\r' ? 2 : 1);
        if (end) *end = '\0';
        r->at = next;
        if (last) return NAS_OK;
    }
}

static int read_rows(reader *r, csv_row_fn fn, void *context, nas_error *err) {
    int rc = NAS_OK;
    for (bool first = true; *r->at && !rc; r->line++) {
        const char *fields[FIELDS];
        rc = read_row(r, fields, err);
        bool heading = first && !rc && !nas_named_as_image(fields[0]);
        first = false;
        if (rc || heading || (!*fields[0] && !*fields[1])) continue;
        rc = *fields[0] ? fn(context, r->line, fields[0], fields[1], err)
                        : bad_row(r, "no file; expected FILE,LABEL", err);
    }
    return rc;
}

static int read_text(const char *path, char **text, nas_error *err) {
    FILE *file;
    uint64_t size;
    int rc = nas_data_open(path, "expected a CSV file of FILE,LABEL", &file, &size, err);
    if (rc) return rc;
    if (size > MOST_BYTES)
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: expected at most %d bytes", path, MOST_BYTES);
    *text = rc ? NULL : calloc(1, (size_t)size + 1);
    if (!rc && !*text) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    if (!rc && fread(*text, 1, (size_t)size, file) != (size_t)size)
        rc = nas_fail(err, NAS_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    fclose(file);
    if (!rc && strlen(*text) != (size_t)size)
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: expected text, found a byte that is 0", path);
    return rc;
}

int csv_read(const char *path, csv_row_fn fn, void *context, nas_error *err) {
    static const char mark[] = "\xEF\xBB\xBF";
    char *text = NULL;
    int rc = read_text(path, &text, err);
    reader r = {path, text, 1};
    if (!rc && strncmp(text, mark, sizeof mark - 1) == 0) r.at += sizeof mark - 1;
    if (!rc) rc = read_rows(&r, fn, context, err);
    free(text);
    return rc;
}
