/* Training batches: which images, in which order, with which augmentation. */
#include "data/loader.h"
#include "fake_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define AREA 30 /* of fake images, 6 x 5 */
#define N_TRAIN 90
#define N_EXTRA 13

/* A data set with a split of it: 20 labelled, 10 for validation, 15 held out. */
typedef struct setting {
    fake_data data;
    nas_source source;
    nas_split_sets split;
} setting;

static int setup(void **state) {
    setting *s = calloc(1, sizeof *s);
    *state = s;
    if (!s) return -1;
    s->data = fake_make(N_TRAIN, N_EXTRA, 1);
    if (nas_source_open(&fake_api, &s->data, &s->source, NULL)) return -1;
    const nas_split_request request = {.labels = s->source.train.labels,
                                       .n_train = N_TRAIN,
                                       .n_extra = N_EXTRA,
                                       .classes = 5,
                                       .labelled = 20,
                                       .validation = 10,
                                       .heldout = 15,
                                       .heldout_from = NAS_HELDOUT_TRAIN,
                                       .seed = 3};
    return nas_split_draw(&request, &s->split, NULL);
}

static int teardown(void **state) {
    setting *s = *state;
    nas_split_free(&s->split);
    nas_source_close(&s->source);
    free(s);
    return 0;
}

static const nas_loader_config plain = {
    .seed = 11, .batch = 8, .unlabelled = 7, .n_views = 1, .view = {NAS_AUGMENT_WEAK}};

static const nas_loader_config rich = {
    .seed = 11,
    .batch = 8,
    .unlabelled = 7,
    .n_views = 3,
    .view = {NAS_AUGMENT_WEAK, NAS_AUGMENT_STRONG, NAS_AUGMENT_WEAK},
    .augment = {.flip = true, .crop = 0.3, .strong_ops = 2, .strong_magnitude = 1, .cutout = 0.5}};

static nas_loader *open_loader(const setting *s, const nas_loader_config *config, uint64_t step) {
    nas_loader *loader;
    nas_error err = {0};
    if (nas_loader_open(&s->source, &s->split, config, step, &loader, &err))
        fail_msg("%s", err.message);
    return loader;
}

static const nas_batch *next(nas_loader *loader) {
    const nas_batch *batch;
    assert_int_equal(nas_loader_next(loader, &batch, NULL), NAS_OK);
    return batch;
}

static void assert_same(const nas_batch *a, const nas_batch *b) {
    assert_int_equal(a->step, b->step);
    size_t labelled = a->labelled * AREA * sizeof(float);
    size_t unlabelled = a->unlabelled * AREA * sizeof(float);
    assert_memory_equal(a->labelled_images, b->labelled_images, labelled);
    assert_memory_equal(a->labels, b->labels, a->labelled * sizeof *a->labels);
    assert_memory_equal(a->indices, b->indices, a->unlabelled * sizeof *a->indices);
    assert_memory_equal(a->hidden_labels, b->hidden_labels,
                        a->unlabelled * sizeof *a->hidden_labels);
    for (uint32_t v = 0; v < a->n_views; v++)
        assert_memory_equal(a->views[v], b->views[v], unlabelled);
}

/* A resumed run sees what the uninterrupted one would have seen. */
static void test_a_batch_depends_on_seed_and_step_alone(void **state) {
    const setting *s = *state;
    static const uint64_t starts[] = {0, 1, 9, 40};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        nas_loader *whole = open_loader(s, &rich, 0), *late = open_loader(s, &rich, starts[i]);
        for (uint64_t step = 0; step < 44; step++) {
            const nas_batch *a = next(whole);
            assert_int_equal(a->step, step);
            if (step >= starts[i]) assert_same(a, next(late));
        }
        nas_loader_close(whole);
        nas_loader_close(late);
    }
}

/* Images that are not needed are not made; the others, and what is told of all, are as they were.
 */
