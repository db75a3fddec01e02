#include "base/threads.h"

#include <omp.h>

void nas_parallel(int threads, int chunks, nas_chunk_fn fn, void *context) {
    if (threads > chunks) threads = chunks;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int chunk = 0; chunk < chunks; chunk++) fn(context, chunk, omp_get_thread_num());
}

int nas_threads_default(void) {
    int threads = omp_get_max_threads(); /* reads OMP_NUM_THREADS */
    return threads < NAS_CHUNKS ? threads : NAS_CHUNKS;
}
