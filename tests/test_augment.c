/* Augmentation: single operations against values worked out by hand and against Pillow; weak and
 * strong views. */
#include "data/augment.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIDE 20
#define MAX_BYTES (25 * 25 * 3)

typedef struct picture {
    uint32_t h, w, c;
    uint8_t fill[3], pixels[MAX_BYTES];
} picture;

static size_t size_of(const picture *p) {
    return (size_t)p->h * p->w * p->c;
}

static void apply(nas_augment_op op, double level, bool negative, picture *p) {
    uint8_t scratch[MAX_BYTES];
    nas_augment_apply(op, level, negative, p->pixels, scratch, p->h, p->w, p->c, p->fill);
}

/* Pixels that are all different as far as a byte allows. */
static picture ramp(uint32_t h, uint32_t w, uint32_t c) {
    picture p = {h, w, c, {7, 8, 9}, {0}};
    for (size_t i = 0; i < size_of(&p); i++) p.pixels[i] = (uint8_t)(10 + i * 3);
    return p;
}

static void test_pointwise_by_hand(void **state) {
    (void)state;
    static const struct {
        nas_augment_op op;
        double level;
        uint8_t in[4], out[4];
    } cases[] = {
        {NAS_AUG_AUTOCONTRAST, 0, {50, 60, 100, 150}, {0, 25, 127, 255}},
        {NAS_AUG_AUTOCONTRAST, 0, {9, 9, 9, 9}, {9, 9, 9, 9}},
        {NAS_AUG_BRIGHTNESS, 0.5, {0, 1, 100, 255}, {0, 0, 50, 127}},
        {NAS_AUG_BRIGHTNESS, 1, {0, 20, 100, 255}, {0, 1, 5, 12}},
        {NAS_AUG_COLOR, 1, {1, 2, 3, 4}, {1, 2, 3, 4}},
        {NAS_AUG_CONTRAST, 0.5, {0, 100, 200, 100}, {50, 100, 150, 100}}, /* the mean is 100 */
        {NAS_AUG_EQUALIZE, 0, {1, 2, 3, 4}, {1, 2, 3, 4}},
        {NAS_AUG_IDENTITY, 1, {1, 2, 3, 4}, {1, 2, 3, 4}},
        {NAS_AUG_POSTERIZE, 0, {1, 2, 3, 255}, {1, 2, 3, 255}},
        {NAS_AUG_POSTERIZE, 0.3, {1, 2, 3, 255}, {0, 2, 2, 254}},
        {NAS_AUG_POSTERIZE, 1, {15, 16, 31, 255}, {0, 16, 16, 240}},
        {NAS_AUG_SOLARIZE, 0, {0, 127, 128, 255}, {0, 127, 128, 255}},
        {NAS_AUG_SOLARIZE, 0.5, {0, 127, 128, 255}, {0, 127, 127, 0}},
        {NAS_AUG_SOLARIZE, 1, {0, 127, 128, 255}, {255, 128, 127, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        picture p = {2, 2, 1, {0}, {0}};
        memcpy(p.pixels, cases[i].in, 4);
        apply(cases[i].op, cases[i].level, false, &p);
        assert_memory_equal(p.pixels, cases[i].out, 4);
    }
}

static void test_equalize_by_hand(void **state) {
    (void)state;
    picture p = {16, 16, 1, {0}, {0}};
    for (int i = 0; i < 256; i++) p.pixels[i] = (uint8_t)(i / 2);
    apply(NAS_AUG_EQUALIZE, 0, false, &p);
    /* step = (256 - 2) / 255 = 0: too few values for 256 steps, so it stays. */
    for (int i = 0; i < 256; i++) assert_int_equal(p.pixels[i], i / 2);
    for (int i = 0; i < 256; i++) p.pixels[i] = (uint8_t)(i < 255 ? i / 51 : 200);
    apply(NAS_AUG_EQUALIZE, 0, false, &p);
    /* step = (256 - 1) / 255 = 1, so a level becomes the number of pixels below it. */
    for (int i = 0; i < 256; i++) assert_int_equal(p.pixels[i], i / 51 * 51);
}

static void test_sharpness_by_hand(void **state) {
    (void)state;
    picture p = {3, 3, 1, {0}, {10, 20, 30, 40, 130, 60, 70, 80, 90}};
    apply(NAS_AUG_SHARPNESS, 0.5, false, &p);
    /* The centre's smoothing is (400 + 5 * 130) / 13 = 80.8, rounded 81; half way to 130. */
    const uint8_t expected[9] = {10, 20, 30, 40, 105, 60, 70, 80, 90};
    assert_memory_equal(p.pixels, expected, 9);
}

static void test_translate_moves_whole_pixels(void **state) {
    (void)state;
    for (int vertical = 0; vertical < 2; vertical++)
        for (int negative = 0; negative < 2; negative++) {
            picture in = ramp(10, 10, 1), out = in;
            /* 0.3 * 10 pixels at level 1 */
            apply(vertical ? NAS_AUG_TRANSLATE_Y : NAS_AUG_TRANSLATE_X, 1, negative, &out);
            for (int y = 0; y < 10; y++)
                for (int x = 0; x < 10; x++) {
                    int move = negative ? -3 : 3;
                    int fx = vertical ? x : x + move, fy = vertical ? y + move : y;
                    bool inside = fx >= 0 && fx < 10 && fy >= 0 && fy < 10;
                    assert_int_equal(out.pixels[y * 10 + x],
                                     inside ? in.pixels[fy * 10 + fx] : in.fill[0]);
                }
        }
}

/* Level 0 of every operation that has a level changes nothing, or at most dims by 5 %. */
static void test_level_zero_is_mild(void **state) {
    (void)state;
    for (int op = 0; op < NAS_RANDAUGMENT_OPS; op++) {
        if (op == NAS_AUG_AUTOCONTRAST || op == NAS_AUG_EQUALIZE) continue;
        picture in = ramp(5, 5, 3), out = in;
        apply((nas_augment_op)op, 0, false, &out);
        for (size_t i = 0; i < size_of(&in); i++)
            assert_in_range(out.pixels[i] + 14, in.pixels[i], in.pixels[i] + 28);
    }
}

static uint8_t *read_golden(size_t *bytes) {
    gzFile file = gzopen("tests/golden/augment.bin.gz", "rb");
    if (!file) fail_msg("tests/golden/augment.bin.gz: run the tests in the project's folder");
    uint8_t *data = malloc(1 << 20);
    assert_non_null(data);
    int got = gzread(file, data, 1 << 20);
    assert_int_equal(gzclose(file), Z_OK);
    assert_in_range(got, 1, (1 << 20) - 1);
    *bytes = (size_t)got;
    return data;
}

/* Exact but where pixels are interpolated: Pillow cuts, this code rounds. */
static int tolerance(int op) {
    return op == NAS_AUG_ROTATE || op == NAS_AUG_SHEAR_X || op == NAS_AUG_SHEAR_Y ||
           op == NAS_AUG_TRANSLATE_X || op == NAS_AUG_TRANSLATE_Y;
}

/* Compares one record; returns its length. */
static size_t check_record(const uint8_t *at) {
    picture p = {at[3], at[4], at[5], {0}, {0}};
    size_t size = size_of(&p);
    const uint8_t *in = at + 6 + p.c, *expected = in + size;
    assert_true(size <= MAX_BYTES);
    memcpy(p.fill, at + 6, p.c);
    memcpy(p.pixels, in, size);
    apply((nas_augment_op)at[0], at[1] / 100.0, at[2], &p);
    for (size_t i = 0; i < size; i++)
        if (abs(p.pixels[i] - expected[i]) > tolerance(at[0]))
            fail_msg("%s at %d %% (negative %d, %u x %u x %u): value %zu is %d, in Pillow %d",
                     nas_augment_op_names[at[0]], at[1], at[2], p.h, p.w, p.c, i, p.pixels[i],
                     expected[i]);
    return 6 + p.c + 2 * size;
}

static void test_as_pillow(void **state) {
    (void)state;
    size_t bytes, at = 0;
    uint8_t *data = read_golden(&bytes);
    int seen[NAS_RANDAUGMENT_OPS] = {0};
    while (at < bytes) {
        seen[data[at]]++;
        at += check_record(data + at);
    }
    assert_int_equal(at, bytes);
    for (int op = 0; op < NAS_RANDAUGMENT_OPS; op++) assert_true(seen[op] >= 6);
    free(data);
}

/* The image's pixel at (y, x), mirrored at the edges as 2 1 0 1 2, and left to right if asked. */
static uint8_t mirrored(const picture *p, int y, int x, bool flip) {
    int h = (int)p->h, w = (int)p->w;
    y = y < 0 ? -y : y >= h ? 2 * h - 2 - y : y;
    x = x < 0 ? -x : x >= w ? 2 * w - 2 - x : x;
    return p->pixels[y * w + (flip ? w - 1 - x : x)];
}

/* Every weak view is the image at one of the 2 * 7 * 7 places, and each place is met. */
static void test_weak_is_a_mirrored_crop(void **state) {
    (void)state;
    picture in = ramp(8, 9, 1);
    nas_augment_config config = {.flip = true, .crop = 0.4}; /* (int)3.2 and (int)3.6 pixels */
    int seen[2][7][7] = {{{0}}}, places = 0;
    for (uint64_t n = 0; n < 3000; n++) {
        uint8_t out[MAX_BYTES];
        nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 0, n);
        nas_augment_weak(&config, &rng, in.pixels, out, in.h, in.w, in.c);
        int matches = 0;
        for (int place = 0; place < 98; place++) {
            int flip = place / 49, dy = place / 7 % 7 - 3, dx = place % 7 - 3;
            int same = 1;
            for (int i = 0; i < 72 && same; i++)
                same = out[i] == mirrored(&in, i / 9 + dy, i % 9 + dx, flip);
            if (same) seen[flip][dy + 3][dx + 3]++;
            matches += same;
        }
        assert_int_equal(matches, 1);
    }
    for (int place = 0; place < 98; place++)
        places += seen[place / 49][place / 7 % 7][place % 7] > 0;
    assert_int_equal(places, 98);
}

static void test_weak_without_flip_and_crop_copies(void **state) {
    (void)state;
    picture in = ramp(6, 5, 3);
    nas_augment_config config = {0};
    uint8_t out[MAX_BYTES];
    nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 0, 0);
    nas_augment_weak(&config, &rng, in.pixels, out, in.h, in.w, in.c);
    assert_memory_equal(out, in.pixels, size_of(&in));
}

