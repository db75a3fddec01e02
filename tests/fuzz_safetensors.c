/* libFuzzer harness of the safetensors reader: no input may crash it, and what it accepts must be
 * readable in full. Build with clang -fsanitize=fuzzer,address. */
#include "base/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char *memory = malloc(bytes ? bytes : 1);
    if (!memory) return 0;
    if (bytes) memcpy(memory, data, bytes);
    nas_tensor_file file;
    nas_error err;
    if (nas_tensors_parse(memory, bytes, "input", &file, &err)) {
        if (file.memory || file.tensors || file.metadata || strchr(err.message, '\n')) abort();
        return 0;
    }
    size_t used = 0;
    unsigned sum = 0;
    for (size_t i = 0; i < file.n_tensors; i++) {
        const nas_tensor *t = &file.tensors[i];
        size_t n = 1;
        for (uint32_t d = 0; d < t->ndim; d++) n *= t->shape[d];
        if ((uintptr_t)t->data % _Alignof(float)) abort();
        for (size_t j = 0; j < n * sizeof(float); j++) sum += ((const uint8_t *)t->data)[j];
        if (nas_tensors_find(&file, t->name) != t) abort();
        used += n * sizeof(float);
    }
    if (used > bytes) abort();
    volatile unsigned keep = sum;
    (void)keep;
    nas_tensors_free(&file);
    return 0;
}
