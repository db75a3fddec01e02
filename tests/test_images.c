/* Images that do not fit into memory: what is decoded, what is kept, on which threads, and batches
 * made of them. */
#include "data/loader.h"
#include "fake_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { AREA = 30, N = 90, EXTRA = 13, TEST = 10 };

/* A data set that counts what is asked of it, and the most calls at a time. */
typedef struct counted {
    fake_data data;
    atomic_int reads, at_once, most;
    uint64_t bad; /* an image of train that cannot be read; 0: none */
} counted;

static int counted_info(void *self, nas_dataset_info *info, nas_error *err) {
    return fake_info(&((counted *)self)->data, info, err);
}

static int counted_read(void *self, nas_split split, const uint64_t *indices, size_t n,
                        uint8_t *images, int32_t *labels, nas_error *err) {
    counted *c = self;
    fake_data data = c->data; /* which counts by itself, on one thread */
    int now = atomic_fetch_add(&c->at_once, 1) + 1, most = atomic_load(&c->most);
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now)) continue;
    if (n == 1) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); /* others may come */
    atomic_fetch_add(&c->reads, (int)n);
    int rc = fake_read(&data, split, indices, n, images, labels, err);
    for (size_t i = 0; i < n && c->bad && split == NAS_SPLIT_TRAIN; i++)
        if (indices[i] >= c->bad)
            rc = nas_fail(err, NAS_ERR_INPUT, "image %llu is bad", (unsigned long long)indices[i]);
    atomic_fetch_sub(&c->at_once, 1);
    return rc;
}

static int counted_labels(void *self, nas_split split, uint64_t first, size_t n, int32_t *labels,
                          nas_error *err) {
    (void)err;
    uint32_t classes = ((counted *)self)->data.info.classes;
    for (size_t i = 0; i < n; i++)
        labels[i] = split == NAS_SPLIT_EXTRA ? -1 : (int32_t)((first + i) % classes);
    return NAS_OK;
}

static const nas_dataset_api counted_api = {
    .size = sizeof counted_api, .info = counted_info, .read = counted_read};

static void open_within(counted *c, uint64_t memory, bool parallel, bool labels,
                        nas_source *source) {
    nas_error err = {0};
    *c = (counted){.data = fake_make(N, EXTRA, 1)};
    const nas_source_request how = {.api = &counted_api,
                                    .self = c,
                                    .labels = labels ? counted_labels : NULL,
                                    .parallel = parallel,
                                    .memory = memory,
                                    .threads = 4};
    if (nas_source_open_by(&how, source, &err)) fail_msg("%s", err.message);
}

static void assert_images(const nas_images *images, nas_split split, uint64_t n) {
    uint8_t *out = malloc(n * AREA), room[AREA];
    const uint8_t *pixels;
    assert_non_null(out);
    assert_int_equal(nas_images_gather(images, AREA, NULL, 0, n, out, NULL), NAS_OK);
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(nas_images_at(images, AREA, i, room, &pixels, NULL), NAS_OK);
        for (uint64_t k = 0; k < AREA; k++) {
            assert_int_equal(out[i * AREA + k], fake_pixel(split, i, k));
            assert_int_equal(pixels[k], fake_pixel(split, i, k));
        }
    }
    free(out);
}

/* A split is in memory if all of it fits into what those before it, and their images that were
 * kept, left. */
