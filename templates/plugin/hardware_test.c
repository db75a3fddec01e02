/* The cost of two layers, worked out by hand. */
#include "@ID@.c"

#include <assert.h>

int main(void) {
    const config given = {.gmacs = 0.5, .overhead_us = 10};
    const nas_layer layers[] = {
        {.op = NAS_OP_CONV, .macs = 1000000, .weights = 90, .biases = 10},
        {.op = NAS_OP_LINEAR, .macs = 500000, .weights = 45, .biases = 5},
    };
    const nas_network network = {.size = sizeof network,
                                 .layer_size = sizeof *layers,
                                 .n_layers = 2,
                                 .layers = layers,
                                 .peak_elements = 256};
    nas_cost found = {.size = sizeof found};
    void *self = NULL;
    nas_error err = {0};
    assert(create(NULL, &given, &self, &err) == NAS_OK);
    assert(cost(self, &network, &found, &err) == NAS_OK);
    assert(fabs(found.latency_ms - (3.0 + 0.02)) < 1e-9); /* 1.5 M at 0.5 G/s, twice 10 us */
    assert(found.flash_bytes == 600 && found.peak_bytes == 1024);
    assert(isnan(found.energy_mj));
    destroy(self);
    destroy(NULL);
    return 0;
}