/* A crop keeps the three values of a colour together. */
static void test_weak_keeps_colours(void **state) {
    (void)state;
    picture in = {6, 6, 3, {0}, {0}};
    for (int i = 0; i < 108; i++) in.pixels[i] = (uint8_t)(i / 3 + i % 3 * 50);
    nas_augment_config config = {.flip = true, .crop = 0.5};
    for (uint64_t n = 0; n < 50; n++) {
        uint8_t out[MAX_BYTES];
        nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 0, n);
        nas_augment_weak(&config, &rng, in.pixels, out, 6, 6, 3);
        for (int i = 0; i < 108; i += 3) {
            assert_int_equal(out[i + 1], out[i] + 50);
            assert_int_equal(out[i + 2], out[i] + 100);
        }
    }
}

static void strong(const nas_augment_config *config, uint64_t sample, const picture *in,
                   uint8_t *out) {
    uint8_t scratch[MAX_BYTES];
    nas_rng rng = nas_rng_open(9, NAS_RNG_TEST, 3, sample);
    nas_augment_strong(config, &rng, in->pixels, out, scratch, in->h, in->w, in->c, in->fill);
}

/* With cutout alone, what changed is one filled rectangle of at most half of each side, whose
 * centre is anywhere. */
static void test_cutout_is_a_rectangle(void **state) {
    (void)state;
    picture in = {12, 20, 3, {200, 210, 220}, {0}};
    nas_augment_config config = {.cutout = 0.5};
    uint32_t tallest = 0, widest = 0, corners = 0;
    for (uint64_t n = 0; n < 2000; n++) {
        uint8_t out[MAX_BYTES];
        strong(&config, n, &in, out);
        uint32_t top = 99, left = 99, bottom = 0, right = 0, count = 0;
        for (uint32_t i = 0; i < 240; i++) {
            if (!out[3 * i]) continue;
            assert_memory_equal(out + 3 * i, in.fill, 3);
            uint32_t y = i / 20, x = i % 20;
            top = y < top ? y : top;
            left = x < left ? x : left;
            bottom = y >= bottom ? y + 1 : bottom;
            right = x >= right ? x + 1 : right;
            count++;
        }
        assert_true(count > 0);
        assert_int_equal(count, (bottom - top) * (right - left));
        tallest = bottom - top > tallest ? bottom - top : tallest;
        widest = right - left > widest ? right - left : widest;
        corners += out[0] > 0;
    }
    assert_int_equal(tallest, 6);
    assert_int_equal(widest, 10);
    assert_true(corners > 0);
}

