/* What the tests of every loss share: an instance, a step's logits, and the properties that all
 * losses must have. A test program includes one plugin's .c file, then this. */
#ifndef TESTS_SSL_HARNESS_H
#define TESTS_SSL_HARNESS_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <math.h>
#include <nashost/ssl.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 5, LABELLED = 4, UNLABELLED = 6, POOL = 20, ROWS = LABELLED + 8 * UNLABELLED };

typedef struct step {
    const nas_plugin *plugin;
    const nas_ssl_api *api;
    const nas_state_api *state; /* NULL: stateless */
    const nas_mix_api *mix;     /* NULL: no mixing */
    double config[8];
    nas_host host;
    void *self;
    nas_ssl_plan plan;
    nas_ssl_batch batch;
    nas_ssl_result result;
    nas_error err;
    int32_t labels[LABELLED], pseudo[UNLABELLED];
    uint64_t indices[UNLABELLED];
    double priors[CLASSES];
    float labelled[LABELLED * CLASSES], labelled_grad[LABELLED * CLASSES], weights[UNLABELLED];
    float student[8][UNLABELLED * CLASSES], grad[8][UNLABELLED * CLASSES];
    float teacher[8][UNLABELLED * CLASSES];
    uint32_t partner[ROWS];
    float lambda[ROWS], targets[ROWS * CLASSES];
} step;

static inline uint64_t test_random(const nas_host *host, uint64_t stream, uint64_t counter) {
    (void)host;
    uint64_t z = (stream + 1) * 0x9e3779b97f4a7c15u + counter * 0xd1342543de82ef95u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Roughly normal times scale: a sum of twelve uniforms. */
static inline void fill(float *v, size_t n, double scale, uint64_t seed) {
    for (size_t i = 0; i < n; i++) {
        double sum = -6;
        for (uint64_t k = 0; k < 12; k++)
            sum += (double)(test_random(NULL, seed, i * 12 + k) >> 11) * 0x1p-53;
        v[i] = (float)(scale * sum);
    }
}

/* The options here are numbers and flags, a flag being 0 or 1. */
static inline void set_option(step *s, const char *name, double value) {
    bool flag = value != 0;
    for (const nas_option *o = s->plugin->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0) {
            bool is_flag = o->type == NAS_TYPE_BOOL;
            memcpy((char *)s->config + o->offset, is_flag ? (void *)&flag : (void *)&value,
                   is_flag ? sizeof flag : sizeof value);
            return;
        }
    fail_msg("no option %s", name);
}

/* Gives the batch the student's and teacher's rows that the plan asks for; teachers are surer. */
static inline void fill_batch(step *s, uint64_t seed) {
    fill(s->labelled, LABELLED * CLASSES, 1.5, seed);
    for (uint32_t v = 0; v < s->plan.n_views; v++) {
        fill(s->student[v], UNLABELLED * CLASSES, 1.5, seed + 10 + v);
        fill(s->teacher[v], UNLABELLED * CLASSES, 5, seed + 20 + v);
    }
    for (int i = 0; i < LABELLED; i++) s->labels[i] = i % CLASSES;
    for (uint64_t i = 0; i < UNLABELLED; i++) s->indices[i] = (7 * i + seed) % POOL;
    for (int c = 0; c < CLASSES; c++) s->priors[c] = (c + 1) / 15.0;
}

static inline void step_close(step *s) {
    if (s) s->plugin->destroy(s->self);
    free(s);
}

static inline void step_create(step *s) {
    s->plugin->destroy(s->self);
    s->self = NULL;
    assert_int_equal(s->plugin->create(&s->host, s->config, &s->self, &s->err), NAS_OK);
}

static inline step *step_open(uint64_t seed) {
    step *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->plugin = nas_plugin_entry();
    s->api = s->plugin->vtable;
    s->host = (nas_host){.size = sizeof s->host, .random = test_random};
    assert_true(s->plugin->config_size <= sizeof s->config);
    for (const nas_option *o = s->plugin->options; o && o->name; o++) {
        assert_true(o->type == NAS_TYPE_FLOAT || o->type == NAS_TYPE_BOOL);
        set_option(s, o->name, strcmp(o->fallback, "true") == 0 ? 1 : strtod(o->fallback, NULL));
    }
    step_create(s);
    if (s->plugin->extension) {
        s->state = s->plugin->extension(s->self, NAS_EXT_STATE);
        s->mix = s->plugin->extension(s->self, NAS_EXT_MIX);
    }
    s->plan.size = sizeof s->plan;
    assert_int_equal(s->api->plan(s->self, &s->plan, &s->err), NAS_OK);
    s->batch = (nas_ssl_batch){.size = sizeof s->batch,
                               .step = 99,
                               .steps = 100,
                               .classes = CLASSES,
                               .labelled = LABELLED,
                               .unlabelled = s->plan.n_views ? UNLABELLED : 0,
                               .labels = s->labels,
                               .labelled_logits = s->labelled,
                               .indices = s->indices,
                               .pool = POOL,
                               .class_priors = s->priors};
    for (uint32_t v = 0; v < s->plan.n_views; v++) {
        if (s->plan.views[v].student) s->batch.student[v] = s->student[v];
        if (s->plan.views[v].teacher) s->batch.teacher[v] = s->teacher[v];
    }
    fill_batch(s, seed);
    return s;
}

static inline uint32_t mix_rows(const step *s) {
    uint32_t views = 0;
    for (uint32_t v = 0; v < s->plan.n_views; v++) views += s->plan.views[v].student;
    return s->batch.labelled + views * s->batch.unlabelled;
}

/* The mixing of the step, where the loss has one. */
static inline int step_mix(step *s) {
    nas_ssl_batch batch = s->batch;
    nas_mix mix = {sizeof mix, mix_rows(s), s->partner, s->lambda, s->targets};
    batch.labelled_logits = NULL, batch.targets = NULL;
    memset(batch.student, 0, sizeof batch.student);
    s->batch.targets = s->targets;
    return s->mix->mix(s->self, &batch, &mix, &s->err);
}

/* Calls loss() as the host does and returns its code. */
static inline int step_loss(step *s) {
    s->result = (nas_ssl_result){.size = sizeof s->result,
                                 .labelled_grad = s->labelled_grad,
                                 .pseudo_labels = s->pseudo,
                                 .weights = s->weights};
    memset(s->labelled_grad, 0, sizeof s->labelled_grad);
    memset(s->grad, 0, sizeof s->grad);
    for (int i = 0; i < UNLABELLED; i++) s->pseudo[i] = -1, s->weights[i] = 0;
    for (uint32_t v = 0; v < s->plan.n_views; v++)
        if (s->plan.views[v].student) s->result.student_grad[v] = s->grad[v];
    return s->api->loss(s->self, &s->batch, &s->result, &s->err);
}

/* A whole step of one subnet; returns the loss. */
static inline double step_run(step *s) {
    if (s->mix) assert_int_equal(step_mix(s), NAS_OK);
    assert_int_equal(step_loss(s), NAS_OK);
    return s->result.loss;
}

static inline double largest(const float *v, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)v[i]));
    return most;
}

