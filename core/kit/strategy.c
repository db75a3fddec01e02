#include <nashost/kit/strategy.h>

#include <nashost/kit/state.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

void nas_strategy_finish(nas_strategy *s) {
    nas_genomes_free(&s->known);
    free(s->draft);
    s->draft = s->origin = s->probe = NULL;
}

int nas_strategy_start(nas_strategy *s, const nas_search_problem *problem, uint32_t n_objectives,
                       nas_error *err) {
    if (n_objectives > problem->n_objectives)
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected at least %u objectives, found %u", s->id,
                        (unsigned)n_objectives, (unsigned)problem->n_objectives);
    int rc = nas_genomes_fit(&s->known, problem, n_objectives, s->id, err);
    if (rc) return rc;
    uint16_t *scratch = calloc(problem->n_genes, 3 * sizeof *scratch);
    if (!scratch) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", s->id);
    free(s->draft);
    s->draft = scratch;
    s->origin = scratch + problem->n_genes;
    s->probe = s->origin + problem->n_genes;
    s->problem = problem;
    return NAS_OK;
}

int nas_strategy_ready(const nas_strategy *s, size_t *count, nas_error *err) {
    *count = 0;
    return s->problem ? NAS_OK
                      : nas_fail(err, NAS_ERR_PLUGIN, "%s: asked before it was started", s->id);
}

size_t nas_strategy_round(const nas_strategy *s, int64_t wanted, uint64_t rounds) {
    uint64_t most = s->problem->budget / rounds;
    if (!s->problem->budget || (uint64_t)wanted < most) return (size_t)wanted;
    return most >= 4 ? (size_t)most : wanted < 4 ? (size_t)wanted : 4;
}

/* ---- Random numbers ---- */

uint32_t nas_draw_below(nas_strategy *s, uint32_t n) {
    return (uint32_t)((s->host->random(s->host, 0, s->drawn++) >> 32) * n >> 32);
}

double nas_draw_unit(nas_strategy *s) {
    return (double)(s->host->random(s->host, 0, s->drawn++) >> 11) * 0x1p-53;
}

void nas_draw_genome(void *self, uint16_t *genes) {
    nas_strategy *s = self;
    for (uint32_t g = 0; g < s->problem->n_genes; g++)
        genes[g] = (uint16_t)nas_draw_below(s, s->problem->arity[g]);
}

/* ---- Genes ---- */

bool nas_neighbour(const nas_search_problem *problem, const uint16_t *genes, uint32_t g,
                   uint16_t value, uint16_t *out) {
    memcpy(out, genes, problem->n_genes * sizeof *out);
    out[g] = value;
    problem->canonical(problem, out);
    return memcmp(out, genes, problem->n_genes * sizeof *out) != 0;
}

bool nas_gene_matters(nas_strategy *s, const uint16_t *genes, uint32_t g) {
    return s->problem->arity[g] > 1 &&
           nas_neighbour(s->problem, genes, g, (uint16_t)!genes[g], s->probe);
}

/* Another value for gene g, uniformly. */
static uint16_t draw_other(nas_strategy *s, uint32_t g, uint16_t value) {
    uint16_t other = (uint16_t)nas_draw_below(s, s->problem->arity[g] - 1u);
    return (uint16_t)(other + (other >= value));
}

void nas_mutate(nas_strategy *s, double probability, uint16_t *genes) {
    uint32_t n = s->problem->n_genes, matter = 0, chosen = n;
    memcpy(s->origin, genes, n * sizeof *genes);
    for (uint32_t g = 0; g < n; g++) {
        if (!nas_gene_matters(s, s->origin, g)) continue;
        if (probability > 0) {
            if (nas_draw_unit(s) < probability) genes[g] = draw_other(s, g, genes[g]);
        } else if (!nas_draw_below(s, ++matter)) {
            chosen = g; /* the k-th one replaces the earlier ones with probability 1 / k */
        }
    }
    if (chosen < n) genes[chosen] = draw_other(s, chosen, genes[chosen]);
}

/* ---- Proposals ---- */

double nas_violation(const nas_strategy *s, const uint16_t *genes) {
    double violation = s->problem->violation(s->problem, genes);
    return isnan(violation) ? (double)INFINITY : fmax(0, violation);
}