/* Moved to the left or up by 0.3 of the side, with each kind of fill. */
static void test_what_is_uncovered(void **state) {
    (void)state;
    static const uint8_t fill[3] = {200, 200, 200}, zero[3] = {0};
    for (int op = NAS_AUG_TRANSLATE_X; op <= NAS_AUG_TRANSLATE_Y; op++)
        for (int kind = 0; kind < 3; kind++)
            for (int negative = 0; negative < 2; negative++) {
                picture in = ramp(10, 10, 3);
                uint8_t image[MAX_BYTES], scratch[MAX_BYTES];
                memcpy(image, in.pixels, size_of(&in));
                nas_augment_apply((nas_augment_op)op, 1, negative, image, scratch, 10, 10, 3,
                                  kind == NAS_FILL_EDGE   ? NULL
                                  : kind == NAS_FILL_ZERO ? zero
                                                          : fill);
                for (int i = 0; i < 100; i++) {
                    int along = op == NAS_AUG_TRANSLATE_X ? i % 10 : i / 10;
                    int step = op == NAS_AUG_TRANSLATE_X ? 1 : 10,
                        from = along + (negative ? -3 : 3);
                    int inside = from < 0 ? 0 : from > 9 ? 9 : from;
                    const uint8_t *expected = in.pixels + 3 * (i + (inside - along) * step);
                    if (inside != from && kind != NAS_FILL_EDGE)
                        expected = kind == NAS_FILL_ZERO ? zero : fill;
                    assert_memory_equal(image + 3 * i, expected, 3);
                }
            }
}

