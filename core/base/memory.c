#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *nas_alloc(size_t count, size_t size) {
    if (size && count > (SIZE_MAX - NAS_ALIGN) / size) return NULL;
    size_t bytes = (count * size + NAS_ALIGN - 1) / NAS_ALIGN * NAS_ALIGN;
    void *memory = aligned_alloc(NAS_ALIGN, bytes ? bytes : NAS_ALIGN);
    if (memory) memset(memory, 0, bytes);
    return memory;
}
