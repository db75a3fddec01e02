/* The cost of two layers, worked out by hand. */
#include "@ID@.c"

#include <stdarg.h>
#include <stdio.h>

/* Ends the test with what was expected of the plugin, and what it said, if it did. */
__attribute__((format(printf, 3, 4))) static void expect(bool good, const nas_error *err,
                                                         const char *what, ...) {
    if (good) return;
    va_list args;
    va_start(args, what);
    fprintf(stderr, "hardware plugin \"@ID@\": expected ");
    vfprintf(stderr, what, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", err->message[0] ? "; it said: " : "", err->message);
    exit(1);
}

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
    expect(create(NULL, &given, &self, &err) == NAS_OK, &err, "create() to succeed");
    expect(cost(self, &network, &found, &err) == NAS_OK, &err, "cost() to succeed");
    expect(fabs(found.latency_ms - (3.0 + 0.02)) < 1e-9, &err, /* 1.5 M at 0.5 G/s, twice 10 us */
           "3.02 ms, found %g", found.latency_ms);
    expect(found.flash_bytes == 600, &err, "600 bytes of flash memory, found %llu",
           (unsigned long long)found.flash_bytes);
    expect(found.peak_bytes == 1024, &err, "a peak of 1024 bytes, found %llu",
           (unsigned long long)found.peak_bytes);
    expect(isnan(found.energy_mj), &err, "NaN for the energy, which is not known, found %g",
           found.energy_mj);
    destroy(self);
    destroy(NULL);
    return 0;
}
