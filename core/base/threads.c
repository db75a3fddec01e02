#include "base/threads.h"

#include <omp.h>
#include <stdbool.h>

static void run(int threads, int chunks, bool reverse, nas_chunk_fn fn, void *context) {
    if (threads > chunks) threads = chunks;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        int thread = omp_get_thread_num(), n = omp_get_num_threads();
        int first = chunks * thread / n, end = chunks * (thread + 1) / n;
        for (int i = first; i < end; i++) fn(context, reverse ? end - 1 - (i - first) : i, thread);
    }
}

void nas_parallel(int threads, int chunks, nas_chunk_fn fn, void *context) {
    run(threads, chunks, false, fn, context);
}

void nas_parallel_reverse(int threads, int chunks, nas_chunk_fn fn, void *context) {
    run(threads, chunks, true, fn, context);
}

int nas_threads_default(void) {
    int threads = omp_get_max_threads(); /* reads OMP_NUM_THREADS */
    return threads < NAS_CHUNKS ? threads : NAS_CHUNKS;
}
