/* JSON as text, in which a number is written with as few digits as give it back. */
#ifndef NAS_BASE_JSON_TEXT_H
#define NAS_BASE_JSON_TEXT_H

#include <jansson.h>

/* As json_dumps with these flags, of which JSON_REAL_PRECISION is set here: 0.8 and not
 * 0.80000000000000004. The caller frees; NULL: out of memory. [any] */
char *nas_json_text(const json_t *json, size_t flags);

#endif
