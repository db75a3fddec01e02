/* The roofline model of a device, and its calibration. */
#ifndef NASHOST_ROOFLINE_H
#define NASHOST_ROOFLINE_H

#include <nashost/hardware.h>

#include <jansson.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Kinds of layers that differ in the share of the peak that they attain. Runtimes have special code
 * for depthwise kernels of up to 5x5. */
enum { CONV, DEPTHWISE, DEPTHWISE_LARGE, LINEAR, OTHER, KINDS };

/* A device, in the units of its file. An energy of NaN: not known. A size of 0: no limit. */
typedef struct profile {
    double peak_gops, bandwidth_gbs, overhead_us;
    double efficiency[KINDS]; /* attainable shares of peak_gops */
    double pj_per_mac, pj_per_byte, static_power_mw;
    double memory_bytes, flash_bytes;
    uint32_t element_bytes;
    char name[64];
} profile;

/* The plugin's instance. */
typedef struct model {
    const nas_host *host;
    char *file;
    json_t *json; /* the file's content */
    profile device;
} model;

/* What a layer asks of a device. */
typedef struct load {
    int kind;
    double operations, bytes;
} load;

/* By the kinds above. */
extern const char *const nas_roofline_kinds[KINDS];

/* Fills kind and operations. False: unknown kind of layer. */
bool nas_roofline_count_operations(const nas_layer *layer, load *l);

/* How long a layer takes by its operations alone, by what it moves, and in all. */
double nas_roofline_compute_us(const profile *device, const load *l);
double nas_roofline_memory_us(const profile *device, const load *l);
double nas_roofline_layer_us(const profile *device, const load *l);

/* A nas_calibrate_api's calibrate: fits the rates and the overhead that predict the table's
 * networks best. */
int nas_roofline_calibrate(void *self, const char *table, const char *out, nas_error *err);

#endif
