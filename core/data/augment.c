#include "data/augment.h"

#include <math.h>
#include <string.h>

const char *const nas_augment_op_names[NAS_RANDAUGMENT_OPS] = {
    "autocontrast", "brightness", "color",   "contrast", "equalize", "identity",    "posterize",
    "rotate",       "sharpness",  "shear_x", "shear_y",  "solarize", "translate_x", "translate_y",
};

/* An image being changed in place. */
typedef struct canvas {
    uint8_t *image, *scratch; /* [h][w][c] */
    uint32_t h, w, c;
    const uint8_t *fill; /* [c] */
} canvas;

static size_t bytes_of(const canvas *v) {
    return (size_t)v->h * v->w * v->c;
}

/* Replaces every value by its channel's table. */
static void map(const canvas *v, uint8_t table[3][256]) {
    size_t n = bytes_of(v);
    if (v->c == 1) {
        for (size_t i = 0; i < n; i++) v->image[i] = table[0][v->image[i]];
        return;
    }
    for (size_t i = 0; i < n; i += 3)
        for (size_t c = 0; c < 3; c++) v->image[i + c] = table[c][v->image[i + c]];
}

static void map_all(const canvas *v, const uint8_t table[256]) {
    uint8_t tables[3][256];
    for (int c = 0; c < 3; c++) memcpy(tables[c], table, 256);
    map(v, tables);
}

static void histogram(const canvas *v, uint32_t counts[3][256]) {
    memset(counts, 0, 3 * sizeof counts[0]);
    size_t n = bytes_of(v);
    for (size_t i = 0; i < n; i += v->c)
        for (size_t c = 0; c < v->c; c++) counts[c][v->image[i + c]]++;
}

/* From `from` towards `to` by factor, cut to an integer as PIL's Image.blend does. Two statements,
 * since C fuses only within one: every machine cuts alike. */
static uint8_t blend(int from, int to, float factor) {
    float part = factor * (float)(to - from);
    return (uint8_t)((float)from + part);
}

/* Luma (ITU-R BT.601) with 16-bit weights. */
static int luma(const uint8_t *p) {
    return (int)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
}

/* Stretches each channel so that its darkest value becomes 0 and its brightest 255. */
static void autocontrast(const canvas *v) {
    uint8_t table[3][256];
    for (uint32_t c = 0; c < v->c; c++) {
        int low = 255, high = 0;
        for (size_t i = c; i < bytes_of(v); i += v->c) {
            if (v->image[i] < low) low = v->image[i];
            if (v->image[i] > high) high = v->image[i];
        }
        double scale = 255.0 / (high - low), offset = -low * scale;
        for (int x = 0; x < 256; x++) {
            double stretched = x * scale;
            table[c][x] = high > low ? (uint8_t)fmin(fmax(stretched + offset, 0), 255) : (uint8_t)x;
        }
    }
    map(v, table);
}

/* Each channel's cumulative counts become its values; a channel of too few values stays. */
static void equalize(const canvas *v) {
    uint32_t counts[3][256];
    uint8_t table[3][256];
    histogram(v, counts);
    for (uint32_t c = 0; c < v->c; c++) {
        int last = 255;
        while (last > 0 && !counts[c][last]) last--;
        uint32_t step = (v->h * v->w - counts[c][last]) / 255, sum = step / 2;
        for (int x = 0; x < 256; x++) {
            uint32_t value = step ? sum / step : (uint32_t)x;
            table[c][x] = (uint8_t)(value < 255 ? value : 255);
            sum += counts[c][x];
        }
    }
    map(v, table);
}

/* Blends towards one grey level. */
static void blend_level(const canvas *v, int level, float factor) {
    uint8_t table[256];
    for (int x = 0; x < 256; x++) table[x] = blend(level, x, factor);
    map_all(v, table);
}

static void contrast(const canvas *v, float factor) {
    uint64_t sum = 0, n = (uint64_t)v->h * v->w;
    if (v->c == 1)
        for (size_t i = 0; i < n; i++) sum += v->image[i];
    else
        for (size_t i = 0; i < n; i++) sum += (uint64_t)luma(v->image + 3 * i);
    blend_level(v, (int)((double)sum / (double)n + 0.5), factor);
}

static void color(const canvas *v, float factor) {
    if (v->c == 1) return;
    for (size_t i = 0; i < bytes_of(v); i += 3) {
        int grey = luma(v->image + i);
        for (size_t c = 0; c < 3; c++) v->image[i + c] = blend(grey, v->image[i + c], factor);
    }
}