/* Central differences of the loss in each of logits [n] against grad, to a thousandth of the
 * largest; they divide by the distance of the two floats. No row of these seeds has its two largest
 * logits so near that the step changes its class, where FreeMatch's histogram jumps. */
static inline void check_gradient(step *s, float *logits, const float *grad, size_t n) {
    float *claimed = malloc((n ? n : 1) * sizeof *claimed);
    assert_non_null(claimed);
    memcpy(claimed, grad, n * sizeof *claimed);
    double tolerance = 1e-3 * largest(claimed, n) + 1e-9;
    for (size_t i = 0; i < n; i++) {
        float keep = logits[i], up = keep + 0x1p-10f, down = keep - 0x1p-10f;
        logits[i] = up;
        assert_int_equal(step_loss(s), NAS_OK);
        double high = s->result.loss;
        logits[i] = down;
        assert_int_equal(step_loss(s), NAS_OK);
        double slope = (high - s->result.loss) / ((double)up - (double)down);
        logits[i] = keep;
        if (fabs(slope - (double)claimed[i]) > tolerance)
            fail_msg("logit %zu: gradient %g, by differences %g", i, (double)claimed[i], slope);
    }
    free(claimed);
}

/* Subnet 1 is used, so that statistics stand still while differences are taken. */
static inline void test_gradients(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        step *s = step_open(seed);
        s->batch.label_smoothing = seed == 2 ? 0.1 : 0;
        s->batch.logit_adjustment = seed >= 4 ? 1 : 0;
        step_run(s);
        s->batch.subnet = 1;
        step_run(s);
        assert_true(largest(s->labelled_grad, LABELLED * CLASSES) > 0);
        check_gradient(s, s->labelled, s->labelled_grad, LABELLED * CLASSES);
        for (uint32_t v = 0; v < s->plan.n_views; v++) {
            if (!s->plan.views[v].student) continue;
            assert_int_equal(step_loss(s), NAS_OK);
            assert_true(largest(s->grad[v], UNLABELLED * CLASSES) > 0);
            check_gradient(s, s->student[v], s->grad[v], UNLABELLED * CLASSES);
        }
        step_close(s);
    }
}

/* A loss that is identically zero trains nothing and fails nothing else. */
static inline void test_unlabelled_term_counts(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        step *s = step_open(seed);
        double loss = step_run(s);
        assert_true(s->result.unlabelled_loss > 0);
        assert_true(loss > s->result.labelled_loss);
        for (uint32_t v = 0; v < s->plan.n_views; v++)
            if (s->plan.views[v].student)
                assert_true(largest(s->grad[v], UNLABELLED * CLASSES) > 1e-6);
        step_close(s);
    }
}

