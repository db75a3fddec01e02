/* How many processors and how much memory this process may use. */
#ifndef NAS_BASE_PROCESSORS_H
#define NAS_BASE_PROCESSORS_H

#include <stdint.h>

/* Those that its affinity names, but no more than the CPU quota of its control groups allows
 * (rounded up; version 1 and 2, the group and those around it). At least 1. [any] */
int nas_processors(void);

/* The quota alone, in processors, rounded up; 0: there is none. root is put before /proc and /sys:
 * "" but in tests. [any] */
int nas_processors_quota(const char *root);

/* Bytes of memory: the machine's, but no more than its control groups allow (version 1 and 2); 0:
 * the system does not tell. [any] */
uint64_t nas_memory_available(void);

/* The control groups' limit alone; 0: there is none. root as above. [any] */
uint64_t nas_memory_limit(const char *root);

#endif
