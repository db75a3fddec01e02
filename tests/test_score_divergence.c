/* The score plugin `divergence`, against sums written out in double precision. */
#include "../plugins/score/divergence.c"

#include <setjmp.h>

#include <cmocka.h>

enum { IMAGES = 3, CLASSES = 3, LOOKS = 16 };

/* A subnet answers look l (plain, then augmented by draw) with logits[l]. */
typedef struct answers {
    float logits[3][IMAGES][CLASSES];
    nas_look seen[LOOKS];
    uint32_t n_seen;
    int rc;
} answers;

static int answer(const nas_subnet *subnet, const nas_look *look, float *logits, int32_t *labels,
                  nas_error *err) {
    answers *a = subnet->impl;
    assert_null(labels);
    if (a->rc) return nas_fail(err, a->rc, "no images");
    assert_int_equal(look->size, sizeof *look);
    assert_int_equal(look->images, NAS_LOOK_HELDOUT);
    assert_true(a->n_seen < LOOKS);
    a->seen[a->n_seen++] = *look;
    size_t l = look->augment == NAS_LOOK_PLAIN ? 0 : 1 + look->draw;
    memcpy(logits, a->logits[l], sizeof a->logits[l]);
    return NAS_OK;
}

static nas_subnet subnet_of(answers *a) {
    return (nas_subnet){.size = sizeof(nas_subnet),
                        .classes = CLASSES,
                        .impl = a,
                        .heldout = IMAGES,
                        .look = answer};
}

static answers teacher(void) {
    return (answers){.logits = {{{1, 2, 3}, {5, 1, 1}, {-3, -1, -2}},
                                {{0, 2, 3}, {4, 2, 1}, {-3, -2, -2}},
                                {{9, 9, 9}, {9, 9, 9}, {9, 9, 9}}}};
}

static answers student(void) {
    return (answers){.logits = {{{1, 0, 0}, {2, 1, 0}, {0, 0.5f, 0}},
                                {{0, 0, 1}, {1, 1, 1}, {0, 2, 0}},
                                {{3, 1, 1}, {0, 0, 0}, {1, 0, -1}}}};
}

static const divergence_config plain = {1, 1, 1, 0};

static void *open_score(const divergence_config *config, answers *largest) {
    void *self = NULL;
    nas_error err = {0};
    assert_int_equal(nas_plugin_entry()->create(NULL, config, &self, &err), NAS_OK);
    nas_subnet subnet = subnet_of(largest);
    if (api.start(self, &subnet, &err)) fail_msg("%s", err.message);
    return self;
}

static double score_of(const divergence_config *config, answers *largest, answers *given) {
    void *self = open_score(config, largest);
    nas_subnet subnet = subnet_of(given);
    nas_error err = {0};
    double value = -1;
    if (api.score(self, &subnet, &value, &err)) fail_msg("%s", err.message);
    nas_plugin_entry()->destroy(self);
    return value;
}

/* softmax of a row over a temperature. */
static void softmax(const float *row, double temperature, double *p) {
    double sum = 0;
    for (size_t c = 0; c < CLASSES; c++) sum += p[c] = exp((double)row[c] / temperature);
    for (size_t c = 0; c < CLASSES; c++) p[c] /= sum;
}

/* The formula, term by term. */
static double expected(const divergence_config *config, const answers *largest,
                       const answers *given) {
    double sum = 0;
    for (size_t i = 0; i < IMAGES; i++) {
        double target[CLASSES] = {0}, p[CLASSES];
        for (int64_t v = 0; v < config->teacher_views; v++) {
            softmax(largest->logits[v][i], config->temperature, p);
            for (size_t c = 0; c < CLASSES; c++) target[c] += p[c] / (double)config->teacher_views;
        }
        for (int64_t v = 0; v < config->views; v++) {
            softmax(given->logits[v][i], config->temperature, p);
            for (size_t c = 0; c < CLASSES; c++) sum += target[c] * log(target[c] / p[c]);
        }
    }
    return -sum / IMAGES / (double)config->views;
}