/* On an image of one colour nothing but what is uncovered can change by geometry. */
static void test_fill_of_strong_views(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        nas_augment_config config = {.strong_ops = 3, .strong_magnitude = 1, .fill = kind};
        picture in = {10, 10, 1, {0}, {0}};
        int filled = 0, black = 0;
        in.fill[0] = 99;
        memset(in.pixels, 40, sizeof in.pixels);
        for (uint64_t n = 0; n < 300; n++) {
            uint8_t out[MAX_BYTES];
            int has_fill = 0, has_black = 0;
            strong(&config, n, &in, out);
            for (int i = 0; i < 100; i++) {
                has_fill |= out[i] == 99;
                has_black |= out[i] == 0;
            }
            filled += has_fill;
            black += has_black;
        }
        assert_int_equal(filled > 30, kind == NAS_FILL_MEAN);
        assert_int_equal(black > 60, kind == NAS_FILL_ZERO);
    }
}

static void test_strong_is_deterministic_and_varied(void **state) {
    (void)state;
    nas_augment_config config = {
        .flip = true, .crop = 0.125, .strong_ops = 2, .strong_magnitude = 1, .cutout = 0.5};
    for (uint32_t c = 1; c <= 3; c += 2) {
        picture in = ramp(SIDE, SIDE, c);
        uint8_t a[MAX_BYTES], b[MAX_BYTES], first[MAX_BYTES];
        int different = 0;
        strong(&config, 0, &in, first);
        for (uint64_t n = 0; n < 300; n++) {
            strong(&config, n, &in, a);
            strong(&config, n, &in, b);
            assert_memory_equal(a, b, size_of(&in));
            different += memcmp(a, first, size_of(&in)) != 0;
        }
        assert_true(different > 295);
    }
}

