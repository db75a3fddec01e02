/* A batch that several processes run together, each the chunks that are its own. What a sweep
 * leaves of each chunk (sums, parts of the gradient) is then given to all of them, and each adds up
 * all chunks in their order: the same bits as one process has. */
#ifndef NAS_SUPERNET_SHARE_H
#define NAS_SUPERNET_SHARE_H

#include "supernet/engine_pass.h"

/* Work memory of a share, for a pass over what memory has room for. [main] */
int nas_share_open(const nas_engine_memory *memory, const nas_share *share, nas_engine_pass *pass,
                   nas_error *err);
void nas_share_close(nas_engine_pass *pass); /* zeroed is fine */

/* Whether a chunk is this process's own; without a share all are. [any] */
bool nas_share_owns(const nas_engine_pass *pass, int chunk);

/* Sets own of those images of a batch that the process of this share runs; inputs' images may be
 * NULL. [any] */
void nas_share_mark(const nas_share *share, const nas_input *inputs, uint32_t n_inputs, bool apart,
                    bool *own);

/* Parts of the weights' gradient, of chunk c from first + c * stride on. */
typedef struct nas_parts {
    nas_real *first;
    size_t stride;
} nas_parts;

/* Begins to give all processes the first n partial values of every chunk, which may be overwritten
 * from then on: other sweeps and exchanges take place meanwhile. Returns where all chunks' are once
 * nas_share_end() was called, which the next call waits for; room is 0 or 1, and not the same in
 * two calls of which the first one's parts are still read. [main] */
nas_parts nas_share_begin(const nas_engine_memory *memory, const nas_engine_pass *pass, int room,
                          size_t n);
void nas_share_end(const nas_engine_pass *pass);

/* A sweep over the own chunks, as nas_parallel() does it. [main] */
void nas_share_sweep(const nas_engine_pass *pass, bool reverse, nas_chunk_fn fn, void *context);

/* Gives all processes the first `sums` sums and `partial` partial values of every chunk. [main] */
void nas_share_chunks(const nas_engine_memory *memory, const nas_engine_pass *pass, size_t sums,
                      size_t partial);

/* The same of every image's values [images][size]. [main] */
void nas_share_images(const nas_engine_pass *pass, nas_real *values, size_t size);

#endif
