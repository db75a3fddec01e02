/* What is known of subnets by genome, so that none is judged twice. */
#ifndef NAS_RUN_MEMO_H
#define NAS_RUN_MEMO_H

#include "run/candidate.h"

/* items [n] in the order of adding; they move when one is added. Zeroed but for space: empty. */
typedef struct nas_memo {
    const nas_space *space; /* borrowed */
    nas_candidate *items;
    size_t n, capacity;
    size_t *slots; /* [2 * capacity], index + 1 by hash, linear probing; 0: free */
} nas_memo;

/* The candidate of that genome (in canonical form or not), or NULL. [any] */
nas_candidate *nas_memo_find(const nas_memo *memo, const nas_genome *genome);

/* Adds a copy; its genome must be canonical, its hash set, and it must not be there yet. [any] */
int nas_memo_add(nas_memo *memo, const nas_candidate *candidate, nas_error *err);

void nas_memo_free(nas_memo *memo);

#endif
