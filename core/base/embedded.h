/* Files that the program holds; the Makefile names them, and scripts/embed makes the table. */
#ifndef NAS_BASE_EMBEDDED_H
#define NAS_BASE_EMBEDDED_H

#include <stddef.h>

typedef struct nas_embedded {
    const char *name; /* its path in the source tree, or the name that the Makefile gives it */
    const char *text; /* [bytes], and a NUL behind */
    size_t bytes;
} nas_embedded;

/* Ends with an entry whose name is NULL. */
extern const nas_embedded nas_embedded_files[];

/* The text of the one of that name; "" if there is none. */
const char *nas_embedded_text(const char *name);

#endif