static void test_only_needed_images_are_made(void **state) {
    const setting *s = *state;
    bool needed[8 + 3 * 7];
    static const float none[AREA];
    nas_loader_config some = rich;
    for (uint32_t i = 0; i < sizeof needed; i++) needed[i] = i % 3 == 1;
    some.needed = needed;
    nas_loader *whole = open_loader(s, &rich, 5), *part = open_loader(s, &some, 5);
    const nas_batch *a = next(whole), *b = next(part);
    assert_memory_equal(a->labels, b->labels, 8 * sizeof *a->labels);
    assert_memory_equal(a->indices, b->indices, 7 * sizeof *a->indices);
    for (uint32_t i = 0; i < sizeof needed; i++) {
        uint32_t v = i < 8 ? 0 : (i - 8) / 7, at = i < 8 ? i : (i - 8) % 7;
        const float *want = (i < 8 ? a->labelled_images : a->views[v]) + at * AREA;
        const float *got = (i < 8 ? b->labelled_images : b->views[v]) + at * AREA;
        assert_memory_equal(got, needed[i] ? want : none, sizeof none);
    }
    nas_loader_close(whole);
    nas_loader_close(part);
}

static void test_seeds_differ(void **state) {
    const setting *s = *state;
    nas_loader_config other = plain;
    other.seed++;
    nas_loader *a = open_loader(s, &plain, 0), *b = open_loader(s, &other, 0);
    assert_memory_not_equal(next(a)->indices, next(b)->indices, 7 * sizeof(uint64_t));
    nas_loader_close(a);
    nas_loader_close(b);
}

/* Without augmentation the first value of an image tells which one it is. */
static uint64_t which(const setting *s, const float *image) {
    double value = (image[0] * s->source.std[0] + s->source.mean[0]) * 255;
    return (uint64_t)(value + 0.5);
}

/* 20 labelled images in batches of 8, or of 50: passes begin inside batches. */
static void test_labelled_images_come_once_a_pass(void **state) {
    const setting *s = *state;
    for (uint32_t size = 8; size <= 50; size += 42) {
        nas_loader_config config = plain;
        config.batch = size;
        nas_loader *loader = open_loader(s, &config, 0);
        unsigned seen[N_TRAIN] = {0};
        uint64_t first[20], second[20];
        for (uint64_t drawn = 0, batches = 0; batches < 15; batches++) {
            const nas_batch *batch = next(loader);
            assert_int_equal(batch->labelled, size);
            for (uint32_t i = 0; i < size; i++, drawn++) {
                uint64_t at = which(s, batch->labelled_images + i * AREA);
                assert_true(at < N_TRAIN);
                assert_int_equal(batch->labels[i], s->source.train.labels[at]);
                assert_int_equal(seen[at]++, drawn / 20);
                if (drawn < 20)
                    first[drawn] = at;
                else if (drawn < 40)
                    second[drawn - 20] = at;
            }
        }
        assert_memory_not_equal(first, second, sizeof first); /* each pass has its own order */
        for (uint64_t i = 0, k = 0; i < N_TRAIN; i++) {
            bool labelled = k < 20 && s->split.labelled[k] == i;
            k += labelled;
            assert_true((seen[i] > 0) == labelled);
        }
        nas_loader_close(loader);
    }
}

static bool has(const uint64_t *list, uint64_t n, uint64_t value) {
    for (uint64_t i = 0; i < n; i++)
        if (list[i] == value) return true;
    return false;
}

/* The pool is what is in neither validation nor heldout, then the extra images. */
static void test_the_pool_comes_once_a_pass(void **state) {
    const setting *s = *state;
    nas_loader *loader = open_loader(s, &plain, 0);
    const uint64_t pool = N_TRAIN - 10 - 15 + N_EXTRA;
    assert_int_equal(nas_loader_pool(loader), pool);
    uint64_t image[N_TRAIN + N_EXTRA], n = 0;
    for (uint64_t i = 0; i < N_TRAIN; i++)
        if (!has(s->split.validation, 10, i) && !has(s->split.heldout, 15, i)) image[n++] = i;
    assert_int_equal(n + N_EXTRA, pool);
    unsigned seen[N_TRAIN + N_EXTRA] = {0};
    for (uint64_t drawn = 0, batches = 0; batches < 60; batches++) {
        const nas_batch *batch = next(loader);
        for (uint32_t i = 0; i < 7; i++, drawn++) {
            uint64_t at = batch->indices[i];
            assert_true(at < pool);
            assert_int_equal(seen[at]++, drawn / pool);
            bool extra = at >= n;
            assert_int_equal(which(s, batch->views[0] + i * AREA),
                             extra ? fake_pixel(NAS_SPLIT_EXTRA, at - n, 0) : image[at]);
            bool known = extra || has(s->split.labelled, 20, image[at]);
            assert_int_equal(batch->hidden_labels[i],
                             known ? -1 : s->source.train.labels[image[at]]);
        }
    }
    assert_int_equal(nas_loader_judged(loader), n - 20); /* labels that the training does not see */
    nas_loader_close(loader);
}

