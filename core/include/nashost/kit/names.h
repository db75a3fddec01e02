/* nashost plugin kit: the nearest known name, for "did you mean". */
#ifndef NASHOST_KIT_NAMES_H
#define NASHOST_KIT_NAMES_H

#include <stddef.h>

/* The one of names [n] (NULL entries are skipped) that is closest to word by optimal string
 * alignment distance, or NULL if none is within a third of its length (at least 2). [any] */
const char *nas_nearest(const char *word, const char *const *names, size_t n);

/* Writes "; did you mean \"NAME\"?" for the file of path's folder whose name is closest to path's,
 * as nas_nearest; "" where there is none. Returns text. [any] */
const char *nas_nearest_file(const char *path, char *text, size_t size);

#endif
