/* nashost plugin SDK: hardware cost models (NAS_KIND_HARDWARE). */
#ifndef NASHOST_HARDWARE_H
#define NASHOST_HARDWARE_H

#include <nashost/network.h>
#include <nashost/plugin.h>

/* The cost of one image through one subnet. A field that the model cannot tell is NaN (or
 * UINT64_MAX), never 0. */
typedef struct nas_cost {
    uint32_t size;
    double latency_ms;
    double energy_mj;
    uint64_t peak_bytes;  /* activation memory */
    uint64_t flash_bytes; /* weights and biases as stored on the device */
    double known_share;   /* share of layers that the model knows, 0..1 */
} nas_cost;

typedef struct nas_hardware_api {
    uint32_t size;
    /* Predicts or measures. The caller sets cost->size. [worker] */
    int (*cost)(void *self, const nas_network *network, nas_cost *cost, nas_error *err);
} nas_hardware_api;

#endif