static void test_what_fits(void **state) {
    (void)state;
    static const struct {
        uint64_t memory;
        bool train, extra, test;
    } cases[] = {{1, false, false, false},
                 {N * AREA, true, false, false},
                 {(N + EXTRA) * AREA, true, true, false},
                 {(N + TEST) * AREA, true, false, true},
                 {(N + EXTRA + TEST) * AREA, true, true, true},
                 {0, true, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        counted c;
        nas_source source;
        nas_images test;
        open_within(&c, cases[i].memory, true, true, &source);
        assert_int_equal(nas_source_read(&source, NAS_SPLIT_TEST, &test, NULL), NAS_OK);
        assert_int_equal(source.train.stream == NULL, cases[i].train);
        assert_int_equal(source.extra.stream == NULL, cases[i].extra);
        assert_int_equal(test.stream == NULL, cases[i].test);
        assert_images(&source.train, NAS_SPLIT_TRAIN, N);
        assert_images(&source.extra, NAS_SPLIT_EXTRA, EXTRA);
        assert_images(&test, NAS_SPLIT_TEST, TEST);
        assert_int_equal(test.labels[7], 2);
        nas_images_free(&test);
        nas_source_close(&source);
    }
}

/* Mean, deviation, labels: with and without a plugin that tells labels by themselves. */
static void test_measured_alike(void **state) {
    (void)state;
    counted a, b;
    nas_source whole, part;
    open_within(&a, 0, false, false, &whole);
    for (int labels = 0; labels < 2; labels++) {
        open_within(&b, 10 * AREA, true, labels, &part);
        assert_memory_equal(whole.mean, part.mean, sizeof whole.mean);
        assert_memory_equal(whole.std, part.std, sizeof whole.std);
        assert_memory_equal(whole.train.labels, part.train.labels, N * sizeof(int32_t));
        assert_memory_equal(whole.extra.labels, part.extra.labels, EXTRA * sizeof(int32_t));
        assert_int_equal(atomic_load(&b.reads), labels ? N : 2 * N + EXTRA);
        nas_source_close(&part);
    }
    nas_source_close(&whole);
}

/* What was decoded is kept within the limit, of which a quarter is for images that are gathered. */
static void test_kept(void **state) {
    (void)state;
    counted c;
    nas_source source;
    uint8_t out[N * AREA];
    open_within(&c, 40 * AREA, true, true, &source); /* extra fits, and 27 images more */
    assert_null(source.extra.stream);
    assert_int_equal(nas_store_left(source.store), 10 * AREA); /* the mean took 17 */
    atomic_store(&c.reads, 0);
    assert_int_equal(nas_images_scan(&source.train, AREA, NULL, 0, N, out, NULL), NAS_OK);
    assert_int_equal(atomic_load(&c.reads), N - 17);
    assert_int_equal(nas_store_left(source.store), 10 * AREA);
    for (int i = 0; i < 2; i++) {
        atomic_store(&c.reads, 0);
        assert_int_equal(nas_images_gather(&source.train, AREA, NULL, 0, N, out, NULL), NAS_OK);
        assert_int_equal(atomic_load(&c.reads), N - 17 - 10 * i);
        assert_int_equal(nas_store_left(source.store), 0);
    }
    nas_source_close(&source);
}

/* A plugin that does not say that it may be is never called on two threads at a time. */
static void test_one_thread_at_a_time(void **state) {
    (void)state;
    for (int parallel = 0; parallel < 2; parallel++) {
        counted c;
        nas_source source;
        open_within(&c, 1, parallel, true, &source);
        assert_int_equal(atomic_load(&c.most) > 1, parallel);
        nas_source_close(&source);
    }
}

/* ---- Batches ---- */

static const nas_loader_config config = {
    .seed = 11,
    .batch = 8,
    .unlabelled = 21,
    .n_views = 2,
    .view = {NAS_AUGMENT_WEAK, NAS_AUGMENT_STRONG},
    .augment = {.flip = true, .crop = 0.3, .strong_ops = 2, .strong_magnitude = 1, .cutout = 0.5}};

static void draw_split(const nas_source *source, nas_split_sets *split) {
    const nas_split_request request = {.labels = source->train.labels,
                                       .n_train = N,
                                       .n_extra = EXTRA,
                                       .classes = 5,
                                       .labelled = 20,
                                       .heldout = 5,
                                       .heldout_from = NAS_HELDOUT_TRAIN};
    assert_int_equal(nas_split_draw(&request, split, NULL), NAS_OK);
}

static void assert_same_batches(const nas_source *a, const nas_source *b,
                                const nas_split_sets *split, int threads) {
    nas_loader *one, *other;
    const nas_batch *x, *y;
    nas_loader_config more = config;
    more.threads = threads;
    assert_int_equal(nas_loader_open(a, split, &config, 0, &one, NULL), NAS_OK);
    assert_int_equal(nas_loader_open(b, split, &more, 0, &other, NULL), NAS_OK);
    for (int step = 0; step < 12; step++) {
        assert_int_equal(nas_loader_next(one, &x, NULL), NAS_OK);
        assert_int_equal(nas_loader_next(other, &y, NULL), NAS_OK);
        assert_memory_equal(x->labelled_images, y->labelled_images, 8 * AREA * sizeof(float));
        assert_memory_equal(x->labels, y->labels, 8 * sizeof(int32_t));
        assert_memory_equal(x->indices, y->indices, 21 * sizeof(uint64_t));
        for (int v = 0; v < 2; v++)
            assert_memory_equal(x->views[v], y->views[v], 21 * AREA * sizeof(float));
    }
    nas_loader_close(one);
    nas_loader_close(other);
}

static void test_batches(void **state) {
    (void)state;
    static const uint64_t limits[] = {0, 1, 30 * AREA, N * AREA};
    counted a, b;
    nas_source whole, part;
    nas_split_sets split;
    open_within(&a, 0, true, true, &whole);
    draw_split(&whole, &split);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        for (int threads = 1; threads <= 7; threads += 3) {
            open_within(&b, limits[i], true, true, &part);
            assert_same_batches(&whole, &part, &split, threads);
            nas_source_close(&part);
        }
    nas_split_free(&split);
    nas_source_close(&whole);
}

/* The step that needs the image says so, and the same image whatever the number of threads. */
static void test_a_bad_image(void **state) {
    (void)state;
    nas_error first = {0};
    for (int threads = 1; threads <= 7; threads += 2) {
        counted c;
        nas_source source;
        nas_split_sets split;
        nas_loader *loader;
        const nas_batch *batch;
        nas_error err = {0};
        nas_loader_config more = config;
        more.threads = threads;
        open_within(&c, 1, true, true, &source);
        draw_split(&source, &split);
        c.bad = 40;
        assert_int_equal(nas_loader_open(&source, &split, &more, 5, &loader, NULL), NAS_OK);
        assert_int_equal(nas_loader_next(loader, &batch, &err), NAS_ERR_INPUT);
        nas_loader_close(loader);
        assert_non_null(strstr(err.message, "step 5: image "));
        if (threads == 1) first = err;
        assert_string_equal(err.message, first.message);
        nas_split_free(&split);
        nas_source_close(&source);
    }
}

/* Every split is looked at, and what is bad in each is told. */
static void test_check(void **state) {
    (void)state;
    counted c = {.data = fake_make(600, EXTRA, 1), .bad = 300};
    const nas_source_request how = {
        .api = &counted_api, .self = &c, .labels = counted_labels, .memory = 1, .threads = 2};
    nas_error err = {0};
    uint32_t untested = 99;
    assert_int_equal(nas_source_check_images(&how, &untested, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message, "train images: image 300 is bad");
    assert_int_equal(untested, 0);
    assert_true(atomic_load(&c.reads) > 400); /* and what comes after it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_fits), cmocka_unit_test(test_measured_alike),
        cmocka_unit_test(test_kept),      cmocka_unit_test(test_one_thread_at_a_time),
        cmocka_unit_test(test_batches),   cmocka_unit_test(test_a_bad_image),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