/* Blends towards a 3 x 3 smoothing (1 1 1, 1 5 1, 1 1 1) / 13; the border is left as it is. */
static void sharpness(const canvas *v, float factor) {
    memcpy(v->scratch, v->image, bytes_of(v));
    size_t row = (size_t)v->w * v->c, c = v->c;
    for (size_t y = 1; y + 1 < v->h; y++)
        for (size_t i = y * row + c; i < (y + 1) * row - c; i++) {
            const uint8_t *p = v->scratch + i;
            int sum = 5 * p[0] + p[-(ptrdiff_t)c] + p[c];
            const uint8_t *up = p - row, *down = p + row;
            sum += up[-(ptrdiff_t)c] + up[0] + up[c] + down[-(ptrdiff_t)c] + down[0] + down[c];
            v->image[i] = blend((2 * sum + 13) / 26, p[0], factor);
        }
}

static void posterize(const canvas *v, int bits) {
    uint8_t mask = (uint8_t)(0xff00u >> bits);
    for (size_t i = 0; i < bytes_of(v); i++) v->image[i] &= mask;
}

static void solarize(const canvas *v, int threshold) {
    for (size_t i = 0; i < bytes_of(v); i++)
        if (v->image[i] >= threshold) v->image[i] = (uint8_t)(255 - v->image[i]);
}

/* Where an output pixel's centre lies in the input: x' = m[0] x + m[1] y + m[2], y' likewise from
 * m[3], in pixels from the image's corner. */
typedef struct affine {
    double m[6];
} affine;

/* The mean of the four pixels around (x, y), beyond the edge those on it. */
static void sample(const canvas *v, float x, float y, uint8_t *out) {
    int x0 = (int)(x + 1) - 1, y0 = (int)(y + 1) - 1; /* floor; both are above -1 */
    float fx = x - (float)x0, fy = y - (float)y0;
    size_t left = x0 < 0 ? 0 : (size_t)x0, top = y0 < 0 ? 0 : (size_t)y0;
    size_t right = x0 + 1 < (int)v->w ? (size_t)(x0 + 1) : left;
    size_t bottom = y0 + 1 < (int)v->h ? (size_t)(y0 + 1) : top;
    const uint8_t *a = v->scratch + top * v->w * v->c, *b = v->scratch + bottom * v->w * v->c;
    for (size_t c = 0; c < v->c; c++) {
        float p = a[left * v->c + c], q = b[left * v->c + c];
        p += fx * ((float)a[right * v->c + c] - p);
        q += fx * ((float)b[right * v->c + c] - q);
        out[c] = (uint8_t)(p + fy * (q - p) + 0.5f);
    }
}

/* The nearest place on a side. */
static float clamp(float x, uint32_t side) {
    float last = (float)(side - 1);
    return x < 0 ? 0 : x > last ? last : x;
}

static void transform(const canvas *v, const affine *t) {
    memcpy(v->scratch, v->image, bytes_of(v));
    const double *m = t->m;
    float w = (float)v->w - 0.5f, h = (float)v->h - 0.5f;
    uint8_t *out = v->image;
    for (uint32_t row = 0; row < v->h; row++) {
        float x0 = (float)(m[0] * 0.5 + m[1] * (row + 0.5) + m[2] - 0.5);
        float y0 = (float)(m[3] * 0.5 + m[4] * (row + 0.5) + m[5] - 0.5);
        for (uint32_t column = 0; column < v->w; column++, out += v->c) {
            float x = x0 + (float)m[0] * (float)column, y = y0 + (float)m[3] * (float)column;
            if (x >= -0.5f && x < w && y >= -0.5f && y < h)
                sample(v, x, y, out);
            else if (!v->fill)
                sample(v, clamp(x, v->w), clamp(y, v->h), out);
            else
                memcpy(out, v->fill, v->c);
        }
    }
}

/* Counter-clockwise about the centre. */
static affine rotation(const canvas *v, double degrees) {
    double angle = degrees * 3.14159265358979323846 / 180, c = cos(angle), s = sin(angle);
    double cx = v->w / 2.0, cy = v->h / 2.0;
    return (affine){{c, -s, cx - c * cx + s * cy, s, c, cy - s * cx - c * cy}};
}

static affine geometry(const canvas *v, nas_augment_op op, double amount) {
    affine t = {{1, 0, 0, 0, 1, 0}};
    if (op == NAS_AUG_ROTATE) return rotation(v, 30 * amount);
    if (op == NAS_AUG_SHEAR_X) t.m[1] = 0.3 * amount;
    if (op == NAS_AUG_SHEAR_Y) t.m[3] = 0.3 * amount;
    if (op == NAS_AUG_TRANSLATE_X) t.m[2] = 0.3 * amount * v->w;
    if (op == NAS_AUG_TRANSLATE_Y) t.m[5] = 0.3 * amount * v->h;
    return t;
}