bool nas_propose(nas_strategy *s, nas_make make, void *self, uint16_t *genes) {
    double best = INFINITY;
    bool found = false;
    for (uint64_t i = 0; i < s->tries; i++) {
        make(self, s->draft);
        s->problem->canonical(s->problem, s->draft);
        if (nas_genomes_find(&s->known, s->draft) != NAS_NO_GENOME) continue;
        double violation = nas_violation(s, s->draft);
        if (found && !(violation < best)) continue;
        memcpy(genes, s->draft, s->problem->n_genes * sizeof *genes);
        best = violation;
        found = true;
        if (violation <= 0) break;
    }
    return found;
}

int nas_strategy_add(nas_strategy *s, nas_make make, void *self, uint16_t *genes, bool *found,
                     nas_error *err) {
    *found = nas_propose(s, make, self, genes) ||
             (make != nas_draw_genome && nas_propose(s, nas_draw_genome, s, genes));
    return *found ? nas_genomes_add(&s->known, genes, NULL, err) : NAS_OK;
}

int nas_strategy_fill(nas_strategy *s, nas_make make, void *self, size_t n, uint16_t *genomes,
                      size_t *count, nas_error *err) {
    bool found = true;
    int rc = NAS_OK;
    while (*count < n && !rc && found) {
        rc = nas_strategy_add(s, make, self, genomes + *count * s->known.n_genes, &found, err);
        *count += !rc && found;
    }
    return rc;
}

int nas_strategy_tell(void *self, size_t n, const uint16_t *genomes, const double *objectives,
                      const double *violation, nas_error *err) {
    nas_strategy *s = self;
    if (!s->problem) return nas_fail(err, NAS_ERR_PLUGIN, "%s: told before it was started", s->id);
    uint32_t n_genes = s->problem->n_genes;
    for (size_t i = 0; i < n; i++) {
        size_t number;
        for (uint32_t g = 0; g < n_genes; g++)
            if (genomes[i * n_genes + g] >= s->problem->arity[g])
                return nas_fail(err, NAS_ERR_INPUT,
                                "%s: told of a genome whose gene %u is %u; expected less than %u",
                                s->id, (unsigned)g, (unsigned)genomes[i * n_genes + g],
                                (unsigned)s->problem->arity[g]);
        memcpy(s->probe, genomes + i * n_genes, n_genes * sizeof *s->probe);
        s->problem->canonical(s->problem, s->probe);
        int rc = nas_genomes_add(&s->known, s->probe, &number, err);
        if (rc) return rc;
        nas_genomes_tell(&s->known, number, objectives + i * s->problem->n_objectives,
                         violation[i]);
    }
    return NAS_OK;
}

double nas_log_improvement(double best, double mean, double deviation) {
    double u = (best - mean) / deviation;
    double log_phi = -0.5 * u * u - 0.5 * log(2 * acos(-1));
    if (u < -20) {
        double q = 1 / (u * u);
        return log(deviation) + log_phi + log(q) + log1p(q * (-3 + 15 * q));
    }
    return log(deviation) + log(exp(log_phi) + u * 0.5 * erfc(-u / sqrt(2)));
}

/* ---- State: the genomes, drawn, own ---- */

static size_t state_bytes(void *self) {
    const nas_strategy *s = self;
    return nas_genomes_bytes(&s->known) + sizeof s->drawn + s->own_bytes;
}

static int save(void *self, void *buffer, nas_error *err) {
    const nas_strategy *s = self;
    (void)err;
    char *at = nas_genomes_save(&s->known, s->id, s->version, buffer);
    nas_state_put(&at, &s->drawn, sizeof s->drawn);
    nas_state_put(&at, s->own, s->own_bytes);
    return NAS_OK;
}

/* A state that is refused leaves the strategy as it was. */
static int load(void *self, const void *buffer, size_t bytes, nas_error *err) {
    nas_strategy *s = self;
    nas_genomes loaded = {0};
    const char *rest;
    int rc = nas_genomes_load(&loaded, s->id, s->version, buffer, bytes,
                              sizeof s->drawn + s->own_bytes, &rest, err);
    if (!rc && s->problem)
        rc = nas_genomes_fit(&loaded, s->problem, s->known.n_objectives, s->id, err);
    if (rc) {
        nas_genomes_free(&loaded);
        return rc;
    }
    nas_genomes_free(&s->known);
    s->known = loaded;
    nas_state_get(&rest, &s->drawn, sizeof s->drawn);
    nas_state_get(&rest, s->own, s->own_bytes);
    if (s->loaded) s->loaded(s);
    return NAS_OK;
}

const void *nas_strategy_extension(void *self, const char *id) {
    static const nas_state_api state = {sizeof state, state_bytes, save, load};
    (void)self;
    return strcmp(id, NAS_EXT_STATE) == 0 ? &state : NULL;
}
