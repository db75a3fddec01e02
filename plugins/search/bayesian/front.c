#include "front.h"

#include <nashost/kit/strategy.h>

#include <math.h>
#include <stdlib.h>

static bool as_good(const nas_front *front, const nas_front_point *a, const nas_front_point *b) {
    bool good = a->value <= b->value;
    for (size_t k = 0; k < front->n_costs; k++) good = good && a->cost[k] <= b->cost[k];
    return good;
}

bool nas_front_add(nas_front *front, nas_front_point point) {
    for (size_t i = 0; i < front->n; i++)
        if (as_good(front, &front->points[i], &point)) return true;
    if (front->n == front->room) {
        size_t room = 2 * front->room + 16;
        if (!nas_genomes_resize(&front->points, room, sizeof *front->points) ||
            !nas_genomes_resize(&front->steps, room + 1, sizeof *front->steps))
            return false;
        front->room = room;
    }
    size_t n = 0;
    for (size_t i = 0; i < front->n; i++)
        if (!as_good(front, &point, &front->points[i])) front->points[n++] = front->points[i];
    for (front->n = n + 1; n && front->points[n - 1].value > point.value; n--)
        front->points[n] = front->points[n - 1];
    front->points[n] = point;
    return true;
}

void nas_front_free(nas_front *front) {
    free(front->points);
    free(front->steps);
    *front = (nas_front){0};
}

/* Takes a box up to the reference from the costs, given that steps [*n], by ascending first cost,
 * were taken before; returns the area that is new. One cost alone is an area of width 1. */
static double take(const nas_front *front, nas_front_point *steps, size_t *n,
                   const nas_front_point *box) {
    const double *most = front->reference.cost;
    double from = box->cost[0], above = front->n_costs > 1 ? most[1] : 1, area = 0;
    double floor = front->n_costs > 1 ? box->cost[1] : 0;
    size_t first = 0, after;
    for (; first < *n && steps[first].cost[0] <= from; first++) above = steps[first].cost[1];
    if (above <= floor) return 0;
    for (after = first; after < *n && above > floor; after++) {
        area += (steps[after].cost[0] - from) * (above - floor);
        from = steps[after].cost[0];
        above = steps[after].cost[1];
        if (above < floor) break;
    }
    if (above > floor) area += (most[0] - from) * (above - floor);
    /* Those from first to after lie in the box. */
    size_t kept = *n - after;
    if (after == first)
        for (size_t i = *n; i > first; i--) steps[i] = steps[i - 1];
    else
        for (size_t i = 0; i < kept; i++) steps[first + 1 + i] = steps[after + i];
    steps[first] = (nas_front_point){.cost = {box->cost[0], floor}};
    *n = first + 1 + kept;
    return area;
}

double nas_front_gain(nas_front *front, const double *cost, double mean, double deviation) {
    const nas_front_point *reference = &front->reference;
    double left = 1, total = -INFINITY;
    size_t n = 0;
    for (size_t k = 0; k < front->n_costs; k++) left *= fmax(0, reference->cost[k] - cost[k]);
    const double tiny = 1e-12 * left;
    for (size_t i = 0; i <= front->n && left > tiny; i++) {
        const nas_front_point *point = i < front->n ? &front->points[i] : reference;
        double fall = left;
        if (point->value >= reference->value) i = front->n;
        if (i < front->n) {
            nas_front_point box = *point;
            bool outside = false;
            for (size_t k = 0; k < front->n_costs; k++) {
                box.cost[k] = fmax(box.cost[k], cost[k]);
                outside = outside || box.cost[k] >= reference->cost[k];
            }
            fall = outside ? 0 : take(front, front->steps, &n, &box);
        } else {
            point = reference;
        }
        if (!(fall > tiny)) continue;
        double part = log(fall) + nas_log_improvement(point->value, mean, deviation);
        double high = fmax(total, part), low = fmin(total, part);
        total = high + log1p(exp(low - high));
        left -= fall;
    }
    return total;
}
