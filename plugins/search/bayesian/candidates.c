#include "bayesian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int nas_bayesian_no_memory(nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "bayesian: out of memory");
}

void nas_bayesian_encode(bayesian *me, const uint16_t *genes, double *x) {
    for (size_t d = 0; d < me->n_dims; d++) {
        uint32_t g = me->gene[d];
        double level = nas_gene_matters(&me->base, genes, g) ? genes[g] : -1.0;
        x[d] = level / (me->base.problem->arity[g] - 1.0);
    }
}

bool nas_bayesian_costs(const bayesian *me, const uint16_t *genes, double *cost) {
    double all[MOST_OBJECTIVES];
    const nas_search_problem *problem = me->base.problem;
    if (me->n_costs && !problem->costs(problem, genes, all)) return false;
    for (size_t k = 0; k < me->n_costs; k++) {
        cost[k] = all[k + 1];
        if (!isfinite(cost[k])) return false;
    }
    return true;
}

/* ---- The pool ---- */

static void empty(pool *c) {
    for (size_t i = 0; i < c->genomes.n; i++) {
        free(c->each[i].place.x);
        nas_place_free(&c->each[i].place);
    }
    nas_genomes_free(&c->genomes);
}

void nas_pool_free(pool *c) {
    empty(c);
    free(c->each);
    free(c->drawn);
    free(c->draw);
    *c = (pool){0};
}

void nas_pool_drop(bayesian *me) {
    empty(&me->pool);
    memset(me->pool.draw, 0, DRAWS * (size_t)me->config.candidates * sizeof *me->pool.draw);
}

int nas_pool_enter(bayesian *me, const uint16_t *genes, size_t *number, nas_error *err) {
    pool *c = &me->pool;
    if (c->genomes.n == c->room) {
        size_t room = 2 * c->room + 64;
        if (!nas_genomes_resize(&c->each, room, sizeof *c->each))
            return nas_bayesian_no_memory(err);
        c->room = room;
    }
    *number = nas_genomes_find(&c->genomes, genes);
    if (*number != NAS_NO_GENOME) return NAS_OK;
    double *x = malloc((me->n_dims + 1) * sizeof *x);
    if (!x) return nas_bayesian_no_memory(err);
    c->genomes.n_genes = me->base.known.n_genes;
    int rc = nas_genomes_add(&c->genomes, genes, number, err);
    if (rc) {
        free(x);
        return rc;
    }
    candidate *one = &c->each[*number];
    *one = (candidate){.place.x = x, .violation = nas_violation(&me->base, genes)};
    if (!nas_bayesian_costs(me, genes, one->cost)) one->violation = INFINITY;
    nas_bayesian_encode(me, genes, x);
    return NAS_OK;
}

/* Adds a genome to the candidates of this choice unless it is known, breaks a constraint, or is
 * there. */
static int nas_pool_consider(bayesian *me, const uint16_t *genes, nas_error *err) {
    size_t i;
    if (nas_genomes_find(&me->base.known, genes) != NAS_NO_GENOME) return NAS_OK;
    int rc = nas_pool_enter(me, genes, &i, err);
    if (rc) return rc;
    candidate *one = &me->pool.each[i];
    if (one->listed == me->asks || one->violation > 0) return NAS_OK;
    if (me->n_list == me->list_room) {
        size_t room = 2 * me->list_room + 256;
        if (!nas_genomes_resize(&me->list, room, sizeof *me->list))
            return nas_bayesian_no_memory(err);
        me->list_room = room;
    }
    one->listed = me->asks;
    one->expanded = one->exact = false;
    one->gain = INFINITY;
    me->list[me->n_list++] = i;
    return NAS_OK;
}

int nas_pool_consider_neighbours(bayesian *me, const uint16_t *genes, nas_error *err) {
    const nas_search_problem *problem = me->base.problem;
    int rc = NAS_OK;
    memcpy(me->base.origin, genes, problem->n_genes * sizeof *genes);
    for (size_t d = 0; d < me->n_dims && !rc; d++)
        for (uint16_t v = 0; v < problem->arity[me->gene[d]] && !rc; v++)
            if (nas_neighbour(problem, me->base.origin, me->gene[d], v, me->base.draft))
                rc = nas_pool_consider(me, me->base.draft, err);
    return rc;
}

/* The genome of a draw, by its number alone; those of the last ones are remembered. */
static int drawn(bayesian *me, uint64_t draw, size_t *number, nas_error *err) {
    pool *c = &me->pool;
    const nas_search_problem *problem = me->base.problem;
    const nas_host *host = me->base.host;
    size_t slot = (size_t)(draw % (DRAWS * (uint64_t)me->config.candidates));
    *number = c->drawn[slot];
    if (c->draw[slot] == draw + 1) return NAS_OK;
    for (uint32_t g = 0; g < problem->n_genes; g++) {
        uint64_t random = host->random(host, 1, draw * problem->n_genes + g);
        me->base.draft[g] = (uint16_t)((random >> 32) * problem->arity[g] >> 32);
    }
    problem->canonical(problem, me->base.draft);
    int rc = nas_pool_enter(me, me->base.draft, number, err);
    c->draw[slot] = draw + 1;
    c->drawn[slot] = *number;
    return rc;
}

int nas_pool_consider_random(bayesian *me, nas_error *err) {
    size_t wanted = (size_t)me->config.candidates, number;
    uint64_t first = me->base.known.n * (wanted / FRESH + 1);
    int rc = NAS_OK;
    for (uint64_t i = 0; i < DRAWS * wanted && me->n_list < wanted && !rc; i++) {
        rc = drawn(me, first + i, &number, err);
        if (!rc) {
            memcpy(me->base.draft, nas_genomes_at(&me->pool.genomes, number),
                   me->base.known.n_genes * sizeof *me->base.draft);
            rc = nas_pool_consider(me, me->base.draft, err);
        }
    }
    return rc;
}
