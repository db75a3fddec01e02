#include <nashost/kit/statistics.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double nas_median(double *values, size_t n) {
    qsort(values, n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* 1.4826 times the median distance of values [n] from middle, which for normal numbers is the
 * standard deviation; overwrites values. [any] */
static double spread(double *values, size_t n, double middle) {
    for (size_t i = 0; i < n; i++) values[i] = fabs(values[i] - middle);
    return 1.4826 * nas_median(values, n);
}

void nas_summarise(double *samples_us, double *scratch, size_t n, double outliers,
                   nas_measurement *result) {
    double middle = nas_median(samples_us, n);
    memcpy(scratch, samples_us, n * sizeof *samples_us);
    double limit = outliers * spread(scratch, n, middle);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(samples_us[i] - middle) > limit)) samples_us[kept++] = samples_us[i];
    if (!kept) samples_us[kept++] = middle; /* an even number, its middle between two */
    double median = nas_median(samples_us, kept);
    result->count = (uint32_t)kept;
    result->median_ms = median / 1e3;
    result->spread_ms = spread(samples_us, kept, median) / 1e3;
}
