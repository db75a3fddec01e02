/* Data-parallel loops over a fixed number of chunks. The number of chunks belongs to the problem,
 * never to the machine, so that sums over chunks are the same at any thread count.
 *
 * Our own pool, not OpenMP's: libgomp's threads spin at every barrier and wait for each other even
 * when one could do the work of both; on a machine with other work to do a training step then took
 * 20 times as long. Here a late thread's chunks are done by the others. */
#ifndef NAS_BASE_THREADS_H
#define NAS_BASE_THREADS_H

#include <nashost/plugin.h>

/* Shares that work is commonly cut into; also the most threads that a pool has. */
#define NAS_CHUNKS 16
#define NAS_MAX_CHUNKS 255 /* of one loop */

typedef struct nas_pool nas_pool;

/* Starts threads - 1 threads (at most NAS_CHUNKS - 1) that block all signals; the caller is the
 * last. [main] */
int nas_pool_create(int threads, nas_pool **pool, nas_error *err);
void nas_pool_destroy(nas_pool *pool); /* NULL-safe */

/* thread is 0 .. threads - 1: an index for scratch memory, never for results. */
typedef void (*nas_chunk_fn)(void *context, int chunk, int thread);

/* Runs fn(context, 0 .. chunks - 1), chunks <= NAS_MAX_CHUNKS, and waits for the last. A thread
 * begins with the same chunks in every loop of the same length, so that their data stays in its
 * core's caches, and then helps the others. With `reverse` it goes from its last chunk to its
 * first: what the loop before left in cache is used first. [main] */
void nas_parallel(nas_pool *pool, int chunks, bool reverse, nas_chunk_fn fn, void *context);

/* OMP_NUM_THREADS if it is a positive number, else the processors that this process may use
 * (base/processors.h); and the same, at most NAS_CHUNKS. [any] */
int nas_threads_wanted(void);
int nas_threads_default(void);

#endif
