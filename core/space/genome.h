/* Genomes: the names of a space's subnets. */
#ifndef NAS_SPACE_GENOME_H
#define NAS_SPACE_GENOME_H

#include "space/space.h"

/* A subnet as gene values. Only the canonical form (inactive genes 0) is hashed or compared. */
typedef struct nas_genome {
    uint16_t gene[NAS_MAX_GENES];
} nas_genome;

typedef struct nas_block {
    uint32_t kernel;
    double expand;
} nas_block;

/* A decoded genome. */
typedef struct nas_arch {
    uint32_t resolution;
    uint32_t width[NAS_MAX_STAGES], depth[NAS_MAX_STAGES];
    nas_block block[NAS_MAX_STAGES][NAS_MAX_DEPTH];
} nas_arch;

nas_genome nas_genome_largest(const nas_space *space);
nas_genome nas_genome_smallest(const nas_space *space);

/* A genome with every active gene uniform over its choices, in canonical form. next() returns
 * uniform integers in 0 .. n - 1. [any] */
nas_genome nas_genome_random(const nas_space *space, uint32_t (*next)(void *context, uint32_t n),
                             void *context);

/* Sets inactive genes to 0. */
void nas_genome_canonical(const nas_space *space, nas_genome *genome);
bool nas_genome_equal(const nas_space *space, const nas_genome *a, const nas_genome *b);
uint64_t nas_genome_hash(const nas_space *space, const nas_genome *genome);

nas_arch nas_genome_decode(const nas_space *space, const nas_genome *genome);

/* {"resolution": 28, "stages": [{"width": 24, "blocks": [{"kernel": 5, "expand": 4}, ...]}, ...]};
 * expansions that are not whole have up to 6 digits. The caller owns the result; NULL: out of
 * memory. [any] */
json_t *nas_genome_to_json(const nas_space *space, const nas_genome *genome);

/* The same as text, on one line. The caller frees it; NULL: out of memory. [any] */
char *nas_genome_text(const nas_space *space, const nas_genome *genome);

/* The inverse; checks every value against the space and names the choices it allows. [any] */
int nas_genome_from_json(const nas_space *space, const json_t *json, const char *where,
                         nas_genome *genome, nas_error *err);

/* The JSON Schema of genomes of any space. The caller owns it; NULL: out of memory. [any] */
json_t *nas_genome_schema(void);

/* "r28 24:5x4,3x2 40:3x3 ..." for tables: width, then kernel x expand of each block. Writes at most
 * size bytes and returns buffer. */
char *nas_genome_short(const nas_space *space, const nas_genome *genome, char *buffer, size_t size);

#endif
