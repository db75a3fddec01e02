/* Latency tables (nashost/lut.h): every layer that a space can produce, timed. */
#ifndef NAS_STAGES_LUT_H
#define NAS_STAGES_LUT_H

#include "base/log.h"
#include "host/registry.h"
#include "space/space.h"

/* Everything is borrowed and must outlive the call. */
typedef struct nas_lut_request {
    const nas_space *space;
    const nas_instance *hardware; /* must have the extension NAS_EXT_MEASURE */
    const char *out;              /* the table's file */
    uint64_t seed;                /* of the order in which layers are timed */
    size_t limit;                 /* the table gets the first so many of that order; 0: all */
    size_t networks;              /* random subnets to time as a whole */
    uint32_t rounds;              /* 1 or more: how often each is timed */
    const nas_log *log;
    bool quiet; /* no progress lines */
} nas_lut_request;

typedef struct nas_lut_result {
    size_t layers;   /* of the space, not counting layers with equal keys twice */
    size_t kept;     /* of those asked for, complete in the file before */
    size_t measured; /* now, those completed */
    size_t networks; /* measured now */
} nas_lut_result;

/* Times the layers and the networks that the file does not hold yet, in `rounds` rounds, each in a
 * random order of its own; of an entry's times the table keeps the lowest, since what else the
 * machine does can only add to it, and may last longer than one measurement. Writes the file every
 * few seconds and at the end: an interrupted build goes on where it stopped, and a second space's
 * layers go to the same file. Where the plugin cannot time layers, the networks alone are timed. A
 * file that was measured on another target or with another plugin is NAS_ERR_INPUT. [main] */
int nas_lut_build(const nas_lut_request *request, nas_lut_result *result, nas_error *err);

#endif
