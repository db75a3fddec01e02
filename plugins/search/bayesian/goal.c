#include "bayesian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Adds what was told to the front's genomes. */
static int update_front(bayesian *me, nas_error *err) {
    const nas_genomes *known = &me->base.known;
    if (!me->fronted) {
        me->lowest = (nas_front_point){INFINITY, {INFINITY, INFINITY}, 0};
        me->highest = (nas_front_point){-INFINITY, {-INFINITY, -INFINITY}, 0};
    }
    for (; me->fronted < known->n_told; me->fronted++) {
        size_t number = known->told[me->fronted];
        double value = *nas_genomes_objectives(known, number), cost[NAS_FRONT_COSTS];
        if (known->violation[number] > 0 ||
            !nas_bayesian_costs(me, nas_genomes_at(known, number), cost))
            continue;
        if (me->n_front == me->front_room) {
            size_t room = 2 * me->front_room + 64;
            if (!nas_genomes_resize(&me->front, room, sizeof *me->front))
                return nas_bayesian_no_memory(err);
            me->front_room = room;
        }
        me->front[me->n_front++] = number;
        me->lowest.value = fmin(me->lowest.value, value);
        me->highest.value = fmax(me->highest.value, value);
        for (size_t k = 0; k < me->n_costs; k++) {
            me->lowest.cost[k] = fmin(me->lowest.cost[k], cost[k]);
            me->highest.cost[k] = fmax(me->highest.cost[k], cost[k]);
        }
    }
    return NAS_OK;
}

/* Beyond the worst by a tenth of the range, so that the ends of the front count too. */
static double beyond(double least, double most) {
    return most + 0.1 * (most - least);
}

static int open_front(bayesian *me, goal *to, nas_error *err) {
    const nas_genomes *known = &me->base.known;
    nas_front *front = &to->front;
    front->n_costs = me->n_costs;
    int rc = update_front(me, err);
    for (size_t i = 0; i < me->n_front && !rc; i++) {
        nas_front_point point = {.number = me->front[i]};
        const uint16_t *genes = nas_genomes_at(known, point.number);
        point.value = (*nas_genomes_objectives(known, point.number) - to->mean) / to->deviation;
        nas_bayesian_costs(me, genes, point.cost);
        if (!nas_front_add(front, point)) rc = nas_bayesian_no_memory(err);
    }
    me->n_front = 0;
    for (size_t i = 0; i < front->n; i++) me->front[me->n_front++] = front->points[i].number;
    double least = (me->lowest.value - to->mean) / to->deviation;
    front->reference.value = beyond(least, (me->highest.value - to->mean) / to->deviation);
    for (size_t k = 0; k < front->n_costs; k++) {
        double low = me->lowest.cost[k], high = me->highest.cost[k];
        for (size_t i = 0; i < me->n_list; i++) {
            low = fmin(low, me->pool.each[me->list[i]].cost[k]);
            high = fmax(high, me->pool.each[me->list[i]].cost[k]);
        }
        front->reference.cost[k] = beyond(low, high);
    }
    return rc;
}

int nas_goal_open(bayesian *me, goal *to, nas_error *err) {
    nas_posterior *p = &me->process;
    *to = (goal){.best = INFINITY};
    for (size_t i = 0; i < p->n; i++)
        p->y[i] = *nas_genomes_objectives(&me->base.known, me->observed[i]);
    nas_bayesian_moments(p->y, p->n, &to->mean, &to->deviation);
    for (size_t i = 0; i < p->n; i++) {
        p->y[i] = (p->y[i] - to->mean) / to->deviation;
        to->best = fmin(to->best, p->y[i]);
    }
    nas_posterior_settle(p);
    return me->n_costs ? open_front(me, to, err) : NAS_OK;
}

double nas_goal_gain(goal *to, const candidate *one, double signal) {
    double deviation = sqrt(fmax(signal * one->place.variance, 1e-12));
    if (!to->front.n_costs) return nas_log_improvement(to->best, one->mean, deviation);
    return nas_front_gain(&to->front, one->cost, one->mean, deviation);
}

int nas_goal_estimate(bayesian *me, goal *to, size_t from, nas_error *err) {
    const nas_posterior *p = &me->process;
    for (size_t i = from; i < me->n_list; i++) {
        candidate *one = &me->pool.each[me->list[i]];
        if (!nas_posterior_mean(p, &one->place, &one->mean)) return nas_bayesian_no_memory(err);
        nas_posterior_narrow(p, &one->place, FIRST_ROWS);
        one->exact = one->place.solved == p->n;
        one->gain = nas_goal_gain(to, one, p->signal);
    }
    return NAS_OK;
}

/* Takes a candidate's value to be y from now on. */
static int suppose(bayesian *me, goal *to, const candidate *one, double y, nas_error *err) {
    nas_front_point point = {.value = y, .number = NAS_NO_GENOME};
    memcpy(point.cost, one->cost, sizeof point.cost);
    if (to->front.n_costs && !nas_front_add(&to->front, point)) return nas_bayesian_no_memory(err);
    nas_posterior_add(&me->process, one->place.x, y);
    nas_posterior_settle(&me->process);
    return NAS_OK;
}

int nas_goal_suppose(bayesian *me, goal *to, size_t i, nas_error *err) {
    candidate *one = &me->pool.each[i];
    if (!nas_posterior_mean(&me->process, &one->place, &one->mean))
        return nas_bayesian_no_memory(err);
    return suppose(me, to, one, to->front.n_costs ? one->mean : to->best, err);
}

int nas_goal_suppose_pending(bayesian *me, goal *to, nas_error *err) {
    const nas_genomes *known = &me->base.known;
    size_t left = known->n - known->n_told, number;
    if (left > MOST_AT_ONCE) left = MOST_AT_ONCE;
    int rc = NAS_OK;
    for (size_t i = known->n; i-- > 0 && left && !rc;) {
        if (nas_genomes_is_told(known, i)) continue;
        left--;
        rc = nas_pool_enter(me, nas_genomes_at(known, i), &number, err);
        if (!rc && me->pool.each[number].violation <= 0) rc = nas_goal_suppose(me, to, number, err);
    }
    return rc;
}
