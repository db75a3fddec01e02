/* A subnet that cannot tell two classes apart is half sure; one that can is surer. */
#include "@ID@.c"

#include <assert.h>
#include <math.h>

static float gap; /* between the two logits */

static int logits_of(const nas_subnet *subnet, float *logits, nas_error *err) {
    (void)err;
    for (uint64_t i = 0; i < subnet->heldout; i++) {
        logits[2 * i] = 0;
        logits[2 * i + 1] = gap;
    }
    return NAS_OK;
}

int main(void) {
    const config given = {.temperature = 1};
    const nas_subnet subnet = {
        .size = sizeof subnet, .classes = 2, .heldout = 5, .heldout_logits = logits_of};
    double value;
    void *self = NULL;
    nas_error err = {0};
    assert(create(NULL, &given, &self, &err) == NAS_OK);
    assert(start(self, &subnet, &err) == NAS_OK);
    assert(score(self, &subnet, &value, &err) == NAS_OK && fabs(value - 0.5) < 1e-9);
    gap = 2;
    assert(score(self, &subnet, &value, &err) == NAS_OK && fabs(value - 1 / (1 + exp(-2))) < 1e-6);
    destroy(self);
    destroy(NULL);
    return 0;
}
