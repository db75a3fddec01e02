#include <nashost/kit/genomes.h>

#include <nashost/kit/state.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

const uint16_t *nas_genomes_at(const nas_genomes *set, size_t i) {
    return set->genes + i * set->n_genes;
}

const double *nas_genomes_objectives(const nas_genomes *set, size_t i) {
    return set->objectives + i * set->n_objectives;
}

bool nas_genomes_is_told(const nas_genomes *set, size_t i) {
    return !isnan(set->violation[i]);
}

void nas_genomes_free(nas_genomes *set) {
    free(set->genes);
    free(set->violation);
    free(set->objectives);
    free(set->told);
    free(set->table);
    *set = (nas_genomes){0};
}

/* The slot that holds the genome, or the free one where it belongs. Hash: FNV-1a. */
static size_t *slot_of(const nas_genomes *set, const uint16_t *genes) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t g = 0; g < set->n_genes; g++) hash = (hash ^ genes[g]) * 0x100000001b3u;
    size_t slot = (size_t)(hash ^ hash >> 32) & (set->slots - 1);
    while (set->table[slot] && memcmp(nas_genomes_at(set, set->table[slot] - 1), genes,
                                      set->n_genes * sizeof *genes) != 0)
        slot = (slot + 1) & (set->slots - 1);
    return &set->table[slot];
}

size_t nas_genomes_find(const nas_genomes *set, const uint16_t *genes) {
    size_t *slot = set->slots ? slot_of(set, genes) : NULL;
    return slot && *slot ? *slot - 1 : NAS_NO_GENOME;
}

bool nas_genomes_resize(void *array, size_t n, size_t size) {
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    grown = n <= SIZE_MAX / 2 / (size ? size : 1) ? realloc(old, n * size + 1) : NULL;
    if (grown) memcpy(array, &grown, sizeof grown);
    return grown;
}

/* Doubles the room. */
static int grow(nas_genomes *set, nas_error *err) {
    size_t room = set->room ? 2 * set->room : 64;
    size_t *table = calloc(4 * room, sizeof *table);
    if (!table || !nas_genomes_resize(&set->genes, room, set->n_genes * sizeof *set->genes) ||
        !nas_genomes_resize(&set->violation, room, sizeof *set->violation) ||
        !nas_genomes_resize(&set->told, room, sizeof *set->told) ||
        !nas_genomes_resize(&set->objectives, room, set->n_objectives * sizeof(double))) {
        free(table);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", room);
    }
    free(set->table);
    set->table = table;
    set->room = room;
    set->slots = 4 * room;
    for (size_t i = 0; i < set->n; i++) *slot_of(set, nas_genomes_at(set, i)) = i + 1;
    return NAS_OK;
}

int nas_genomes_add(nas_genomes *set, const uint16_t *genes, size_t *number, nas_error *err) {
    if (set->n == set->room) {
        int rc = grow(set, err);
        if (rc) return rc;
    }
    size_t *slot = slot_of(set, genes);
    if (!*slot) {
        memcpy(set->genes + set->n * set->n_genes, genes, set->n_genes * sizeof *genes);
        set->violation[set->n] = NAN;
        for (uint32_t m = 0; m < set->n_objectives; m++)
            set->objectives[set->n * set->n_objectives + m] = NAN;
        *slot = ++set->n;
    }
    if (number) *number = *slot - 1;
    return NAS_OK;
}

void nas_genomes_tell(nas_genomes *set, size_t i, const double *objectives, double violation) {
    bool scored = violation <= 0;
    for (uint32_t m = 0; m < set->n_objectives && scored; m++) scored = isfinite(objectives[m]);
    if (!nas_genomes_is_told(set, i)) set->told[set->n_told++] = i;
    set->violation[i] = scored ? 0 : violation > 0 ? violation : (double)INFINITY;
    for (uint32_t m = 0; m < set->n_objectives; m++)
        set->objectives[i * set->n_objectives + m] = scored ? objectives[m] : (double)INFINITY;
}

bool nas_genomes_better(const nas_genomes *set, size_t a, size_t b) {
    if (set->violation[a] < set->violation[b]) return true;
    if (set->violation[a] > set->violation[b]) return false;
    const double *x = nas_genomes_objectives(set, a), *y = nas_genomes_objectives(set, b);
    for (uint32_t m = 0; m < set->n_objectives; m++) {
        if (x[m] < y[m]) return true;
        if (x[m] > y[m]) return false;
    }
    return false;
}

int nas_genomes_fit(nas_genomes *set, const nas_search_problem *problem, uint32_t n_objectives,
                    const char *id, nas_error *err) {
    uint32_t n_genes = problem->n_genes;
    if (!n_genes)
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected at least one gene, found none", id);
    if (set->n_genes && (set->n_genes != n_genes || set->n_objectives != n_objectives))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: the saved state is of another space: expected genomes of %u genes and "
                        "%u objectives, found %u and %u",
                        id, (unsigned)n_genes, (unsigned)n_objectives, (unsigned)set->n_genes,
                        (unsigned)set->n_objectives);
    for (size_t k = 0; k < set->n * n_genes; k++)
        if (set->genes[k] >= problem->arity[k % n_genes])
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: the saved state is of another space: expected gene %zu to be "
                            "below %u, found %u",
                            id, k % n_genes, (unsigned)problem->arity[k % n_genes],
                            (unsigned)set->genes[k]);
    set->n_genes = n_genes;
    set->n_objectives = n_objectives;
    return NAS_OK;
}

