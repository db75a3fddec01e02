/* A subnet that cannot tell two classes apart is half sure; one that can is surer. */
#include "@ID@.c"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static float gap; /* between the two logits */

static int logits_of(const nas_subnet *subnet, float *logits, nas_error *err) {
    (void)err;
    for (uint64_t i = 0; i < subnet->heldout; i++) {
        logits[2 * i] = 0;
        logits[2 * i + 1] = gap;
    }
    return NAS_OK;
}

/* Ends the test with what was expected of the plugin, and what it said, if it did. */
__attribute__((format(printf, 3, 4))) static void expect(bool good, const nas_error *err,
                                                         const char *what, ...) {
    if (good) return;
    va_list args;
    va_start(args, what);
    fprintf(stderr, "score plugin \"@ID@\": expected ");
    vfprintf(stderr, what, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", err->message[0] ? "; it said: " : "", err->message);
    exit(1);
}

int main(void) {
    const config given = {.temperature = 1};
    const nas_subnet subnet = {
        .size = sizeof subnet, .classes = 2, .heldout = 5, .heldout_logits = logits_of};
    double value;
    void *self = NULL;
    nas_error err = {0};
    expect(create(NULL, &given, &self, &err) == NAS_OK, &err, "create() to succeed");
    expect(start(self, &subnet, &err) == NAS_OK, &err, "start() to succeed");
    expect(score(self, &subnet, &value, &err) == NAS_OK, &err, "score() to succeed");
    expect(fabs(value - 0.5) < 1e-9, &err, "0.5 where both logits are the same, found %g", value);
    gap = 2;
    expect(score(self, &subnet, &value, &err) == NAS_OK, &err, "score() to succeed again");
    expect(fabs(value - 1 / (1 + exp(-2))) < 1e-6, &err,
           "%g where the logits are 2 apart, found %g", 1 / (1 + exp(-2)), value);
    destroy(self);
    destroy(NULL);
    return 0;
}
