/* Arrays in NumPy's .npy files and .npz archives, read as a stream. A wrong file is NAS_ERR_INPUT,
 * with its name, the offset and what to do. */
#ifndef NASHOST_NPY_FILE_H
#define NASHOST_NPY_FILE_H

#include <nashost/kit/npy.h>

#include <zip.h>

enum { NAS_DEFLATE_RATIO = 1100 }; /* deflate makes bytes at most 1032 times fewer */

/* One open array: a file, or a member of an archive. Zeroed, it is closed. */
typedef struct nas_npy_file {
    const char *option; /* that names it, for messages */
    char *path, *name;  /* the file; for messages, with the member */
    FILE *file;         /* of a .npy, or else: */
    zip_t *zip;
    zip_file_t *entry;
    zip_uint64_t index; /* of the member */
    uint64_t size;      /* bytes of the array, header included, as the file or archive has it */
    uint64_t at;        /* where the stream stands */
    nas_npy header;
    uint64_t begin; /* of the data */
} nas_npy_file;

/* Opens a member of the open archive. */
int nas_npy_file_pick(nas_npy_file *f, const char *member, uint64_t file_size, nas_error *err);

/* The memory is the caller's, and zeroed afterwards. */
void nas_npy_file_close(nas_npy_file *f);

/* Reads n bytes from where the stream stands. */
int nas_npy_file_take(nas_npy_file *f, void *out, uint64_t n, nas_error *err);

/* Moves the stream to an offset of the array; in a compressed one going back starts it anew. */
int nas_npy_file_seek(nas_npy_file *f, uint64_t offset, nas_error *err);

/* Reads the header, with which an open stream begins. */
int nas_npy_file_header(nas_npy_file *f, nas_error *err);

/* Opens "FILE.npy", "FILE.npz:NAME", or "FILE.npz" where it holds one array alone, and reads its
 * header. f: zeroed; the caller closes it, whatever comes. option: what names it, which lives as
 * long. The array may be longer or shorter than its header says. */
int nas_npy_file_open(nas_npy_file *f, const char *text, const char *option, nas_error *err);

#endif