static inline void check_finite(const step *s) {
    assert_true(isfinite(s->result.loss));
    for (size_t i = 0; i < LABELLED * CLASSES; i++) assert_true(isfinite(s->labelled_grad[i]));
    for (uint32_t v = 0; v < s->plan.n_views; v++)
        for (size_t i = 0; i < UNLABELLED * CLASSES; i++) assert_true(isfinite(s->grad[v][i]));
    for (uint32_t i = 0; i < s->result.n_metrics; i++)
        assert_true(isfinite(s->result.metrics[i].value));
}

/* Logits of 1e4 either way, equal logits, and every pairing of the two. */
static inline void test_extreme_logits_stay_finite(void **state) {
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        step *s = step_open(3);
        for (int again = 0; again < 3; again++) {
            for (size_t i = 0; i < UNLABELLED * CLASSES; i++) {
                float huge = (i * 7 + (size_t)again) % 3 ? -1e4f : 1e4f;
                float same = kind & 4 ? 0 : 1e4f;
                for (int v = 0; v < 8; v++) {
                    s->student[v][i] = kind & 1 ? huge : same;
                    s->teacher[v][i] = kind & 2 ? huge : same;
                }
                if (i < LABELLED * CLASSES) s->labelled[i] = kind & 1 ? huge : same;
            }
            step_run(s);
            check_finite(s);
        }
        step_close(s);
    }
}

static inline void test_rows_may_be_none(void **state) {
    (void)state;
    step *s = step_open(4);
    uint32_t unlabelled = s->batch.unlabelled;
    s->batch.unlabelled = 0;
    step_run(s);
    check_finite(s);
    assert_true(s->result.unlabelled_loss == 0 && s->result.labelled_loss > 0);
    s->batch.unlabelled = unlabelled, s->batch.labelled = 0;
    step_run(s);
    check_finite(s);
    assert_true(s->result.labelled_loss == 0);
    s->batch.unlabelled = unlabelled ? 1 : 0;
    step_run(s);
    check_finite(s);
    step_close(s);
}

static inline void test_bad_input_is_an_error(void **state) {
    (void)state;
    static const int32_t bad[] = {-1, CLASSES, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        step *s = step_open(5);
        s->labels[2] = bad[i];
        int rc = s->mix ? step_mix(s) : step_loss(s);
        assert_int_equal(rc, NAS_ERR_INPUT);
        assert_non_null(strstr(s->err.message, "row 2"));
        step_close(s);
    }
    step *s = step_open(5);
    s->labelled[3] = NAN;
    if (s->mix) assert_int_equal(step_mix(s), NAS_OK);
    assert_int_equal(step_loss(s), NAS_ERR_NUMERIC);
    step_close(s);
}

/* The defaults lie in their ranges, and the loss is finite at both ends of each. */
static inline void test_options(void **state) {
    (void)state;
    const nas_plugin *p = nas_plugin_entry();
    for (const nas_option *o = p->options; o && o->name; o++) {
        bool flag = o->type == NAS_TYPE_BOOL;
        double fallback = strtod(o->fallback, NULL);
        if (!flag) assert_true(o->min < o->max && o->min <= fallback && fallback <= o->max);
        assert_true(o->offset + (flag ? sizeof(bool) : sizeof(double)) <= p->config_size);
        assert_true(strlen(o->help) > 10);
        for (int end = 0; end < 2; end++) {
            step *s = step_open(6);
            set_option(s, o->name, flag ? end : end ? o->max : o->min);
            step_create(s);
            for (int again = 0; again < 3; again++) {
                fill_batch(s, 6 + (uint64_t)again);
                step_run(s);
                check_finite(s);
            }
            step_close(s);
        }
    }
}

/* Makes row i of logits [..][CLASSES] give class label the probability p, the rest alike. */
static inline void set_row(float *logits, int i, int label, double p) {
    for (int c = 0; c < CLASSES; c++)
        logits[i * CLASSES + c] = (float)log(c == label ? p : (1 - p) / (CLASSES - 1));
}

/* Equal logits everywhere: each row's cross-entropy with any class is log CLASSES. */
static inline void level(float *logits) {
    memset(logits, 0, UNLABELLED * CLASSES * sizeof *logits);
}

#define assert_near(a, b, tolerance) assert_true(fabs((double)(a) - (double)(b)) <= (tolerance))

static inline void test_descriptor(void **state) {
    (void)state;
    const nas_plugin *p = nas_plugin_entry();
    assert_int_equal(p->magic, NAS_MAGIC);
    assert_int_equal(p->size, sizeof *p);
    assert_int_equal(p->kind, NAS_KIND_SSL);
    assert_int_equal(p->option_size, sizeof(nas_option));
    assert_int_equal(((const nas_ssl_api *)p->vtable)->size, sizeof(nas_ssl_api));
    assert_true(p->id && p->version && p->summary && p->license && p->source);
    p->destroy(NULL);
}

#define SSL_TESTS                                                                                  \
    cmocka_unit_test(test_gradients), cmocka_unit_test(test_extreme_logits_stay_finite),           \
        cmocka_unit_test(test_rows_may_be_none), cmocka_unit_test(test_bad_input_is_an_error),     \
        cmocka_unit_test(test_options), cmocka_unit_test(test_descriptor)

#endif
