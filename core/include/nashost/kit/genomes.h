/* nashost plugin kit: the genomes that a search strategy knows, and what was told of them. A
 * strategy may do without it. Every function here: [main]. */
#ifndef NASHOST_KIT_GENOMES_H
#define NASHOST_KIT_GENOMES_H

#include <nashost/search.h>

/* Distinct canonical genomes, numbered from 0 in the order in which they came. All zero is an empty
 * set whose dimensions are not known yet. */
typedef struct nas_genomes {
    uint32_t n_genes, n_objectives;
    size_t n, room;
    uint16_t *genes;    /* [room][n_genes] */
    double *violation;  /* [room]; NaN: nothing was told yet; infinity: not scored */
    double *objectives; /* [room][n_objectives], finite where violation is 0 */
    size_t *told;       /* [room], its first n_told: the told genomes in the order of telling */
    size_t n_told;
    size_t slots;  /* a power of two, more than twice n */
    size_t *table; /* [slots], number + 1 of a genome; 0: free */
} nas_genomes;

#define NAS_NO_GENOME SIZE_MAX

/* Genome i [n_genes]. */
const uint16_t *nas_genomes_at(const nas_genomes *set, size_t i);

/* Its objectives [n_objectives], once it was told. */
const double *nas_genomes_objectives(const nas_genomes *set, size_t i);

/* Whether results of genome i were told. */
bool nas_genomes_is_told(const nas_genomes *set, size_t i);

/* Leaves an empty set; one that is empty is fine. */
void nas_genomes_free(nas_genomes *set);

/* The number of a canonical genome, or NAS_NO_GENOME. */
size_t nas_genomes_find(const nas_genomes *set, const uint16_t *genes);

/* Changes *array to n items of the given size; what it held stays if there is no memory. */
bool nas_genomes_resize(void *array, size_t n, size_t size);

/* Adds a canonical genome unless it is there. *number (or NULL): its number. */
int nas_genomes_add(nas_genomes *set, const uint16_t *genes, size_t *number, nas_error *err);

/* Records what was told of genome i. A feasible one with an objective that is no number, or is
 * infinite, counts as not scored. */
void nas_genomes_tell(nas_genomes *set, size_t i, const double *objectives, double violation);

/* True if told genome a is better than told genome b: a smaller violation, then a smaller first
 * objective, then a smaller second one, ... */
bool nas_genomes_better(const nas_genomes *set, size_t a, size_t b);

/* Gives the set the problem's dimensions. A set that was loaded before must already have them, and
 * no gene beyond its arity. id: the plugin's, for messages. */
int nas_genomes_fit(nas_genomes *set, const nas_search_problem *problem, uint32_t n_objectives,
                    const char *id, nas_error *err);

/* ---- As bytes ----
 * The header of nashost/kit/state.h (lengths: genes, genomes), then n_objectives and n_told as
 * uint64_t, objectives, violation, told as uint64_t, genes. */

/* How many bytes that is now. */
size_t nas_genomes_bytes(const nas_genomes *set);

/* The two that move one item and step over it. */
void nas_state_put(char **at, const void *from, size_t bytes);
void nas_state_get(const char **at, void *to, size_t bytes);

/* Writes nas_genomes_bytes() bytes and returns the address after them. */
void *nas_genomes_save(const nas_genomes *set, const char *id, uint32_t version, void *buffer);

/* Fills *set, which must be empty, from what nas_genomes_save() wrote. *rest: the address after it;
 * extra: the bytes that the caller expects there. On failure *set is empty. */
int nas_genomes_load(nas_genomes *set, const char *id, uint32_t version, const void *buffer,
                     size_t bytes, size_t extra, const char **rest, nas_error *err);

#endif