/* Held-out images of the unlabelled ones are in no batch either. */
static void test_the_pool_lacks_unlabelled_ones_held_out(void **state) {
    const setting *s = *state;
    const nas_split_request request = {.labels = s->source.train.labels,
                                       .n_train = N_TRAIN,
                                       .n_extra = N_EXTRA,
                                       .classes = 5,
                                       .labelled = NAS_SPLIT_ALL,
                                       .heldout = 6,
                                       .seed = 3};
    setting other = *s;
    assert_int_equal(nas_split_draw(&request, &other.split, NULL), NAS_OK);
    nas_loader *loader = open_loader(&other, &plain, 0);
    assert_int_equal(nas_loader_pool(loader), N_TRAIN + N_EXTRA - 6);
    assert_int_equal(nas_loader_judged(loader), 0);
    unsigned extra = 0;
    for (uint64_t drawn = 0; drawn < N_TRAIN + N_EXTRA - 6; drawn += 7) {
        const nas_batch *batch = next(loader);
        for (uint32_t i = 0; i < 7; i++) {
            if (batch->indices[i] < N_TRAIN) continue;
            uint64_t at = 0;
            while (fake_pixel(NAS_SPLIT_EXTRA, at, 0) != which(s, batch->views[0] + i * AREA)) at++;
            assert_true(at < N_EXTRA && !has(other.split.heldout, 6, at));
            extra++;
        }
    }
    assert_in_range(extra, N_EXTRA - 6, 2 * (N_EXTRA - 6));
    nas_loader_close(loader);
    nas_split_free(&other.split);
}

static bool differ(const float *a, const float *b) {
    for (int i = 0; i < AREA; i++)
        if (a[i] != b[i]) return true;
    return false;
}

/* Each copy of an image is augmented on its own: two weak views of it differ more often than not,
 * and so do the same image's weak views in two passes. */
static void test_views_are_drawn_apart(void **state) {
    const setting *s = *state;
    nas_loader *loader = open_loader(s, &rich, 0);
    unsigned weak_differ = 0, strong_differ = 0, n = 0;
    for (int batches = 0; batches < 40; batches++) {
        const nas_batch *batch = next(loader);
        for (size_t i = 0; i < 7; i++, n++) {
            const float *a = batch->views[0] + i * AREA, *b = batch->views[2] + i * AREA;
            weak_differ += differ(a, b);
            strong_differ += differ(a, batch->views[1] + i * AREA);
        }
    }
    assert_true(weak_differ > n * 8 / 10); /* 18 places: 17 of 18 pairs differ */
    assert_true(strong_differ > n * 9 / 10);
    nas_loader_close(loader);
}

/* One labelled image fills every place of a batch; the next step augments it anew. */
static void test_steps_are_drawn_apart(void **state) {
    const setting *s = *state;
    nas_split_sets one = s->split;
    one.n_labelled = 1;
    nas_loader *loader;
    assert_int_equal(nas_loader_open(&s->source, &one, &rich, 0, &loader, NULL), NAS_OK);
    float before[8 * AREA];
    memcpy(before, next(loader)->labelled_images, sizeof before);
    const nas_batch *batch = next(loader);
    int changed = 0;
    for (size_t i = 0; i < 8; i++)
        changed += differ(before + i * AREA, batch->labelled_images + i * AREA);
    assert_true(changed >= 5);
    nas_loader_close(loader);
}

