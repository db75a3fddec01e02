#include "space/cover.h"

/* A layer is determined by the resolution, its block's place, kernel and expansion, and the widths
 * of its stage and the one before. Neighbouring stages differ in parity: one choice for the widths
 * of even stages and one for those of odd ones pair every width with every one before it. All
 * blocks share one kernel and one expansion; a stage with fewer choices repeats its last. */
enum { RESOLUTION, EVEN_WIDTH, ODD_WIDTH, KERNEL, EXPAND, DIGITS };

static uint32_t most(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static void count_choices(const nas_space *space, uint32_t n[DIGITS]) {
    n[RESOLUTION] = space->resolution.n;
    n[EVEN_WIDTH] = n[ODD_WIDTH] = n[KERNEL] = n[EXPAND] = 1;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        uint32_t width = s % 2 ? ODD_WIDTH : EVEN_WIDTH;
        n[width] = most(n[width], stage->width.n);
        for (uint32_t b = 0; b < stage->depth.value[stage->depth.n - 1]; b++) {
            n[KERNEL] = most(n[KERNEL], stage->kernel.of[b].n);
            n[EXPAND] = most(n[EXPAND], stage->expand.of[b].n);
        }
    }
}

size_t nas_cover_count(const nas_space *space) {
    uint32_t n[DIGITS];
    size_t count = 1;
    count_choices(space, n);
    for (int d = 0; d < DIGITS; d++) count *= n[d];
    return count;
}

/* The gene's choice number `digit`, or its last. */
static uint16_t choose(const nas_space *space, uint32_t gene, uint32_t digit) {
    uint32_t last = space->arity[gene] - 1u;
    return (uint16_t)(digit < last ? digit : last);
}

nas_genome nas_cover_genome(const nas_space *space, size_t i) {
    uint32_t n[DIGITS], digit[DIGITS], gene = 0;
    nas_genome genome = {0};
    count_choices(space, n);
    for (int d = 0; d < DIGITS; d++) {
        digit[d] = (uint32_t)(i % n[d]);
        i /= n[d];
    }
    genome.gene[gene] = choose(space, gene, digit[RESOLUTION]);
    gene++;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_choices *depth = &space->stages[s].depth;
        genome.gene[gene] = choose(space, gene, digit[s % 2 ? ODD_WIDTH : EVEN_WIDTH]);
        genome.gene[gene + 1] = (uint16_t)(depth->n - 1);
        gene += 2;
        for (uint32_t b = 0; b < depth->value[depth->n - 1]; b++, gene += 2) {
            genome.gene[gene] = choose(space, gene, digit[KERNEL]);
            genome.gene[gene + 1] = choose(space, gene + 1, digit[EXPAND]);
        }
    }
    return genome;
}
