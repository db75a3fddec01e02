/* What chosen subnets cost on chosen devices, without a trained network. */
#ifndef NAS_STAGES_COSTS_H
#define NAS_STAGES_COSTS_H

#include "base/log.h"
#include "host/registry.h"
#include "stages/subnets.h"

/* A device; everything is borrowed. */
typedef struct nas_device {
    const char *name;
    const nas_instance *hardware;
} nas_device;

/* Asks each device [n_devices] for each subnet's costs, in the order of subnets, and prints them to
 * stdout as a table, or as
 *
 *   {"space", "subnets": [{"name", "genome", "macs", "params",
 *                          "costs": {DEVICE: {"latency_ms", "energy_mj", "peak_bytes",
 *                                             "flash_bytes", "known_share"}, ...}}, ...]}
 *
 * where null is not known, and so are all costs of a subnet that a device cannot run; log tells
 * why. [main] */
int nas_costs(const nas_space *space, const nas_subnets *subnets, const nas_device *devices,
              size_t n_devices, bool json, const nas_log *log, nas_error *err);

#endif
