#include "supernet/engine_pass.h"

_Static_assert(NAS_CHUNKS <= NAS_MAX_CHUNKS / NAS_MAX_COHORTS, "chunks of a loop");

/* As many chunks as have at least `least` images each, if there are that many. */
static int count_chunks(uint32_t images, uint32_t least) {
    uint32_t chunks = images / least;
    return chunks < 1 ? 1 : chunks > NAS_CHUNKS ? NAS_CHUNKS : (int)chunks;
}

/* Adds a cohort of the images that follow, and its chunks. */
static void add_cohort(nas_engine_pass *pass, uint32_t images, uint32_t least) {
    int index = pass->n_cohorts++, chunks = count_chunks(images, least);
    pass->cohorts[index] = (nas_cohort){pass->n_images, images, pass->n_chunks, chunks};
    for (int i = 0; i <= chunks; i++) {
        uint32_t skip = (uint32_t)((uint64_t)images * (uint64_t)i / (uint64_t)chunks);
        pass->chunks[pass->n_chunks + i] = (nas_chunk_start){pass->n_images + skip, index};
    }
    pass->n_chunks += chunks;
    pass->n_images += images;
}

void nas_engine_pass_cut(nas_engine_pass *pass, const nas_input *inputs, uint32_t n_inputs,
                         const nas_forward *how) {
    uint32_t least = how->stats ? 1 : NAS_CHUNK_IMAGES, images = 0;
    pass->inputs = inputs;
    pass->how = *how;
    pass->n_images = 0;
    pass->n_cohorts = pass->n_chunks = 0;
    for (uint32_t i = 0; i < n_inputs; i++) {
        images += inputs[i].n;
        if (!how->apart && i + 1 < n_inputs) continue;
        add_cohort(pass, images, least);
        images = 0;
    }
}

nas_microbatch nas_microbatch_of_chunk(const nas_engine_pass *pass, int chunk, bool reverse,
                                       int thread) {
    int next = reverse ? chunk - 1 : chunk + 1;
    nas_microbatch micro = {.first = pass->chunks[chunk].first,
                            .end = pass->chunks[chunk + 1].first,
                            .chunk = chunk,
                            .cohort = pass->chunks[chunk].cohort,
                            .thread = thread};
    if (next < 0 || next >= pass->n_chunks) return micro;
    micro.after.first = pass->chunks[next].first;
    micro.after.count = pass->chunks[next + 1].first - micro.after.first;
    return micro;
}

nas_image_range nas_microbatch_next(const nas_microbatch *micro, uint32_t done, uint32_t most) {
    nas_image_range next = {done, micro->end - done};
    if (done == micro->end) next = micro->after;
    if (next.count > most) next.count = most;
    return next;
}
