/* Data-parallel loops over a fixed number of chunks. The number of chunks belongs to the problem,
 * never to the machine, so that sums over chunks are the same at any thread count. */
#ifndef NAS_BASE_THREADS_H
#define NAS_BASE_THREADS_H

/* Chunks that a batch is cut into; also the most threads that a loop can use. */
#define NAS_CHUNKS 16

/* thread is 0 .. threads - 1: an index for scratch memory, never for results. */
typedef void (*nas_chunk_fn)(void *context, int chunk, int thread);

/* Runs fn(context, 0 .. chunks - 1) on up to `threads` threads and waits for all of them. The same
 * chunk lands on the same thread in every loop of the same length, so its data stays in that
 * core's caches. [main] */
void nas_parallel(int threads, int chunks, nas_chunk_fn fn, void *context);

/* The same, each thread going through its chunks from the last to the first: what the sweep before
 * left in cache is used first. [main] */
void nas_parallel_reverse(int threads, int chunks, nas_chunk_fn fn, void *context);

/* OMP_NUM_THREADS if it is a positive number, else the processors this process may use. [any] */
int nas_threads_default(void);

#endif
