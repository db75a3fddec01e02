/* Dominance and hypervolume, everything minimised. */
#ifndef NASHOST_PARETO_H
#define NASHOST_PARETO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True if a [n] is nowhere worse than b [n], and better somewhere. */
bool nas_dominates(const double *a, const double *b, uint32_t n);

/* The volume that points [n] of m objectives each dominate, up to reference [m]: the sum over
 * slices along the last objective of the slice's thickness times the volume, one objective fewer,
 * of the points below it (Zitzler 2001; While et al., "A Faster Algorithm for Calculating
 * Hypervolume", 2006). Points beyond the reference add nothing. work: room for m * n pointers.
 * Takes in the order of n^m steps. In the objectives' units, multiplied. */
double nas_hypervolume(const double **points, size_t n, uint32_t m, const double *reference,
                       const double **work);

#endif
