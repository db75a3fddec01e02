/* nashost plugin kit: what repeated measurements amount to. */
#ifndef NASHOST_KIT_STATISTICS_H
#define NASHOST_KIT_STATISTICS_H

#include <nashost/hardware.h>

/* The median of values [n], n > 0, which it sorts. [any] */
double nas_median(double *values, size_t n);

/* Median and spread of samples_us [n], n > 0, without those that lie more than `outliers` spreads
 * from the median of all. Overwrites samples_us and scratch [n]. [any] */
void nas_summarise(double *samples_us, double *scratch, size_t n, double outliers,
                   nas_measurement *result);

#endif
