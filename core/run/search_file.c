#include "run/search_file.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

#include <nashost/kit/text.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 30 };

/* The candidates in the order in which the search asked for them. */
static int add_lines(const char *path, const nas_space *space, const nas_candidate *const *ordered,
                     size_t n, nas_text *text, nas_error *err) {
    for (size_t i = 0; i < n && !text->failed; i++) {
        json_t *json = nas_candidate_json(space, ordered[i]);
        size_t bytes = 0;
        char *line = nas_json_text(json, JSON_COMPACT, &bytes);
        json_decref(json);
        nas_text_add(text, line, bytes);
        nas_text_put(text, "\n");
        text->failed = text->failed || !line;
        free(line);
    }
    return text->failed ? nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path) : NAS_OK;
}

int nas_search_file_write(const char *path, const nas_space *space, const nas_memo *memo,
                          nas_error *err) {
    size_t n = 0;
    nas_text text = {0};
    const nas_candidate **ordered = nas_alloc(memo->n ? memo->n : 1, sizeof(const nas_candidate *));
    char *folder = nas_path_folder(path);
    int rc = ordered && folder ? nas_folder_make(folder, err)
                               : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    for (size_t i = 0; i < memo->n && !rc; i++) {
        const nas_candidate *item = &memo->items[i];
        if (!item->asked) continue;
        ordered[item->asked - 1] = item;
        n++;
    }
    if (!rc) rc = add_lines(path, space, ordered, n, &text, err);
    if (!rc) rc = nas_file_write(path, text.data, text.bytes, err);
    nas_text_free(&text);
    free(folder);
    free(ordered);
    return rc;
}

static int read_line(const char *where, const char *text, size_t bytes, const nas_space *space,
                     nas_memo *memo, nas_error *err) {
    json_t *json;
    nas_candidate candidate;
    int rc = nas_json_parse(text, bytes, 0, where, &json, err);
    if (!rc) rc = nas_candidate_read(space, json, where, &candidate, err);
    json_decref(json);
    if (rc) return rc;
    if (nas_memo_find(memo, &candidate.genome))
        return nas_fail(err, NAS_ERR_INPUT, "%s: the same subnet stands on an earlier line", where);
    candidate.asked = memo->n + 1;
    return nas_memo_add(memo, &candidate, err);
}

int nas_search_file_read(const char *path, const nas_space *space, nas_memo *memo, nas_error *err) {
    char *data = NULL;
    size_t bytes = 0, line = 1;
    int rc = nas_file_read(path, MAX_BYTES, &data, &bytes, err);
    for (size_t at = 0, end; at < bytes && !rc; at = end + 1, line++) {
        const char *newline = memchr(data + at, '\n', bytes - at);
        end = newline ? (size_t)(newline - data) : bytes;
        char where[4200];
        snprintf(where, sizeof where, "%s: line %zu", path, line);
        rc = read_line(where, data + at, end - at, space, memo, err);
    }
    free(data);
    return rc;
}
