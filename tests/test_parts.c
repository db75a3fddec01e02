/* How fast each part of a network learns. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"
#include "stages/parts.h"

typedef struct fixture {
    nas_supernet *supernet; /* stem, three stages, head, hidden0, classifier */
    nas_span *spans;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    nas_space space = small_space("9");
    assert_int_equal(nas_supernet_create(&space, 1, false, &f->supernet, NULL), NAS_OK);
    f->spans = calloc(f->supernet->n_parameters, sizeof *f->spans);
    assert_non_null(f->spans);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    nas_supernet_destroy(f->supernet);
    free(f->spans);
    free(f);
    return 0;
}

/* What the pipeline's defaults are, with a weight decay to know again. */
static nas_train_config config_of(void) {
    return (nas_train_config){.lr_classifier = 1, .lr_decay_by_depth = 1, .weight_decay = 0.25};
}

static nas_span span_of(const fixture *f, const char *name) {
    const nas_parameter *p = nas_supernet_find(f->supernet, name);
    assert_non_null(p);
    nas_span span = f->spans[p - f->supernet->parameters];
    assert_int_equal(span.offset, p->offset);
    assert_int_equal(span.count, p->count);
    return span;
}

static void check_rate(const fixture *f, const char *name, double expected) {
    double found = span_of(f, name).rate;
    if (fabs(found - expected) > 1e-12) fail_msg("%s: rate %g, not %g", name, found, expected);
}

static void test_all_alike(void **state) {
    const fixture *f = *state;
    nas_train_config config = config_of();
    nas_parts_spans(f->supernet, &config, 0, f->spans);
    for (uint32_t i = 0; i < f->supernet->n_parameters; i++) {
        assert_true(f->spans[i].rate == 1 && !f->spans[i].anchored);
        assert_true(f->spans[i].decay == (f->supernet->parameters[i].decay ? 0.25 : 0));
    }
}

static void test_rates(void **state) {
    const fixture *f = *state;
    nas_train_config config = config_of();
    config.lr_classifier = 10;
    config.lr_decay_by_depth = 0.5;
    nas_parts_spans(f->supernet, &config, 0, f->spans);
    check_rate(f, "classifier.weight", 10);
    check_rate(f, "classifier.bias", 10);
    check_rate(f, "hidden0.weight", 1);
    check_rate(f, "head.conv", 1);
    check_rate(f, "stage2.block0.project.bn.gamma", 0.5);
    check_rate(f, "stage1.block2.depthwise.conv", 0.25);
    check_rate(f, "stage0.block1.project.conv", 0.125);
    check_rate(f, "stem.conv", 0.0625);
}

static void test_frozen(void **state) {
    const fixture *f = *state;
    nas_train_config config = config_of();
    config.freeze_trunk_steps = 3;
    for (uint64_t step = 2; step <= 3; step++) {
        nas_parts_spans(f->supernet, &config, step, f->spans);
        check_rate(f, "classifier.bias", 1);
        check_rate(f, "hidden0.weight", 1);
        check_rate(f, "head.conv", step == 3);
        check_rate(f, "stage0.block0.depthwise.bn.beta", step == 3);
        check_rate(f, "stem.conv", step == 3);
    }
    config.freeze_batch_norm = true;
    nas_parts_spans(f->supernet, &config, 3, f->spans);
    check_rate(f, "stem.conv", 1);
    check_rate(f, "stem.bn.gamma", 0);
    check_rate(f, "stage2.block0.project.bn.beta", 0);
    check_rate(f, "stage2.block0.se.reduce.bias", 1);
}

/* Towards the initial weights all but the classifier, which may be new. */
static void test_anchor(void **state) {
    const fixture *f = *state;
    nas_train_config config = config_of();
    config.anchor = 0.125;
    nas_parts_spans(f->supernet, &config, 0, f->spans);
    nas_span stem = span_of(f, "stem.conv"), hidden = span_of(f, "hidden0.weight");
    nas_span classifier = span_of(f, "classifier.weight"), gamma = span_of(f, "stem.bn.gamma");
    assert_true(stem.anchored && stem.decay == 0.125);
    assert_true(hidden.anchored && hidden.decay == 0.125);
    assert_true(!classifier.anchored && classifier.decay == 0.25);
    assert_true(!gamma.anchored && gamma.decay == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frozen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anchor, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
