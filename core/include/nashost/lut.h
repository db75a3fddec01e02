/* nashost plugin SDK: latency tables, which `nashost lut build` makes and hardware models read.
 *
 *   {"format": "nashost latency table", "version": 1,
 *    "device": "AMD EPYC", "runtime": "XNNPACK", "dtype": "float32", "threads": 1, "batch": 1,
 *    "measured_with": "PLUGIN 0.1.0",
 *    "entries": {"conv in=28x28x1 out=28x28x16 kernel=3 stride=1 expand=0 act=h-swish se=0":
 *                    {"count": 49, "median_ms": 0.0123, "spread_ms": 0.0001, "rounds": 5},
 *                ...},
 *    "networks": [{"median_ms": 0.61, "layers": {"conv in=28x28x1 ...": 1, ...}, "genome": {...},
 *                  "rounds": 5}, ...]}
 *
 * device to batch are a nas_target, an entry's value is a nas_measurement, its key a layer: shapes
 * are height x width x channels, in is that of the first input, expand is the block's expansion,
 * which need not be whole (0 outside blocks), act is the activation, se is 1 in a block with
 * squeeze-excite. networks are whole subnets: what cost() measured, and how often each
 * layer occurs. Each was measured `rounds` times (left out: once), and the lowest median is here.
 * entries are empty where a device can time whole networks alone. Layers are timed alone, with
 * their weights still in the cache from the run before; the networks tell by how much a sum of
 * layers falls short (nashost/kit/lut_file.h). There may be none of them. */
#ifndef NASHOST_LUT_H
#define NASHOST_LUT_H

#define NAS_LUT_FORMAT "nashost latency table"
#define NAS_LUT_VERSION 1

#endif