static void test_formula(void **state) {
    (void)state;
    static const divergence_config cases[] = {
        {1, 1, 1, 0}, {2, 1, 1, 0}, {0.5, 1, 1, 0}, {1, 3, 1, 0}, {1, 1, 2, 0}, {3, 2, 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        answers largest = teacher(), given = student();
        double found = score_of(&cases[i], &largest, &given);
        assert_true(fabs(found - expected(&cases[i], &largest, &given)) < 1e-6);
        assert_true(found < -0.01);
    }
}

/* By hand: log(2 / 1) and log(1 / 2) in halves, against an even target. */
static void test_by_hand(void **state) {
    (void)state;
    answers largest = {0}, given = {0}; /* every class as likely */
    for (size_t i = 0; i < IMAGES; i++) given.logits[0][i][0] = (float)log(2);
    /* p = 1/2, 1/4, 1/4: KL = (log(2/3) + 2 log(4/3)) / 3 */
    double by_hand = -(log(2.0 / 3) + 2 * log(4.0 / 3)) / 3;
    assert_true(fabs(score_of(&plain, &largest, &given) - by_hand) < 1e-6);
}

/* The largest subnet itself is the best there is; the logits' common height says nothing. */
static void test_best(void **state) {
    (void)state;
    answers largest = teacher(), same = teacher(), other = student();
    for (size_t i = 0; i < IMAGES; i++)
        for (size_t c = 0; c < CLASSES; c++) same.logits[0][i][c] += 100;
    double best = score_of(&plain, &largest, &same);
    assert_true(fabs(best) < 1e-5);
    assert_true(score_of(&plain, &largest, &other) < best - 0.1);
}

/* The teacher's views are weak; the subnet's first one is plain, the others are as asked for, and
 * each has its own draw. */
static void test_looks(void **state) {
    (void)state;
    const divergence_config config = {1, 3, 2, 1};
    answers largest = teacher(), given = student();
    score_of(&config, &largest, &given);
    assert_int_equal(largest.n_seen, 2);
    assert_int_equal(largest.seen[0].augment, NAS_LOOK_PLAIN);
    assert_int_equal(largest.seen[1].augment, NAS_LOOK_WEAK);
    assert_int_equal(given.n_seen, 3);
    assert_int_equal(given.seen[0].augment, NAS_LOOK_PLAIN);
    for (uint32_t v = 1; v < 3; v++) {
        assert_int_equal(given.seen[v].augment, NAS_LOOK_STRONG);
        assert_int_equal(given.seen[v].draw, v - 1);
    }
}

static void test_errors(void **state) {
    (void)state;
    answers largest = teacher(), bad = student();
    void *self = open_score(&plain, &largest);
    nas_error err = {0};
    double value;
    bad.logits[0][2][1] = NAN;
    nas_subnet subnet = subnet_of(&bad);
    assert_int_equal(api.score(self, &subnet, &value, &err), NAS_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "found nan for held-out image 2"));
    subnet = subnet_of(&largest);
    subnet.heldout = IMAGES - 1;
    assert_int_equal(api.score(self, &subnet, &value, &err), NAS_ERR_PLUGIN);
    bad.rc = NAS_ERR_IO;
    subnet = subnet_of(&bad);
    assert_int_equal(api.score(self, &subnet, &value, &err), NAS_ERR_IO);
    assert_int_equal(api.start(self, &subnet, &err), NAS_ERR_IO);
    subnet.look = NULL; /* an older host */
    assert_int_equal(api.start(self, &subnet, &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "newer nashost"));
    subnet.heldout = 0;
    assert_int_equal(api.start(self, &subnet, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "found none"));
    nas_plugin_entry()->destroy(self);
    nas_plugin_entry()->destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula), cmocka_unit_test(test_by_hand), cmocka_unit_test(test_best),
        cmocka_unit_test(test_looks),   cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