/* The weak view is the same whether or not other views are asked for. */
static void test_views_do_not_disturb_each_other(void **state) {
    const setting *s = *state;
    nas_loader_config fewer = rich;
    fewer.n_views = 1;
    nas_loader *a = open_loader(s, &rich, 0), *b = open_loader(s, &fewer, 0);
    const nas_batch *x = next(a), *y = next(b);
    assert_memory_equal(x->views[0], y->views[0], 7 * AREA * sizeof(float));
    assert_memory_equal(x->labelled_images, y->labelled_images, 8 * AREA * sizeof(float));
    nas_loader_close(a);
    nas_loader_close(b);
}

/* The batch in hand is left alone while the next is being made. */
static void test_a_batch_is_valid_until_the_next(void **state) {
    const setting *s = *state;
    nas_loader *loader = open_loader(s, &rich, 0), *other = open_loader(s, &rich, 0);
    for (int i = 0; i < 20; i++) {
        const nas_batch *batch = next(loader);
        float before[8 * AREA];
        memcpy(before, batch->labelled_images, sizeof before);
        for (int k = 0; k < 5; k++) next(other); /* time passes */
        assert_memory_equal(before, batch->labelled_images, sizeof before);
    }
    nas_loader_close(loader);
    nas_loader_close(other);
}

static void test_closing_early_does_not_hang(void **state) {
    const setting *s = *state;
    for (int i = 0; i < 60; i++) {
        nas_loader *loader = open_loader(s, &rich, (uint64_t)i);
        for (int k = 0; k < i % 4; k++) next(loader);
        nas_loader_close(loader);
    }
    nas_loader_close(NULL);
}

static void test_labelled_alone(void **state) {
    const setting *s = *state;
    nas_loader_config config = {.seed = 1, .batch = 4};
    nas_loader *loader = open_loader(s, &config, 0);
    for (int i = 0; i < 5; i++) assert_int_equal(next(loader)->unlabelled, 0);
    nas_loader_close(loader);
}

static void assert_refused(const nas_source *source, const nas_split_sets *split,
                           const nas_loader_config *config, const char *says) {
    nas_loader *loader;
    nas_error err = {0};
    assert_int_equal(nas_loader_open(source, split, config, 0, &loader, &err), NAS_ERR_INPUT);
    if (!strstr(err.message, says)) fail_msg("expected \"%s\", found: %s", says, err.message);
    assert_null(loader);
}

static void test_what_cannot_be_trained_on(void **state) {
    const setting *s = *state;
    nas_loader_config config = plain;
    config.batch = 0;
    assert_refused(&s->source, &s->split, &config, "at least one labelled image");
    config = plain;
    config.unlabelled = 1u << 24;
    assert_refused(&s->source, &s->split, &config, "8 + 16777216 images");
    config = plain;
    config.n_views = NAS_SSL_MAX_VIEWS + 1;
    assert_refused(&s->source, &s->split, &config, "9 views; expected at most 8");
    nas_split_sets other = s->split;
    other.n_train++;
    assert_refused(&s->source, &other, &plain, "91 training images, but the data set has 90");
}

static void test_normalise(void **state) {
    (void)state;
    fake_data d = fake_make(20, 0, 3);
    nas_source source;
    assert_int_equal(nas_source_open(&fake_api, &d, &source, NULL), NAS_OK);
    size_t n = 20 * AREA * 3;
    float *out = malloc(n * sizeof *out);
    assert_non_null(out);
    nas_normalise(&source, source.train.pixels, n, out);
    for (size_t i = 0; i < n; i++) {
        size_t c = i % 3;
        double x = (source.train.pixels[i] / 255.0 - source.mean[c]) / source.std[c];
        assert_float_equal(out[i], x, 1e-5);
    }
    free(out);
    nas_source_close(&source);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_batch_depends_on_seed_and_step_alone),
        TEST(test_only_needed_images_are_made),
        TEST(test_seeds_differ),
        TEST(test_labelled_images_come_once_a_pass),
        TEST(test_the_pool_comes_once_a_pass),
        TEST(test_the_pool_lacks_unlabelled_ones_held_out),
        TEST(test_views_are_drawn_apart),
        TEST(test_steps_are_drawn_apart),
        TEST(test_views_do_not_disturb_each_other),
        TEST(test_a_batch_is_valid_until_the_next),
        TEST(test_closing_early_does_not_hang),
        TEST(test_labelled_alone),
        TEST(test_what_cannot_be_trained_on),
        cmocka_unit_test(test_normalise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
