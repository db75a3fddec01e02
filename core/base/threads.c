#include "base/threads.h"

#include "base/memory.h"
#include "base/processors.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SPINS 4000 /* some 50 microseconds: longer than the serial work between two loops */

/* One thread's share of a loop: loop << 32 | first << 16 | end << 8 | next. All in one word, so
 * that a claim by compare-and-swap fails if the loop is over. */
typedef struct ticket {
    _Alignas(NAS_ALIGN) _Atomic uint64_t value;
} ticket;

typedef struct worker {
    nas_pool *pool;
    pthread_t thread;
    int index;
} worker;

struct nas_pool {
    int threads, started;
    worker workers[NAS_CHUNKS];
    ticket tickets[NAS_CHUNKS];
    _Atomic uint32_t loop; /* counts loops; the fields below are those of the newest */
    _Atomic(nas_chunk_fn) fn;
    _Atomic(void *) context;
    atomic_int chunks, done;
    atomic_bool reverse, stop;
    atomic_int asleep; /* workers */
    atomic_bool caller_asleep;
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
};

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Claims the next chunk of one thread's share of a loop; -1: none is left. While one is left the
 * pool's fields are this loop's, since the caller waits for it. */
static int claim(nas_pool *pool, uint32_t loop, int thread) {
    bool reverse = atomic_load(&pool->reverse);
    uint64_t value = atomic_load(&pool->tickets[thread].value);
    while ((uint32_t)(value >> 32) == loop) {
        int first = (int)(value >> 16 & 255), end = (int)(value >> 8 & 255),
            next = (int)(value & 255);
        if (next == end) return -1;
        if (atomic_compare_exchange_weak(&pool->tickets[thread].value, &value, value + 1))
            return reverse ? end - 1 - (next - first) : next;
    }
    return -1;
}

static void finish_chunk(nas_pool *pool, int chunks) {
    if (atomic_fetch_add(&pool->done, 1) + 1 < chunks || !atomic_load(&pool->caller_asleep)) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->finished);
    pthread_mutex_unlock(&pool->mutex);
}

/* Works on a loop until no chunk is left: the own share first, then the others'. */
static void work(nas_pool *pool, uint32_t loop, int thread) {
    for (int i = 0; i < pool->threads; i++) {
        int owner = (thread + i) % pool->threads;
        for (;;) {
            nas_chunk_fn fn = atomic_load(&pool->fn);
            void *context = atomic_load(&pool->context);
            int chunks = atomic_load(&pool->chunks), chunk = claim(pool, loop, owner);
            if (chunk < 0) break;
            fn(context, chunk, thread);
            finish_chunk(pool, chunks);
        }
    }
}

static void wait_for_work(nas_pool *pool, uint32_t seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool->loop) != seen || atomic_load(&pool->stop)) return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->asleep, 1);
    while (atomic_load(&pool->loop) == seen && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->work, &pool->mutex);
    atomic_fetch_sub(&pool->asleep, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *run_worker(void *argument) {
    worker *w = argument;
    uint32_t seen = 0;
    for (;;) {
        wait_for_work(w->pool, seen);
        if (atomic_load(&w->pool->stop)) return NULL;
        seen = atomic_load(&w->pool->loop);
        work(w->pool, seen, w->index);
    }
}

static void wait_for_chunks(nas_pool *pool, int chunks) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool->done) == chunks) return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_asleep, true);
    while (atomic_load(&pool->done) < chunks) pthread_cond_wait(&pool->finished, &pool->mutex);
    atomic_store(&pool->caller_asleep, false);
    pthread_mutex_unlock(&pool->mutex);
}

static void wake_workers(nas_pool *pool) {
    if (atomic_load(&pool->asleep) == 0 && !atomic_load(&pool->stop)) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

void nas_parallel(nas_pool *pool, int chunks, bool reverse, nas_chunk_fn fn, void *context) {
    if (pool->threads == 1) {
        for (int i = 0; i < chunks; i++) fn(context, reverse ? chunks - 1 - i : i, 0);
        return;
    }
    uint32_t loop = atomic_load(&pool->loop) + 1;
    atomic_store(&pool->fn, fn);
    atomic_store(&pool->context, context);
    atomic_store(&pool->chunks, chunks);
    atomic_store(&pool->reverse, reverse);
    atomic_store(&pool->done, 0);
    for (int t = 0; t < pool->threads; t++) {
        uint64_t first = (uint64_t)(chunks * t / pool->threads);
        uint64_t end = (uint64_t)(chunks * (t + 1) / pool->threads);
        atomic_store(&pool->tickets[t].value,
                     (uint64_t)loop << 32 | first << 16 | end << 8 | first);
    }
    atomic_store(&pool->loop, loop);
    wake_workers(pool);
    work(pool, loop, pool->threads - 1);
    wait_for_chunks(pool, chunks);
}

static int start_worker(nas_pool *pool, int index) {
    worker *w = &pool->workers[index];
    *w = (worker){.pool = pool, .index = index};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, run_worker, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

int nas_pool_create(int threads, nas_pool **pool, nas_error *err) {
    *pool = NULL;
    nas_pool *p = nas_alloc(1, sizeof *p);
    if (!p) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a thread pool");
    p->threads = threads < 1 ? 1 : threads > NAS_CHUNKS ? NAS_CHUNKS : threads;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->finished, NULL);
    for (; p->started < p->threads - 1; p->started++)
        if (start_worker(p, p->started) != 0) {
            nas_pool_destroy(p);
            return nas_fail(
                err, NAS_ERR_MEMORY,
                "no memory for %d threads, or too many processes: the system refuses to start "
                "them; ask for fewer with --threads",
                threads);
        }
    *pool = p;
    return NAS_OK;
}

void nas_pool_destroy(nas_pool *pool) {
    if (!pool) return;
    atomic_store(&pool->stop, true);
    wake_workers(pool);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->finished);
    free(pool);
}

int nas_threads_wanted(void) {
    const char *text = getenv("OMP_NUM_THREADS");
    long threads = text ? strtol(text, NULL, 10) : 0;
    if (threads > 0 && threads <= INT_MAX) return (int)threads;
    return nas_processors();
}

int nas_threads_default(void) {
    int threads = nas_threads_wanted();
    return threads > NAS_CHUNKS ? NAS_CHUNKS : threads;
}
