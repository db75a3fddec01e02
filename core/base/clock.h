/* A clock for durations. */
#ifndef NAS_BASE_CLOCK_H
#define NAS_BASE_CLOCK_H

/* Seconds on a clock that only goes forward. [any] */
double nas_seconds(void);

#endif
