/* Writes PNG and JPEG files for tests. */
#ifndef NAS_TESTS_IMAGE_FILES_H
#define NAS_TESTS_IMAGE_FILES_H

#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jpeglib.h>

#include <cmocka.h>

/* Value of channel c at (y, x), of the depth that is written. */
typedef uint32_t (*pixel_fn)(uint32_t y, uint32_t x, uint32_t c);

/* Opens FOLDER/NAME for writing, and makes the folders of the name. */
static inline FILE *create_file(const char *folder, const char *name) {
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *at = path + strlen(folder) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    return file;
}

typedef struct png_kind {
    int color, depth, interlace;
    int alpha_of; /* PNG_COLOR_TYPE_PALETTE: alpha of entry 1; -1: no tRNS chunk */
} png_kind;

static inline void write_png(const char *folder, const char *name, png_kind kind, uint32_t h,
                             uint32_t w, pixel_fn pixel) {
    FILE *file = create_file(folder, name);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    png_init_io(png, file);
    png_set_IHDR(png, info, w, h, kind.depth, kind.color, kind.interlace, 0, 0);
    png_color palette[256];
    png_byte alpha[2] = {255, (png_byte)kind.alpha_of};
    for (int i = 0; i < 256; i++)
        palette[i] = (png_color){(png_byte)i, (png_byte)(255 - i), (png_byte)(i * 7)};
    if (kind.color == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, 1 << kind.depth);
        if (kind.alpha_of >= 0) png_set_tRNS(png, info, alpha, 2, NULL);
    }
    png_write_info(png, info);
    if (kind.depth < 8) png_set_packing(png);
    uint32_t channels = png_get_channels(png, info), bytes = kind.depth == 16 ? 2 : 1;
    png_bytep *rows = calloc(h, sizeof *rows);
    assert_non_null(rows);
    for (uint32_t y = 0; y < h; y++) {
        rows[y] = calloc((size_t)w * channels, bytes);
        assert_non_null(rows[y]);
        for (uint32_t i = 0; i < w * channels; i++) {
            uint32_t value = pixel(y, i / channels, i % channels);
            if (bytes == 2) rows[y][2 * i] = (png_byte)(value >> 8);
            rows[y][bytes * i + bytes - 1] = (png_byte)value;
        }
    }
    png_write_image(png, rows);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    for (uint32_t y = 0; y < h; y++) free(rows[y]);
    free(rows);
    assert_int_equal(fclose(file), 0);
}

typedef enum jpeg_kind { JPEG_PLAIN, JPEG_PROGRESSIVE, JPEG_MANY_SCANS } jpeg_kind;

/* A script of 127 scans: each coefficient alone, in two steps. */
static inline const jpeg_scan_info *many_scans(void) {
    static jpeg_scan_info scans[127];
    scans[0] = (jpeg_scan_info){1, {0}, 0, 0, 0, 0};
    for (int k = 1; k < 64; k++) {
        scans[2 * k - 1] = (jpeg_scan_info){1, {0}, k, k, 0, 1};
        scans[2 * k] = (jpeg_scan_info){1, {0}, k, k, 1, 0};
    }
    return scans;
}

/* channels: 1 grey, 3 colour, 4 CMYK. */
static inline void write_jpeg(const char *folder, const char *name, jpeg_kind kind,
                              uint32_t channels, uint32_t h, uint32_t w, pixel_fn pixel) {
    FILE *file = create_file(folder, name);
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = w;
    jpeg.image_height = h;
    jpeg.input_components = (int)channels;
    jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 98, TRUE);
    for (int c = 0; c < jpeg.num_components; c++)
        jpeg.comp_info[c].h_samp_factor = jpeg.comp_info[c].v_samp_factor = 1;
    if (kind == JPEG_PROGRESSIVE) jpeg_simple_progression(&jpeg);
    if (kind == JPEG_MANY_SCANS) {
        jpeg.scan_info = many_scans();
        jpeg.num_scans = 127;
    }
    jpeg_start_compress(&jpeg, TRUE);
    uint8_t *row = malloc((size_t)w * channels);
    assert_non_null(row);
    while (jpeg.next_scanline < h) {
        for (uint32_t i = 0; i < w * channels; i++)
            row[i] = (uint8_t)pixel(jpeg.next_scanline, i / channels, i % channels);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    free(row);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    assert_int_equal(fclose(file), 0);
}

#endif
