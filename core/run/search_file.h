/* search/PLATFORM.jsonl: the candidates that a search asked for, in its order, one a line. */
#ifndef NAS_RUN_SEARCH_FILE_H
#define NAS_RUN_SEARCH_FILE_H

#include "run/memo.h"

/* Writes the candidates of memo that were asked for, by the order of asking. Makes the folder.
 * [any]
 */
int nas_search_file_write(const char *path, const nas_space *space, const nas_memo *memo,
                          nas_error *err);

/* Adds a file's candidates to memo. [any] */
int nas_search_file_read(const char *path, const nas_space *space, nas_memo *memo, nas_error *err);

#endif
