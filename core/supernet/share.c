#include "supernet/share.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* The first chunk of a rank: each has as many as another, or one more. */
static int first_chunk(const nas_engine_pass *pass, uint32_t rank) {
    return (int)((uint64_t)pass->n_chunks * rank / pass->share->ranks);
}

int nas_share_open(const nas_engine_memory *memory, const nas_share *share, nas_engine_pass *pass,
                   nas_error *err) {
    const nas_memory_sizes *sizes = &memory->sizes;
    size_t chunk = 2 * sizes->widest * sizeof(double) + sizes->partial * sizeof(nas_real);
    pass->share = share;
    pass->share_ends = nas_alloc(share->ranks, sizeof *pass->share_ends);
    pass->share_room = nas_alloc((size_t)memory->max_chunks, chunk);
    size_t parts = (size_t)memory->max_chunks * sizes->partial;
    for (int i = 0; i < 2; i++)
        pass->share_parts[i] = nas_alloc(parts ? parts : 1, sizeof(nas_real));
    pass->share_terms =
        nas_alloc((size_t)memory->limits.max_cohorts * 4 * sizes->widest, sizeof(nas_real));
    if (pass->share_ends && pass->share_room && pass->share_parts[0] && pass->share_parts[1] &&
        pass->share_terms)
        return NAS_OK;
    nas_share_close(pass);
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for what ranks exchange");
}

void nas_share_close(nas_engine_pass *pass) {
    free(pass->share_ends);
    free(pass->share_room);
    for (int i = 0; i < 2; i++) free(pass->share_parts[i]);
    free(pass->share_terms);
    pass->share_parts[0] = pass->share_parts[1] = pass->share_terms = NULL;
    pass->share_ends = NULL;
    pass->share_room = NULL;
    pass->share = NULL;
}

bool nas_share_owns(const nas_engine_pass *pass, int chunk) {
    const nas_share *share = pass->share;
    return !share ||
           (chunk >= first_chunk(pass, share->rank) && chunk < first_chunk(pass, share->rank + 1));
}

void nas_share_mark(const nas_share *share, const nas_input *inputs, uint32_t n_inputs, bool apart,
                    bool *own) {
    nas_engine_pass pass = {.share = share};
    nas_engine_pass_cut(&pass, inputs, n_inputs, &(nas_forward){.apart = apart});
    for (int c = 0; c < pass.n_chunks; c++)
        for (uint32_t i = pass.chunks[c].first; i < pass.chunks[c + 1].first; i++)
            own[i] = own[i] || nas_share_owns(&pass, c);
}

/* A sweep whose first chunk is not 0. */
typedef struct later {
    nas_chunk_fn fn;
    void *context;
    int first;
} later;

static void run_later(void *context, int chunk, int thread) {
    const later *l = context;
    l->fn(l->context, l->first + chunk, thread);
}

void nas_share_sweep(const nas_engine_pass *pass, bool reverse, nas_chunk_fn fn, void *context) {
    if (!pass->share) {
        nas_parallel(pass->pool, pass->n_chunks, reverse, fn, context);
        return;
    }
    later l = {fn, context, first_chunk(pass, pass->share->rank)};
    int n = first_chunk(pass, pass->share->rank + 1) - l.first;
    if (n > 0) nas_parallel(pass->pool, n, reverse, run_later, &l);
}

/* Copies a chunk's values to, or from, its place in the room. */
static void copy(const nas_engine_memory *memory, int chunk, size_t sums, size_t partial,
                 char *place, bool back) {
    double *own_sums = nas_chunk_sums(memory, chunk);
    nas_real *own = nas_chunk_partial(memory, chunk);
    size_t bytes = sums * sizeof *own_sums, more = partial * sizeof *own;
    memcpy(back ? (char *)own_sums : place, back ? place : (char *)own_sums, bytes);
    if (more) memcpy(back ? (char *)own : place + bytes, back ? place + bytes : (char *)own, more);
}

/* Where each rank's part ends, of so many bytes a chunk. */
static void set_ends(const nas_engine_pass *pass, size_t bytes) {
    for (uint32_t r = 0; r < pass->share->ranks; r++)
        pass->share_ends[r] = (uint64_t)first_chunk(pass, r + 1) * bytes;
}

void nas_share_chunks(const nas_engine_memory *memory, const nas_engine_pass *pass, size_t sums,
                      size_t partial) {
    const nas_share *share = pass->share;
    size_t bytes = sums * sizeof(double) + partial * sizeof(nas_real);
    if (!share || !bytes) return;
    for (int c = 0; c < pass->n_chunks; c++)
        if (nas_share_owns(pass, c))
            copy(memory, c, sums, partial, pass->share_room + (size_t)c * bytes, false);
    set_ends(pass, bytes);
    share->gather(share->context, pass->share_room, pass->share_ends);
    for (int c = 0; c < pass->n_chunks; c++)
        if (!nas_share_owns(pass, c))
            copy(memory, c, sums, partial, pass->share_room + (size_t)c * bytes, true);
}

nas_parts nas_share_begin(const nas_engine_memory *memory, const nas_engine_pass *pass, int room,
                          size_t n) {
    const nas_share *share = pass->share;
    nas_parts parts = {pass->share_parts[room], n};
    for (int c = 0; c < pass->n_chunks; c++)
        if (nas_share_owns(pass, c))
            memcpy(parts.first + (size_t)c * n, nas_chunk_partial(memory, c), n * sizeof(nas_real));
    set_ends(pass, n * sizeof(nas_real));
    share->begin(share->context, parts.first, pass->share_ends);
    return parts;
}

void nas_share_end(const nas_engine_pass *pass) {
    pass->share->end(pass->share->context);
}

void nas_share_images(const nas_engine_pass *pass, nas_real *values, size_t size) {
    const nas_share *share = pass->share;
    if (!share) return;
    for (uint32_t r = 0; r < share->ranks; r++)
        pass->share_ends[r] =
            (uint64_t)pass->chunks[first_chunk(pass, r + 1)].first * size * sizeof *values;
    share->gather(share->context, values, pass->share_ends);
}