void nas_augment_apply(nas_augment_op op, double level, bool negative, uint8_t *image,
                       uint8_t *scratch, uint32_t h, uint32_t w, uint32_t c, const uint8_t *fill) {
    canvas v = {image, scratch, h, w, c, fill};
    float factor = (float)(0.95 - 0.9 * level);
    switch (op) {
    case NAS_AUG_AUTOCONTRAST:
        autocontrast(&v);
        break;
    case NAS_AUG_BRIGHTNESS:
        blend_level(&v, 0, factor);
        break;
    case NAS_AUG_COLOR:
        color(&v, factor);
        break;
    case NAS_AUG_CONTRAST:
        contrast(&v, factor);
        break;
    case NAS_AUG_EQUALIZE:
        equalize(&v);
        break;
    case NAS_AUG_IDENTITY:
        break;
    case NAS_AUG_POSTERIZE:
        posterize(&v, level < 1 ? 8 - (int)(5 * level) : 4);
        break;
    case NAS_AUG_SHARPNESS:
        sharpness(&v, factor);
        break;
    case NAS_AUG_SOLARIZE:
        solarize(&v, (int)(256 * (1 - level)));
        break;
    case NAS_AUG_ROTATE:
    case NAS_AUG_SHEAR_X:
    case NAS_AUG_SHEAR_Y:
    case NAS_AUG_TRANSLATE_X:
    case NAS_AUG_TRANSLATE_Y: {
        affine t = geometry(&v, op, negative ? -level : level);
        transform(&v, &t);
        break;
    }
    }
}

/* The pixel that stands at position i + shift of a side that is mirrored at its edges, without
 * repeating them. |shift| < side. */
static uint32_t reflect(uint32_t i, int64_t shift, uint32_t side) {
    int64_t at = i + shift;
    if (at < 0) at = -at;
    if (at >= side) at = 2 * ((int64_t)side - 1) - at;
    return (uint32_t)at;
}

/* A shift of at most `share` of the side in either direction. */
static int64_t draw_shift(nas_rng *rng, double share, uint32_t side) {
    int64_t most = (int64_t)(share * side);
    if (most >= side) most = side - 1;
    return most > 0 ? (int64_t)nas_rng_below(rng, (uint32_t)(2 * most + 1)) - most : 0;
}

void nas_augment_weak(const nas_augment_config *config, nas_rng *rng, const uint8_t *image,
                      uint8_t *out, uint32_t h, uint32_t w, uint32_t c) {
    bool mirror = config->flip && nas_rng_below(rng, 2);
    int64_t dy = draw_shift(rng, config->crop, h), dx = draw_shift(rng, config->crop, w);
    for (uint32_t y = 0; y < h; y++) {
        const uint8_t *row = image + (size_t)reflect(y, dy, h) * w * c;
        for (uint32_t x = 0; x < w; x++) {
            uint32_t from = reflect(x, dx, w);
            if (mirror) from = w - 1 - from;
            for (uint32_t k = 0; k < c; k++) *out++ = row[(size_t)from * c + k];
        }
    }
}

/* The part of a side that a square of `share` of it covers around a random centre. */
static void draw_range(nas_rng *rng, double share, uint32_t side, uint32_t *from, uint32_t *to) {
    int64_t length = (int64_t)ceil(share * side);
    int64_t start = (int64_t)nas_rng_below(rng, side) - length / 2, end = start + length;
    *from = start > 0 ? (uint32_t)start : 0;
    *to = end < side ? (uint32_t)end : side;
}

static void cutout(const nas_augment_config *config, nas_rng *rng, const canvas *v) {
    double share = config->cutout * (1 - nas_rng_uniform(rng));
    uint32_t top, bottom, left, right;
    draw_range(rng, share, v->h, &top, &bottom);
    draw_range(rng, share, v->w, &left, &right);
    for (uint32_t y = top; y < bottom; y++)
        for (uint32_t x = left; x < right; x++)
            memcpy(v->image + ((size_t)y * v->w + x) * v->c, v->fill, v->c);
}

void nas_augment_strong(const nas_augment_config *config, nas_rng *rng, const uint8_t *image,
                        uint8_t *out, uint8_t *scratch, uint32_t h, uint32_t w, uint32_t c,
                        const uint8_t *fill) {
    static const uint8_t zero[3] = {0};
    const uint8_t *uncovered = config->fill == NAS_FILL_MEAN   ? fill
                               : config->fill == NAS_FILL_ZERO ? zero
                                                               : NULL;
    nas_augment_weak(config, rng, image, out, h, w, c);
    for (int64_t i = 0; i < config->strong_ops; i++) {
        nas_augment_op op = (nas_augment_op)nas_rng_below(rng, NAS_RANDAUGMENT_OPS);
        double level = config->strong_magnitude * nas_rng_uniform(rng);
        bool negative = nas_rng_below(rng, 2);
        nas_augment_apply(op, level, negative, out, scratch, h, w, c, uncovered);
    }
    canvas v = {out, scratch, h, w, c, fill};
    if (config->cutout > 0) cutout(config, rng, &v);
}
