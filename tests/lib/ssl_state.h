/* What the tests of every loss with a state share. */
#ifndef TESTS_SSL_STATE_H
#define TESTS_SSL_STATE_H

#include "ssl_harness.h"

/* How the tests below open a step: a loss whose defaults have no state says another way before. */
#ifndef STATE_OPEN
#define STATE_OPEN step_open
#endif

static inline char *saved(step *s, size_t *bytes) {
    *bytes = s->state->bytes(s->self);
    char *buffer = malloc(*bytes);
    assert_non_null(buffer);
    assert_int_equal(s->state->save(s->self, buffer, &s->err), NAS_OK);
    return buffer;
}

static inline void run_steps(step *s, uint64_t from, uint64_t to) {
    for (uint64_t t = from; t < to; t++) {
        s->batch.step = t;
        fill_batch(s, t + 1);
        step_run(s);
    }
}

/* An instance that was saved and loaded goes on to the last bit as the one that never stopped. */
static inline void test_state_round_trip(void **state) {
    (void)state;
    step *whole = STATE_OPEN(1), *resumed = STATE_OPEN(1);
    run_steps(whole, 0, 7);
    size_t bytes;
    char *buffer = saved(whole, &bytes);
    run_steps(resumed, 40, 42); /* load must replace what is there */
    assert_int_equal(resumed->state->load(resumed->self, buffer, bytes, &resumed->err), NAS_OK);
    for (uint64_t t = 7; t < 12; t++) {
        run_steps(whole, t, t + 1);
        run_steps(resumed, t, t + 1);
        assert_true(whole->result.loss == resumed->result.loss);
        assert_memory_equal(whole->grad, resumed->grad, sizeof whole->grad);
        assert_memory_equal(whole->weights, resumed->weights, sizeof whole->weights);
    }
    free(buffer);
    step_close(whole);
    step_close(resumed);
}

/* Saved before the first step: loads into a fresh start. */
static inline void test_state_of_a_fresh_instance(void **state) {
    (void)state;
    step *used = STATE_OPEN(1), *fresh = STATE_OPEN(1);
    size_t bytes;
    char *buffer = saved(fresh, &bytes);
    run_steps(used, 0, 3);
    assert_int_equal(used->state->load(used->self, buffer, bytes, &used->err), NAS_OK);
    run_steps(used, 0, 1);
    run_steps(fresh, 0, 1);
    assert_true(used->result.loss == fresh->result.loss);
    free(buffer);
    step_close(used);
    step_close(fresh);
}

/* A step's later subnets leave the state alone, whatever their logits. */
static inline void test_state_changes_once_a_step(void **state) {
    (void)state;
    step *s = STATE_OPEN(1);
    run_steps(s, 0, 2);
    size_t before_bytes, bytes;
    char *before = saved(s, &before_bytes);
    s->batch.subnet = 1;
    run_steps(s, 2, 4);
    char *after = saved(s, &bytes);
    assert_int_equal(before_bytes, bytes);
    assert_memory_equal(before, after, bytes);
    free(after);
    s->batch.subnet = 0;
    run_steps(s, 4, 5);
    after = saved(s, &bytes);
    assert_int_equal(before_bytes, bytes);
    assert_memory_not_equal(before, after, bytes);
    free(before), free(after);
    step_close(s);
}

static inline void refused(step *s, const char *buffer, size_t bytes, const char *word) {
    assert_int_equal(s->state->load(s->self, buffer, bytes, &s->err), NAS_ERR_INPUT);
    assert_non_null(strstr(s->err.message, s->plugin->id));
    assert_non_null(strstr(s->err.message, word));
}

/* Cut at every length, longer, of another plugin or version, or with lengths that lie. */
static inline void test_state_refuses_damage(void **state) {
    (void)state;
    step *s = STATE_OPEN(1);
    run_steps(s, 0, 2);
    size_t bytes;
    char *buffer = saved(s, &bytes);
    char *bad = calloc(1, bytes + 1);
    assert_non_null(bad);
    memcpy(bad, buffer, bytes);
    for (size_t n = 0; n < bytes; n++) {
        char *cut = malloc(n ? n : 1); /* its own block, so that a sanitizer sees a read beyond */
        assert_non_null(cut);
        memcpy(cut, buffer, n);
        refused(s, cut, n, "expected");
        free(cut);
    }
    refused(s, bad, bytes + 1, "expected");
    static const struct {
        size_t offset;
        const char *word;
    } spots[] = {{0, "found one of"}, {32, "version"}, {40, ""},
                 {46, "damaged"},     {48, ""},        {54, "damaged"}};
    for (size_t i = 0; i < sizeof spots / sizeof *spots; i++) {
        bad[spots[i].offset] ^= 1;
        refused(s, bad, bytes, spots[i].word);
        bad[spots[i].offset] ^= 1;
    }
    assert_int_equal(s->state->load(s->self, bad, bytes, &s->err), NAS_OK);
    free(buffer), free(bad);
    step_close(s);
}

/* No classes are a fresh start, and a fresh start has nothing else. */
static inline void test_state_of_no_classes(void **state) {
    (void)state;
    step *s = STATE_OPEN(1);
    size_t bytes;
    char *buffer = saved(s, &bytes);
    assert_int_equal(bytes, sizeof(nas_state_header));
    buffer[offsetof(nas_state_header, lengths[1])] = 1;
    refused(s, buffer, bytes, "expected no second length, found 1");
    free(buffer);
    step_close(s);
}

/* A state of a run with other classes is refused at the next step. */
static inline void test_state_of_other_classes(void **state) {
    (void)state;
    step *s = STATE_OPEN(1);
    run_steps(s, 0, 2);
    s->batch.classes = CLASSES - 1;
    for (int i = 0; i < LABELLED; i++) s->labels[i] = 0;
    assert_int_equal(step_loss(s), NAS_ERR_INPUT);
    assert_non_null(strstr(s->err.message, "5 classes"));
    step_close(s);
}

#define STATE_TESTS                                                                                \
    cmocka_unit_test(test_state_of_no_classes), cmocka_unit_test(test_state_round_trip),           \
        cmocka_unit_test(test_state_of_a_fresh_instance),                                          \
        cmocka_unit_test(test_state_changes_once_a_step),                                          \
        cmocka_unit_test(test_state_refuses_damage), cmocka_unit_test(test_state_of_other_classes)

#endif
