/* Aligned allocation with overflow checks. */
#ifndef NAS_BASE_MEMORY_H
#define NAS_BASE_MEMORY_H

#include <stddef.h>

#define NAS_ALIGN 64 /* a cache line, and the widest vector */

/* count * size zeroed bytes, aligned to NAS_ALIGN; NULL when out of memory or on overflow. The
 * caller frees with free(). [any] */
void *nas_alloc(size_t count, size_t size);

#endif
