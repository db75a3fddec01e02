/* What the files of this plugin share. The strategy is a nas_bayesian; the others are parts of it.
 * Every function here: [main]. */
#ifndef NASHOST_BAYESIAN_H
#define NASHOST_BAYESIAN_H

#include "front.h"
#include "posterior.h"

#include <nashost/kit/strategy.h>

enum {
    MOST_AT_ONCE = 256, /* proposals of one ask */
    CENTRES = 3,        /* the best genomes, whose neighbours are candidates */
    FRONT_CENTRES = 10, /* the same, on a front */
    DRAWS = 4,          /* for each random candidate, at most */
    FRESH = 25,         /* one in so many random candidates is new with each proposal */
    FIRST_ROWS = 32,    /* observations by which a variance is narrowed at first */
    FIT_POINTS = 128,   /* most results that hyper-parameters are fitted to */
    MOST_OBJECTIVES = 1 + NAS_FRONT_COSTS,
};

typedef struct bayesian_config {
    int64_t initial, candidates, points, tries;
    int lengths;
} bayesian_config;

/* A genome that was looked at, and what is known of it. */
typedef struct candidate {
    nas_place_known place;
    double violation, cost[NAS_FRONT_COSTS];
    double mean, gain; /* of this choice; the gain: a logarithm, never too small */
    bool exact;        /* the gain is */
    bool expanded;     /* its neighbours are candidates */
    uint64_t listed;   /* number of the ask */
} candidate;

/* A memory of candidates: what it holds changes no choice. */
typedef struct pool {
    nas_genomes genomes;
    size_t room;
    candidate *each; /* [room] */
    size_t *drawn;   /* [DRAWS * candidates]: by a draw's number modulo these, the genome */
    uint64_t *draw;  /* the same: number of the draw + 1; 0: none */
} pool;

typedef struct bayesian {
    nas_strategy base;
    bayesian_config config;
    size_t n_dims, n_groups;
    uint32_t *gene; /* [n_dims]: those with a choice */
    size_t *group;  /* [n_dims] */
    size_t n_costs; /* that are traded against the first objective; 0: that one alone counts */
    struct {
        double hyper[NAS_GAUSSIAN_HYPER]; /* of the process */
        uint64_t fitted;  /* genomes that had been told when they were fitted; 0: never */
        uint64_t settled; /* when the process was made anew */
    } own;
    /* From here on: a function of what was told and of own, hence in no state. */
    nas_posterior process;
    size_t *observed; /* [room of the process]: genomes, in the order of its observations */
    size_t followed;  /* told genomes that the process knows of */
    uint64_t made;    /* own.settled when it was made; 0: never */
    pool pool;
    uint64_t asks;
    size_t *list, n_list, list_room;    /* the candidates of this choice */
    size_t *front, n_front, front_room; /* told genomes that none beats */
    size_t fronted;                     /* of how many told ones */
    nas_front_point lowest, highest;    /* of these, each by itself */
} bayesian;

/* ---- Genomes (candidates.c) ---- */

int nas_bayesian_no_memory(nas_error *err);

/* Places a canonical genome in the unit cube, x [n_dims]; an inactive gene lies one step below its
 * smallest choice, so that it is one value whatever the genome says. */
void nas_bayesian_encode(bayesian *me, const uint16_t *genes, double *x);

/* The traded costs of a genome [n_costs]. False: not known. */
bool nas_bayesian_costs(const bayesian *me, const uint16_t *genes, double *cost);

/* The number of a canonical genome in the pool, to which it is added. */
int nas_pool_enter(bayesian *me, const uint16_t *genes, size_t *number, nas_error *err);

/* Adds genomes to the candidates of this choice unless they are known, break a constraint, or are
 * there: all that differ in one gene; a window of random draws, which moves on with each proposal.
 */
int nas_pool_consider_neighbours(bayesian *me, const uint16_t *genes, nas_error *err);
int nas_pool_consider_random(bayesian *me, nas_error *err);

/* Empties it; frees it. */
void nas_pool_drop(bayesian *me);
void nas_pool_free(pool *c);

/* ---- Observations (observations.c) ---- */

typedef struct result {
    double value;
    size_t number, age; /* age: how many were told later */
} result;

/* The scored ones of the first n_told told genomes: all, the oldest first, if they are no more than
 * `most`; else the best half of as many, and the newest of the others. results [n_told]. Returns
 * how many. */
size_t nas_bayesian_gather(const bayesian *me, size_t n_told, size_t most, result *results);

/* Mean and deviation of values; of equal ones it is 1. */
void nas_bayesian_moments(const double *y, size_t n, double *mean, double *deviation);

/* Brings the process up to date with what was told, and now and then its hyper-parameters. */
int nas_bayesian_follow(bayesian *me, nas_error *err);

/* Forgets what can be made again: a nas_strategy's `loaded`. */
void nas_bayesian_forget(void *self);

/* ---- What to choose by (goal.c) ---- */

/* The values of the process are standardised. */
typedef struct goal {
    double mean, deviation, best;
    nas_front front; /* n_costs 0: the first objective alone counts */
} goal;

/* Standardises the values of the process, and sets what to improve on. The candidates must be
 * there. The front is the caller's to free, whatever is returned. */
int nas_goal_open(bayesian *me, goal *to, nas_error *err);

/* The gains of the candidates from number `from` on, as far as their variances are known. */
int nas_goal_estimate(bayesian *me, goal *to, size_t from, nas_error *err);

/* The log of the improvement to be expected of a candidate by its mean and variance. */
double nas_goal_gain(goal *to, const candidate *one, double signal);

/* Takes candidate i of the pool to be as good as the best, or, on a front, as expected, from now
 * on; does so with all that were proposed and not told yet. */
int nas_goal_suppose(bayesian *me, goal *to, size_t i, nas_error *err);
int nas_goal_suppose_pending(bayesian *me, goal *to, nas_error *err);

#endif
