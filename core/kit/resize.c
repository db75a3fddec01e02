#include <nashost/kit/resize.h>

#include <math.h>
#include <stdlib.h>

void nas_flatten(uint8_t *pixels, size_t n, uint32_t channels) {
    const uint8_t *from = pixels;
    for (uint8_t *to = pixels; n; n--, from += 4) {
        uint32_t rgb[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = ((uint32_t)from[c] * from[3] + 255u * (255u - from[3]) + 127u) / 255u;
        if (channels == 3)
            for (int c = 0; c < 3; c++) *to++ = (uint8_t)rgb[c];
        else /* Rec. 601 luma, as JPEG has it */
            *to++ = (uint8_t)((77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2] + 128) >> 8);
    }
}

/* How `from` places in a line make `to` ones: each is a sum over `taps` places from `first` on,
 * weighted by a triangle that reaches to the neighbour on the coarser side (bilinear; when
 * shrinking, without aliasing). */
typedef struct filter {
    uint32_t to, taps;
    uint32_t *first; /* [to] */
    float *weights;  /* [to][taps], each row of sum 1 */
} filter;

/* For a line of n places, of which `length` from `start` on are resized to `to`. */
static bool make_filter(filter *f, uint32_t n, double start, double length, uint32_t to) {
    double step = length / to, reach = step > 1 ? step : 1;
    uint32_t low = (uint32_t)start, most = n - low;
    uint32_t end = (uint32_t)ceil(start + length);
    if (end < n) most = end - low;
    uint32_t taps = (uint32_t)(2 * reach) + 2;
    *f = (filter){to, taps < most ? taps : most, NULL, NULL};
    f->first = malloc(to * sizeof *f->first);
    f->weights = malloc((size_t)to * f->taps * sizeof *f->weights);
    if (!f->first || !f->weights) return false;
    for (uint32_t i = 0; i < to; i++) {
        double centre = start + (i + 0.5) * step, sum = 0;
        float *w = f->weights + (size_t)i * f->taps;
        uint32_t first = centre - low > reach ? (uint32_t)(centre - reach) : low;
        f->first[i] = first < low + most - f->taps ? first : low + most - f->taps;
        for (uint32_t k = 0; k < f->taps; k++) {
            double at = f->first[i] + k, away = fabs(at + 0.5 - centre) / reach;
            double inside = fmin(at + 1, start + length) - fmax(at, start); /* of the place */
            w[k] = away < 1 && inside > 0 ? (float)((1 - away) * fmin(inside, 1)) : 0;
            sum += w[k];
        }
        for (uint32_t k = 0; k < f->taps; k++) w[k] = (float)(w[k] / sum);
    }
    return true;
}

/* One row: in [from][channels] to out [f->to][channels]. */
static void resize_row(const filter *f, uint32_t channels, const uint8_t *in, float *out) {
    for (uint32_t i = 0; i < f->to; i++)
        for (uint32_t c = 0; c < channels; c++) {
            const float *w = f->weights + (size_t)i * f->taps;
            const uint8_t *x = in + (size_t)f->first[i] * channels + c;
            float sum = 0;
            for (uint32_t k = 0; k < f->taps; k++) sum += w[k] * x[(size_t)k * channels];
            out[i * channels + c] = sum;
        }
}

/* All columns: in [from][width] to out [f->to][width]. */
static void resize_columns(const filter *f, size_t width, const float *in, uint8_t *out) {
    for (uint32_t i = 0; i < f->to; i++)
        for (size_t x = 0; x < width; x++) {
            const float *w = f->weights + (size_t)i * f->taps;
            float sum = 0.5f;
            for (uint32_t k = 0; k < f->taps; k++) sum += w[k] * in[(f->first[i] + k) * width + x];
            out[i * width + x] = (uint8_t)(sum < 255 ? sum : 255);
        }
}

int nas_resize_box(const uint8_t *pixels, uint32_t h, uint32_t w, uint32_t channels, double left,
                   double top, double square, uint32_t side, uint8_t *out, nas_error *err) {
    filter across = {0}, down = {0};
    size_t width = (size_t)side * channels;
    float *rows = (float *)calloc(h, width * sizeof *rows);
    bool made = rows && make_filter(&across, w, left, square, side) &&
                make_filter(&down, h, top, square, side);
    uint32_t last = made ? down.first[side - 1] + down.taps : 0;
    for (size_t y = made ? down.first[0] : 0; y < last; y++)
        resize_row(&across, channels, pixels + y * w * channels, rows + y * width);
    if (made) resize_columns(&down, width, rows, out);
    free(across.first);
    free(across.weights);
    free(down.first);
    free(down.weights);
    free(rows);
    return made ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}

int nas_resize_square(const uint8_t *pixels, uint32_t h, uint32_t w, uint32_t channels,
                      uint32_t side, uint8_t *out, nas_error *err) {
    uint32_t square = h < w ? h : w, left = (w - square) / 2, top = (h - square) / 2;
    return nas_resize_box(pixels, h, w, channels, left, top, square, side, out, err);
}
