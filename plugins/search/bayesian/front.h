/* A front of points with one uncertain objective and one or two exact costs, everything minimised,
 * and the volume that one more point is expected to add to it. */
#ifndef NASHOST_FRONT_H
#define NASHOST_FRONT_H

#include <nashost/plugin.h>

enum { NAS_FRONT_COSTS = 2 };

typedef struct nas_front_point {
    double value, cost[NAS_FRONT_COSTS];
    size_t number; /* the caller's own */
} nas_front_point;

/* Zeroed but for n_costs, 1 or 2, and the reference: no point. */
typedef struct nas_front {
    size_t n_costs, n, room;
    nas_front_point *points;   /* [room], by ascending value; none is worse than another in all */
    nas_front_point reference; /* up to which volume counts */
    nas_front_point *steps;    /* [room + 1]: scratch of nas_front_gain() */
} nas_front;

/* Adds a point unless another is as good, and removes those that it beats. False: out of memory. */
bool nas_front_add(nas_front *front, nas_front_point point);

void nas_front_free(nas_front *front);

/* The log of the volume that a point with these costs is expected to add, if its value is normal
 * with this mean and deviation > 0; -infinity if it can add none.
 *
 * With exact costs the volume that a value y adds is the integral of A(t) over t from y to the
 * reference, where A(t) is the area, among the costs, that this point dominates and those with a
 * value of at most t do not. A(t) falls at each point of the front, so the expectation is the sum
 * over them of the expected improvement on that point's value times the fall. (For what is expected
 * where all objectives are uncertain: Emmerich, Giannakoglou and Naujoks, IEEE TEC 10(4), 2006.) */
double nas_front_gain(nas_front *front, const double *cost, double mean, double deviation);

#endif
