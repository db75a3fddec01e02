/* nashost plugin kit: reading a latency table (see nashost/lut.h), for plugins that use Jansson. */
#ifndef NASHOST_KIT_LUT_FILE_H
#define NASHOST_KIT_LUT_FILE_H

#include <nashost/lut.h>
#include <nashost/network.h>
#include <nashost/plugin.h>

#include <jansson.h>

typedef struct nas_lut_entry {
    nas_layer layer; /* as nas_layer_from_key fills it */
    double ms;       /* median */
} nas_lut_entry;

/* A table in memory. Zeroed, it is empty. */
typedef struct nas_lut {
    const char *file;       /* borrowed */
    uint32_t element_bytes; /* of its dtype */
    json_t *root;
    json_t *entries;  /* borrowed from root: by key */
    json_t *networks; /* borrowed from root; NULL: none */
    size_t n;
    nas_lut_entry *list; /* [n], as they stand in the file */
} nas_lut;

/* NULL-safe, empty is fine. [any] */
void nas_lut_free(nas_lut *t);

/* Reads a table and checks every entry; file must outlive it. On failure *t is empty. [any] */
int nas_lut_load(const char *file, nas_lut *t, nas_error *err);

/* How the time of a network follows from those of its layers, which were timed alone, with their
 * weights in the cache:
 *     factor * sum of the layers' times + ms_per_weight * weights
 * The second term is the fetching of weights that the rest of a network has pushed out. */
typedef struct nas_lut_chain {
    double factor, ms_per_weight;
    size_t networks; /* that tell */
} nas_lut_chain;

/* Fits *chain to the table's networks; layer_ms(context, key) is a layer's time, and networks with
 * one whose time is NaN do not count. The factor is a median, which a few disturbed networks do not
 * move; 1 if there are none. [any] */
int nas_lut_fit_chain(const nas_lut *t, double (*layer_ms)(void *context, const char *key),
                      void *context, nas_lut_chain *chain, nas_error *err);

/* A network's time from the sum of its layers'. [any] */
double nas_lut_chain_ms(const nas_lut_chain *chain, const nas_network *network, double sum);

/* The predicted and the measured time of the table's network i, NaN where the sum of its layers is;
 * false: there is no such network. As nas_validation_api's network. [any] */
bool nas_lut_known(const nas_lut *t, const nas_lut_chain *chain, uint32_t i,
                   double (*layer_ms)(void *context, const char *key), void *context,
                   double *predicted_ms, double *measured_ms);

/* "a network takes 1.02 times the sum of its layers, and 0.34 ns for each weight (20 networks)" */
void nas_lut_chain_text(const nas_lut_chain *chain, char *line, size_t size);

#endif