/* ---- As bytes ----
 * The header of nashost/kit/state.h (lengths: genes, genomes), then n_objectives and n_told as
 * uint64_t, objectives, violation, told as uint64_t, genes. */

size_t nas_genomes_bytes(const nas_genomes *set) {
    size_t each = set->n_genes * sizeof *set->genes + (set->n_objectives + 1) * sizeof(double);
    return sizeof(nas_state_header) + (2 + set->n_told) * sizeof(uint64_t) + set->n * each;
}

void nas_state_put(char **at, const void *from, size_t bytes) {
    if (bytes) memcpy(*at, from, bytes);
    *at += bytes;
}

void nas_state_get(const char **at, void *to, size_t bytes) {
    if (bytes) memcpy(to, *at, bytes);
    *at += bytes;
}

void *nas_genomes_save(const nas_genomes *set, const char *id, uint32_t version, void *buffer) {
    char *at = nas_state_put_header(buffer, id, version, set->n_genes, set->n);
    const uint64_t counts[2] = {set->n_objectives, set->n_told};
    nas_state_put(&at, counts, sizeof counts);
    nas_state_put(&at, set->objectives, set->n * set->n_objectives * sizeof(double));
    nas_state_put(&at, set->violation, set->n * sizeof *set->violation);
    for (size_t i = 0; i < set->n_told; i++) {
        const uint64_t number = set->told[i];
        nas_state_put(&at, &number, sizeof number);
    }
    nas_state_put(&at, set->genes, set->n * set->n_genes * sizeof *set->genes);
    return at;
}

static int damaged(const char *id, nas_error *err) {
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: the saved state is damaged: expected every genome once, and values only "
                    "for told ones, found otherwise; start the run again",
                    id);
}

/* Fills set, whose dimensions and counts are right and which holds nothing, from at. */
static int read_all(nas_genomes *set, size_t n, size_t n_told, const char *id, const char *at,
                    nas_error *err) {
    uint16_t *genes = calloc((size_t)set->n_genes + 1, sizeof *genes);
    int rc = NAS_OK;
    if (!genes) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", id);
    size_t values = n * (set->n_objectives + 1) * sizeof(double);
    const char *from = at + values + n_told * sizeof(uint64_t);
    for (size_t i = 0; i < n && !rc; i++) {
        nas_state_get(&from, genes, set->n_genes * sizeof *genes);
        rc = nas_genomes_add(set, genes, NULL, err);
        if (!rc && set->n != i + 1) rc = damaged(id, err);
    }
    free(genes);
    if (rc) return rc;
    nas_state_get(&at, set->objectives, n * set->n_objectives * sizeof(double));
    nas_state_get(&at, set->violation, n * sizeof *set->violation);
    size_t with_values = 0;
    for (size_t i = 0; i < n; i++) with_values += nas_genomes_is_told(set, i);
    bool *seen = calloc(n + 1, sizeof *seen);
    if (!seen) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", id);
    bool sound = with_values == n_told;
    for (; set->n_told < n_told && sound; set->n_told++) {
        uint64_t number;
        nas_state_get(&at, &number, sizeof number);
        sound = number < n && nas_genomes_is_told(set, (size_t)number) && !seen[number];
        if (sound) seen[number] = true, set->told[set->n_told] = (size_t)number;
    }
    free(seen);
    return sound ? NAS_OK : damaged(id, err);
}

int nas_genomes_load(nas_genomes *set, const char *id, uint32_t version, const void *buffer,
                     size_t bytes, size_t extra, const char **rest, nas_error *err) {
    nas_state_header header;
    *rest = buffer;
    int rc = nas_state_get_header(buffer, bytes, id, version, &header, err);
    if (rc) return rc;
    uint64_t counts[2], n_genes = header.lengths[0], n = header.lengths[1];
    if (bytes < sizeof header + sizeof counts)
        return nas_state_check_bytes(sizeof header + sizeof counts + extra, bytes, id, err);
    memcpy(counts, (const char *)buffer + sizeof header, sizeof counts);
    if (n_genes > UINT32_MAX || counts[0] > UINT16_MAX || counts[1] > n || (!n_genes && n) ||
        n > bytes / (n_genes + counts[0] + 1))
        return damaged(id, err);
    *set = (nas_genomes){.n_genes = (uint32_t)n_genes, .n_objectives = (uint32_t)counts[0]};
    size_t start = sizeof header + sizeof counts;
    size_t expected =
        start + (size_t)counts[1] * sizeof(uint64_t) +
        (size_t)n * (set->n_genes * sizeof(uint16_t) + (set->n_objectives + 1) * sizeof(double));
    rc = nas_state_check_bytes(expected + extra, bytes, id, err);
    if (!rc)
        rc = read_all(set, (size_t)n, (size_t)counts[1], id, (const char *)buffer + start, err);
    *rest = (const char *)buffer + expected;
    if (rc) nas_genomes_free(set);
    return rc;
}
