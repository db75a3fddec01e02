#include "bayesian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void nas_bayesian_forget(void *self) {
    bayesian *me = self;
    nas_posterior_close(&me->process);
    free(me->observed);
    me->observed = NULL;
    me->made = me->n_front = me->fronted = 0;
}

static int by_value(const void *a, const void *b) {
    const result *x = a, *y = b;
    if (x->value < y->value) return -1;
    if (x->value > y->value) return 1;
    return (x->number > y->number) - (x->number < y->number);
}

static int by_age(const void *a, const void *b) {
    const result *x = a, *y = b;
    return (x->age > y->age) - (x->age < y->age);
}

size_t nas_bayesian_gather(const bayesian *me, size_t n_told, size_t most, result *results) {
    const nas_genomes *known = &me->base.known;
    size_t n = 0;
    for (size_t i = 0; i < n_told; i++) {
        size_t number = known->told[i];
        if (known->violation[number] > 0) continue;
        results[n++] = (result){*nas_genomes_objectives(known, number), number, n_told - i};
    }
    if (n <= most) return n;
    qsort(results, n, sizeof *results, by_value);
    qsort(results + most / 2, n - most / 2, sizeof *results, by_age);
    return most;
}

void nas_bayesian_moments(const double *y, size_t n, double *mean, double *deviation) {
    *mean = *deviation = 0;
    for (size_t i = 0; i < n; i++) *mean += y[i] / (double)n;
    for (size_t i = 0; i < n; i++) *deviation += (y[i] - *mean) * (y[i] - *mean) / (double)n;
    *deviation = *deviation > 0 ? sqrt(*deviation) : 1;
}

/* Fits the hyper-parameters to results, of which it takes some where they are many. */
static int fit(bayesian *me, const result *results, size_t n, nas_error *err) {
    nas_gaussian p;
    size_t m = n < FIT_POINTS ? n : FIT_POINTS;
    double mean, deviation;
    int rc = nas_gaussian_open(&p, m, me->n_dims, me->n_groups, me->group, err);
    for (size_t i = 0; i < m && !rc; i++) {
        const result *one = &results[i * n / m];
        p.y[i] = one->value;
        nas_bayesian_encode(me, nas_genomes_at(&me->base.known, one->number), p.x + i * p.dims);
    }
    if (!rc) {
        nas_bayesian_moments(p.y, m, &mean, &deviation);
        for (size_t i = 0; i < m; i++) p.y[i] = (p.y[i] - mean) / deviation;
        if (!nas_gaussian_fit(&p, me->own.hyper, me->own.fitted > 0))
            rc = nas_fail(err, NAS_ERR_NUMERIC,
                          "bayesian: expected correlations of %zu results that can be factorised, "
                          "found singular ones",
                          m);
    }
    nas_gaussian_close(&p);
    return rc;
}

static void observe(bayesian *me, size_t number) {
    nas_posterior *p = &me->process;
    double *x = p->x + p->n * p->dims;
    nas_bayesian_encode(me, nas_genomes_at(&me->base.known, number), x);
    me->observed[p->n] = number;
    nas_posterior_add(p, x, 0);
}

/* Makes the process anew, of what was told until own.settled. */
static int make(bayesian *me, const result *results, size_t n, nas_error *err) {
    size_t room = (size_t)me->config.points + 2 * MOST_AT_ONCE;
    nas_bayesian_forget(me);
    nas_pool_drop(me);
    me->observed = calloc(room, sizeof *me->observed);
    if (!me->observed) return nas_bayesian_no_memory(err);
    int rc = nas_posterior_open(&me->process, room, me->n_dims, me->n_groups, me->group,
                                me->own.hyper, err);
    for (size_t i = 0; i < n && !rc; i++) observe(me, results[i].number);
    me->followed = me->own.settled;
    me->made = rc ? 0 : me->own.settled;
    return rc;
}

/* True when so many more genomes were told that hyper-parameters are fitted again: a fifth more, or
 * half as many again once they hardly change. */
static bool fit_is_due(const bayesian *me) {
    uint64_t told = me->base.known.n_told, fitted = me->own.fitted;
    return !fitted || (fitted < FIT_POINTS ? 5 * told >= 6 * fitted : 2 * told >= 3 * fitted);
}

int nas_bayesian_follow(bayesian *me, nas_error *err) {
    const nas_genomes *known = &me->base.known;
    size_t most = (size_t)me->config.points;
    bool full = me->made && me->process.n + (known->n_told - me->followed) > most, due;
    int rc = NAS_OK;
    due = fit_is_due(me);
    if (due || full || !me->made) {
        result *results = malloc((known->n_told + 1) * sizeof *results);
        if (!results) return nas_bayesian_no_memory(err);
        if (due || full) me->own.settled = known->n_told;
        /* A quarter is left for what comes. */
        size_t n = nas_bayesian_gather(me, me->own.settled, most - most / 4, results);
        if (due) rc = fit(me, results, n, err);
        if (due && !rc) me->own.fitted = known->n_told;
        if (!rc) rc = make(me, results, n, err);
        free(results);
    }
    for (; me->followed < known->n_told && !rc; me->followed++) {
        size_t number = known->told[me->followed];
        if (!(known->violation[number] > 0)) observe(me, number);
    }
    return rc;
}