/* How many of 600 strong views of one operation change a value by more than level 0 of the
 * operations that have a level ever does. */
static int far_views(double magnitude) {
    const nas_augment_config config = {.strong_ops = 1, .strong_magnitude = magnitude};
    picture in = ramp(8, 10, 1);
    int far_from = 0;
    for (uint64_t n = 0; n < 600; n++) {
        uint8_t out[MAX_BYTES];
        strong(&config, n, &in, out);
        int most = 0;
        for (size_t i = 0; i < size_of(&in); i++)
            if (abs(out[i] - in.pixels[i]) > most) most = abs(out[i] - in.pixels[i]);
        far_from += most > 14;
    }
    return far_from;
}

/* On this ramp, 8 operations of 14 are far at most levels; posterize is at its coarsest only. */
static void test_magnitude_scales_the_operations(void **state) {
    (void)state;
    assert_in_range(far_views(0), 0, 0);
    assert_in_range(far_views(1), 250, 450);
    assert_in_range(far_views(0.2), 100, far_views(1) - 60);
}

/* Sides as small as they get must not read or write outside (the sanitizers would tell). */
static void test_tiny_images(void **state) {
    (void)state;
    nas_augment_config config = {
        .flip = true, .crop = 0.9, .strong_ops = 3, .strong_magnitude = 1, .cutout = 1};
    for (uint32_t h = 1; h <= 3; h++)
        for (uint32_t w = 1; w <= 3; w++)
            for (uint64_t n = 0; n < 300; n++) {
                picture in = ramp(h, w, n % 2 ? 1 : 3);
                uint8_t *image = malloc(size_of(&in)), *out = malloc(size_of(&in)),
                        *scratch = malloc(size_of(&in));
                assert_true(image && out && scratch);
                memcpy(image, in.pixels, size_of(&in));
                nas_rng rng = nas_rng_open(9, NAS_RNG_TEST, 4, n);
                nas_augment_strong(&config, &rng, image, out, scratch, h, w, in.c, in.fill);
                assert_memory_equal(image, in.pixels, size_of(&in));
                free(image);
                free(out);
                free(scratch);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pointwise_by_hand),
        cmocka_unit_test(test_equalize_by_hand),
        cmocka_unit_test(test_sharpness_by_hand),
        cmocka_unit_test(test_translate_moves_whole_pixels),
        cmocka_unit_test(test_level_zero_is_mild),
        cmocka_unit_test(test_as_pillow),
        cmocka_unit_test(test_weak_is_a_mirrored_crop),
        cmocka_unit_test(test_weak_without_flip_and_crop_copies),
        cmocka_unit_test(test_weak_keeps_colours),
        cmocka_unit_test(test_cutout_is_a_rectangle),
        cmocka_unit_test(test_what_is_uncovered),
        cmocka_unit_test(test_fill_of_strong_views),
        cmocka_unit_test(test_strong_is_deterministic_and_varied),
        cmocka_unit_test(test_magnitude_scales_the_operations),
        cmocka_unit_test(test_tiny_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
