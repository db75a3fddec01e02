#include "run/memo.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* The slot that holds the genome, or the free one where it belongs. */
static size_t slot_of(const nas_memo *memo, uint64_t hash, const nas_genome *genome) {
    size_t n = 2 * memo->capacity, slot = (size_t)(hash % n);
    for (; memo->slots[slot]; slot = (slot + 1) % n) {
        const nas_candidate *item = &memo->items[memo->slots[slot] - 1];
        if (item->hash == hash && nas_genome_equal(memo->space, &item->genome, genome)) break;
    }
    return slot;
}

nas_candidate *nas_memo_find(const nas_memo *memo, const nas_genome *genome) {
    if (!memo->n) return NULL;
    size_t index = memo->slots[slot_of(memo, nas_genome_hash(memo->space, genome), genome)];
    return index ? &memo->items[index - 1] : NULL;
}

static int grow(nas_memo *memo, nas_error *err) {
    size_t capacity = memo->capacity ? 2 * memo->capacity : 64;
    nas_candidate *items = nas_alloc(capacity, sizeof *items);
    size_t *slots = nas_alloc(2 * capacity, sizeof *slots);
    if (!items || !slots) {
        free(items);
        free(slots);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu candidates", capacity);
    }
    if (memo->n) memcpy(items, memo->items, memo->n * sizeof *items);
    free(memo->items);
    free(memo->slots);
    memo->items = items;
    memo->slots = slots;
    memo->capacity = capacity;
    for (size_t i = 0; i < memo->n; i++)
        slots[slot_of(memo, items[i].hash, &items[i].genome)] = i + 1;
    return NAS_OK;
}

int nas_memo_add(nas_memo *memo, const nas_candidate *candidate, nas_error *err) {
    if (memo->n == memo->capacity) {
        int rc = grow(memo, err);
        if (rc) return rc;
    }
    size_t slot = slot_of(memo, candidate->hash, &candidate->genome);
    memo->items[memo->n++] = *candidate;
    memo->slots[slot] = memo->n;
    return NAS_OK;
}

void nas_memo_free(nas_memo *memo) {
    free(memo->items);
    free(memo->slots);
    *memo = (nas_memo){0};
}
