/* Whole files, read and written so that a reader never sees half of one. */
#ifndef NAS_BASE_FILE_H
#define NAS_BASE_FILE_H

#include <nashost/plugin.h>

/* Reads a regular file of at most limit bytes into *data (the caller frees), NUL-terminated beyond
 * *bytes. [any] */
int nas_file_read(const char *path, size_t limit, char **data, size_t *bytes, nas_error *err);

/* Writes to a temporary file in the same folder, fsyncs, renames over path, fsyncs the folder. On
 * failure the old file stays and the temporary one is removed. [any] */
int nas_file_write(const char *path, const void *data, size_t bytes, nas_error *err);

/* The same for content that lies in several pieces, written one after another. [any] */
typedef struct nas_piece {
    const void *data;
    size_t bytes;
} nas_piece;
int nas_file_write_pieces(const char *path, const nas_piece *pieces, size_t n, nas_error *err);

/* The same for content that a callback writes to the temporary path. [any] */
typedef int (*nas_file_writer)(void *context, const char *temporary, nas_error *err);
int nas_file_replace(const char *path, nas_file_writer writer, void *context, nas_error *err);

/* Makes `kept` another name of the file at path, in place of what it named; nothing to do where
 * there is no file. Where the file system has no such names, the file is moved. [any] */
int nas_file_keep(const char *path, const char *kept, nas_error *err);

/* Renames a file over another one, and syncs the folder. [any] */
int nas_file_move(const char *from, const char *to, nas_error *err);

/* Opens a file to append to, made if it is not there; *file is its descriptor, above 2, which the
 * caller closes. [any] */
int nas_file_open_append(const char *path, int *file, nas_error *err);

/* Appends all of the bytes, or fails. path: for messages. [any] */
int nas_file_append(int file, const char *path, const void *data, size_t bytes, nas_error *err);

/* Makes a folder and its parents; one that exists is fine. [any] */
int nas_folder_make(const char *path, nas_error *err);

/* Keeps every other process from locking the folder until *lock is closed, or this process ends,
 * however it ends. *got: false if another has it. Where the file system has no locks, everyone gets
 * it. [any] */
int nas_folder_lock(const char *path, int *lock, bool *got, nas_error *err);

/* True if path names a file, folder or anything else. [any] */
bool nas_file_exists(const char *path);

/* base/name, or name itself if it is absolute or base is "". The caller frees; NULL: no memory.
 * [any] */
char *nas_path_join(const char *base, const char *name);

/* The folder part of path: "." if it has none. The caller frees; NULL: no memory. [any] */
char *nas_path_folder(const char *path);

#endif
