#include "posterior.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_PIVOT 1e-9 /* of the factor, squared: as if there were that much more noise */

int nas_posterior_open(nas_posterior *p, size_t room, size_t dims, size_t groups,
                       const size_t *group, const double *hyper, nas_error *err) {
    *p = (nas_posterior){.dims = dims, .room = room, .noise = exp(hyper[groups]), .signal = 1};
    p->x = malloc((room * (dims + room + 3) + dims) * sizeof *p->x);
    if (!p->x) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu observations", room);
    p->y = p->x + room * dims;
    p->z = p->y + room;
    p->alpha = p->z + room;
    p->factor = p->alpha + room;
    p->scale = p->factor + room * room;
    for (size_t d = 0; d < dims; d++) p->scale[d] = exp(-hyper[group[d]]);
    return NAS_OK;
}

void nas_posterior_close(nas_posterior *p) {
    free(p->x);
    *p = (nas_posterior){0};
}

/* In four sums, which a compiler can keep in vectors. */
static double dot(const double *a, const double *b, size_t n) {
    double sum[4] = {0};
    size_t k = 0;
    for (; k + 4 <= n; k += 4)
        for (size_t i = 0; i < 4; i++) sum[i] += a[k + i] * b[k + i];
    for (; k < n; k++) sum[0] += a[k] * b[k];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static double correlation(const nas_posterior *p, const double *a, const double *b) {
    double sum = 0;
    for (size_t d = 0; d < p->dims; d++) {
        double step = (a[d] - b[d]) * p->scale[d];
        sum += step * step;
    }
    return nas_matern(sum);
}

/* Row j of factor^-1 v, given the rows above it. */
static double solve_row(const nas_posterior *p, size_t j, double v, const double *above) {
    const double *row = p->factor + j * p->room;
    return (v - dot(row, above, j)) / row[j];
}

void nas_posterior_add(nas_posterior *p, const double *x, double y) {
    size_t n = p->n++;
    double *row = p->factor + n * p->room, pivot = 1 + p->noise;
    if (x != p->x + n * p->dims) memcpy(p->x + n * p->dims, x, p->dims * sizeof *x);
    p->y[n] = y;
    for (size_t j = 0; j < n; j++) {
        row[j] = solve_row(p, j, correlation(p, p->x + j * p->dims, x), row);
        pivot -= row[j] * row[j];
    }
    row[n] = sqrt(fmax(pivot, LEAST_PIVOT));
}

void nas_posterior_settle(nas_posterior *p) {
    double sum = 1;
    for (size_t j = 0; j < p->n; j++) {
        p->z[j] = solve_row(p, j, p->y[j], p->z);
        sum += p->z[j] * p->z[j];
    }
    p->signal = sum / (double)(p->n + 1);
    memcpy(p->alpha, p->z, p->n * sizeof *p->alpha);
    for (size_t j = p->n; j-- > 0;) {
        const double *row = p->factor + j * p->room;
        p->alpha[j] /= row[j];
        for (size_t k = 0; k < j; k++) p->alpha[k] -= row[k] * p->alpha[j];
    }
}

bool nas_posterior_mean(const nas_posterior *p, nas_place_known *place, double *mean) {
    if (!place->rows) {
        place->rows = malloc(2 * p->room * sizeof *place->rows);
        place->variance = 1;
    }
    if (!place->rows) return false;
    for (; place->near < p->n; place->near++)
        place->rows[place->near] = correlation(p, p->x + place->near * p->dims, place->x);
    *mean = dot(place->rows, p->alpha, p->n);
    return true;
}

void nas_posterior_narrow(const nas_posterior *p, nas_place_known *place, size_t most) {
    double *solved = place->rows + p->room;
    if (most > p->n) most = p->n;
    for (; place->solved < most; place->solved++) {
        size_t j = place->solved;
        solved[j] = solve_row(p, j, place->rows[j], solved);
        place->variance -= solved[j] * solved[j];
    }
}

void nas_posterior_cut(nas_posterior *p, size_t n) {
    p->n = n;
}

void nas_place_cut(nas_place_known *place, const nas_posterior *p) {
    if (!place->rows) return;
    const double *solved = place->rows + p->room;
    if (place->near > p->n) place->near = p->n;
    if (place->solved <= p->n) return;
    place->solved = p->n;
    place->variance = 1; /* as it was summed up, so that no bit depends on what was cut */
    for (size_t j = 0; j < p->n; j++) place->variance -= solved[j] * solved[j];
}

void nas_place_free(nas_place_known *place) {
    free(place->rows);
    *place = (nas_place_known){0};
}
