#include "nn/kernels.h"

#include <stdlib.h>
#include <string.h>

extern const nas_kernels nas_kernels_base;
#ifdef __x86_64__
extern const nas_kernels nas_kernels_avx2, nas_kernels_avx512;
#endif

size_t nas_depthwise_scratch(const nas_depthwise *s) {
    const size_t lanes = 256; /* the widest group of channels */
    size_t row = s->w + s->k - 1;
    return ((2 * s->k + 1) * row + 2 * s->k * s->k) * lanes;
}

const nas_kernels *nas_kernels_get(int i) {
    const nas_kernels *sets[3] = {&nas_kernels_base};
    int n = 1;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        sets[n++] = &nas_kernels_avx2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
            sets[n++] = &nas_kernels_avx512;
    }
#endif
    return i >= 0 && i < n ? sets[i] : NULL;
}

const nas_kernels *nas_kernels_pick(void) {
    const char *wanted = getenv("NASHOST_ISA");
    const nas_kernels *best = nas_kernels_get(0);
    for (int i = 0; nas_kernels_get(i); i++) {
        best = nas_kernels_get(i);
        if (wanted && strcmp(wanted, best->isa) == 0) break;
    }
    return best;
}
