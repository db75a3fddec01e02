#include "pareto.h"

bool nas_dominates(const double *a, const double *b, uint32_t n) {
    bool better = false;
    for (uint32_t m = 0; m < n; m++) {
        if (a[m] > b[m]) return false;
        better = better || a[m] < b[m];
    }
    return better;
}

double nas_hypervolume(const double **points, size_t n, uint32_t m, const double *reference,
                       const double **work) {
    uint32_t last = m - 1;
    size_t inside = 0;
    for (size_t i = 0; i < n; i++) { /* those inside, sorted by the last objective */
        if (!(points[i][last] < reference[last])) continue;
        size_t k = inside++;
        for (; k && work[k - 1][last] > points[i][last]; k--) work[k] = work[k - 1];
        work[k] = points[i];
    }
    if (!inside) return 0;
    if (!last) return reference[0] - work[0][0];
    double volume = 0;
    for (size_t i = 0; i < inside; i++) {
        double top = i + 1 < inside ? work[i + 1][last] : reference[last];
        if (top > work[i][last])
            volume += (top - work[i][last]) *
                      nas_hypervolume(work, i + 1, last, reference, work + inside);
    }
    return volume;
}
