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

/* Extension "nas.measure/1": a plugin whose cost() times real runs, from which tables, profiles and
 * predictors are made. */
#define NAS_EXT_MEASURE "nas.measure/1"

/* What ran. The strings are the plugin's until destroy. */
typedef struct nas_target {
    uint32_t size;
    uint32_t threads, batch; /* batch: images in one run */
    const char *device;      /* such as the processor's name */
    const char *runtime;     /* such as "XNNPACK" */
    const char *dtype;       /* "float32" or "int8" */
} nas_target;

typedef struct nas_measurement {
    uint32_t size;
    uint32_t count;   /* samples, without the outliers */
    double median_ms; /* of them, for one run */
    double spread_ms; /* 1.4826 times the median absolute deviation: a robust standard deviation */
} nas_measurement;

typedef struct nas_measure_api {
    uint32_t size;
    /* Says what is measured on. The caller sets target->size. [worker] */
    int (*target)(void *self, nas_target *target, nas_error *err);
    /* Times one layer with its activation; NULL where whole networks alone can be timed. Its inputs
     * lie ready in memory, so input[] is not read: a first one of shape `in`, and for NAS_OP_ADD a
     * second one of that shape, for NAS_OP_SCALE one of 1 x 1 x in.c. weight and bias may be NULL.
     * The caller sets measurement->size. [worker] */
    int (*layer)(void *self, const nas_layer *layer, nas_measurement *measurement, nas_error *err);
} nas_measure_api;

/* Extension "nas.commands/1": the instance's cost() starts a program that its options name. The
 * host calls it only where the user said that it may: not in a dry run, and not for a run
 * directory, which may be a stranger's. */
#define NAS_EXT_COMMANDS "nas.commands/1"
typedef struct nas_commands_api {
    uint32_t size;
} nas_commands_api;

/* Extension "nas.calibrate/1": a model that can be fitted to measurements. */
#define NAS_EXT_CALIBRATE "nas.calibrate/1"
typedef struct nas_calibrate_api {
    uint32_t size;
    /* Fits the model that self was created with to a latency table (nashost/lut.h) and writes the
     * fitted one to the file `out`, in the form that the plugin's options name; self stays as it
     * is. [main] */
    int (*calibrate)(void *self, const char *table, const char *out, nas_error *err);
} nas_calibrate_api;

/* Extension "nas.execute/1": a plugin that computes what the network computes, on its device. */
#define NAS_EXT_EXECUTE "nas.execute/1"
typedef struct nas_execute_api {
    uint32_t size;
    /* images [n][h][w][c] are normalised; logits [n][classes]. Every weight and bias must be given.
     * [worker] */
    int (*run)(void *self, const nas_network *network, const float *images, uint32_t n,
               float *logits, nas_error *err);
} nas_execute_api;

/* Extension "nas.validation/1": a plugin that predicts, and knows networks whose time was measured
 * on its device, so that a report can set the two side by side. */
#define NAS_EXT_VALIDATION "nas.validation/1"
typedef struct nas_validation_api {
    uint32_t size;
    /* The latencies of network i, 0 first; NaN: not known. False: there is none of that number.
     * [any] */
    bool (*network)(void *self, uint32_t i, double *predicted_ms, double *measured_ms);
} nas_validation_api;

#endif
