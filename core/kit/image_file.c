#include <nashost/kit/image_file.h>

#include <nashost/kit/dataset_files.h>

#include <nashost/kit/resize.h>

#include <errno.h>
#include <jerror.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>

#include <jpeglib.h> /* needs stdio.h and stddef.h before it */

enum {
    JPEG_SCANS = 100,       /* the most that an image may ask for */
    WEBP_BYTES = 256 << 20, /* the largest file that is read into memory */
    UPRIGHT = 1,
};

/* One file on its way into a picture. The libraries report errors by a jump back to its start. */
typedef struct job {
    FILE *file;
    nas_picture *picture;
    png_structp png;
    png_infop info;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    uint8_t *data; /* a whole file */
    jmp_buf start;
    uint32_t row; /* being decoded */
    int code;     /* a nas_status */
    char why[JMSG_LENGTH_MAX];
} job;

NAS_PRINTF(3, 4)
_Noreturn static void give_up(job *j, int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(j->why, sizeof j->why, format, args);
    va_end(args);
    j->code = code;
    longjmp(j->start, 1);
}

/* Makes room for h x w pixels of `bytes` bytes. */
static void make_room(job *j, uint32_t h, uint32_t w, uint32_t bytes) {
    nas_picture *p = j->picture;
    uint32_t limit = j->picture->max_side;
    if (!h || !w || h > limit || w > limit)
        give_up(j, NAS_ERR_INPUT,
                "%u x %u pixels; expected sides of 1 to %u, the option \"max_side\"", w, h, limit);
    size_t needed = (size_t)h * w * bytes;
    if (needed > p->room) {
        free(p->pixels);
        p->pixels = malloc(needed);
        p->room = p->pixels ? needed : 0;
    }
    if (!p->pixels) give_up(j, NAS_ERR_MEMORY, "out of memory");
    p->h = h;
    p->w = w;
}

/* ---- The square in the middle, and Exif's orientation ---- */

static uint32_t number(const uint8_t *at, int bytes, bool little) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | at[little ? bytes - 1 - i : i];
    return value;
}

/* Tag 0x0112 of the first directory of Exif data (a TIFF file); upright if there is none. */
static int exif_orientation(const uint8_t *data, size_t n) {
    if (n < 8 || (memcmp(data, "II*", 3) != 0 && memcmp(data, "MM\0*", 4) != 0)) return UPRIGHT;
    bool little = data[0] == 'I';
    size_t at = number(data + 4, 4, little);
    if (at > n - 2) return UPRIGHT;
    uint32_t entries = number(data + at, 2, little);
    for (at += 2; entries && at + 12 <= n; entries--, at += 12) {
        uint32_t value = number(data + at + 8, 2, little);
        if (number(data + at, 2, little) == 0x0112 && number(data + at + 2, 2, little) == 3)
            return value >= 1 && value <= 8 ? (int)value : UPRIGHT;
    }
    return UPRIGHT;
}

/* Which ways the file's axes run in the upright image. */
static bool turned(int orientation) { /* its rows are the upright image's columns */
    return orientation > 4;
}

static bool mirrored_across(int orientation) {
    return orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
}

static bool mirrored_down(int orientation) {
    return orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
}

/* Sets the square of an image of h x w pixels in the file, decoded at 1/scale of its size. */
static void set_square(nas_picture *p, uint32_t h, uint32_t w, uint32_t scale) {
    uint32_t square = h < w ? h : w, left = (w - square) / 2, top = (h - square) / 2;
    if (mirrored_across(p->orientation))
        left = w - square - left; /* half a pixel has to go somewhere */
    if (mirrored_down(p->orientation)) top = h - square - top;
    p->left = (double)left / scale;
    p->top = (double)top / scale;
    p->square = (double)square / scale;
}

int nas_image_square(const nas_picture *p, uint32_t side, uint8_t *out, nas_error *err) {
    size_t c = p->channels, last = side - 1;
    uint8_t *plain = p->orientation == UPRIGHT ? out : malloc((size_t)side * side * c);
    if (!plain) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    int rc = nas_resize_box(p->pixels, p->h, p->w, p->channels, p->left, p->top, p->square, side,
                            plain, err);
    if (plain == out) return rc;
    for (size_t y = 0; y < side && !rc; y++)
        for (size_t x = 0; x < side; x++) { /* of the file */
            size_t across = mirrored_across(p->orientation) ? last - x : x;
            size_t down = mirrored_down(p->orientation) ? last - y : y;
            size_t to = turned(p->orientation) ? across * side + down : down * side + across;
            memcpy(out + to * c, plain + (y * side + x) * c, c);
        }
    free(plain);
    return rc;
}

/* ---- PNG ---- */

static void png_failed(png_structp png, png_const_charp why) {
    give_up(png_get_error_ptr(png), NAS_ERR_INPUT, "%s", why);
}

static void png_warned(png_structp png, png_const_charp why) {
    (void)png, (void)why;
}

static void read_png(job *j) {
    j->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, j, png_failed, png_warned);
    j->info = j->png ? png_create_info_struct(j->png) : NULL;
    if (!j->info) give_up(j, NAS_ERR_MEMORY, "out of memory");
    png_init_io(j->png, j->file);
    /* Nothing but pixels is wanted; what is not parsed can do no harm. */
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(j->png, j->info);
    uint32_t w = png_get_image_width(j->png, j->info), h = png_get_image_height(j->png, j->info);
    make_room(j, h, w, 4);
    png_set_expand(j->png);
    png_set_scale_16(j->png);
    png_set_gray_to_rgb(j->png);
    png_set_add_alpha(j->png, 255, PNG_FILLER_AFTER);
    int passes = png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    if (png_get_rowbytes(j->png, j->info) != 4 * (size_t)w)
        give_up(j, NAS_ERR_INPUT, "unknown kind of pixels");
    for (int pass = 0; pass < passes; pass++)
        for (j->row = 0; j->row < h; j->row++)
            png_read_row(j->png, j->picture->pixels + (size_t)j->row * w * 4, NULL);
    png_read_end(j->png, j->info);
    png_uint_32 n = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(j->png, j->info, &n, &exif) && exif)
        j->picture->orientation = exif_orientation(exif, n);
    set_square(j->picture, h, w, 1);
    nas_flatten(j->picture->pixels, (size_t)h * w, j->picture->channels);
}

/* ---- JPEG ---- */

static void jpeg_failed(j_common_ptr common) {
    job *j = common->client_data;
    char why[JMSG_LENGTH_MAX];
    common->err->format_message(common, why);
    give_up(j, NAS_ERR_INPUT, "%s", why);
}

/* Damage is a mere warning to libjpeg, which fills in grey; here it is an error. */
static void jpeg_warned(j_common_ptr common, int level) {
    int code = common->err->msg_code;
    bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM ||
                    code == JWRN_JFIF_MAJOR || code == JWRN_NOT_SEQUENTIAL;
    if (level < 0 && !harmless) jpeg_failed(common);
}

static void jpeg_silent(j_common_ptr common) {
    (void)common;
}

/* A small file can ask for thousands of passes over a large image. */
static void jpeg_progressed(j_common_ptr common) {
    job *j = common->client_data;
    if (j->jpeg.input_scan_number > JPEG_SCANS)
        give_up(j, NAS_ERR_INPUT, "more than %d scans", JPEG_SCANS);
}

static void start_jpeg(job *j) {
    struct jpeg_decompress_struct *jpeg = &j->jpeg;
    jpeg->err = jpeg_std_error(&j->errors);
    jpeg->client_data = j;
    j->errors.error_exit = jpeg_failed;
    j->errors.emit_message = jpeg_warned;
    j->errors.output_message = jpeg_silent;
    jpeg_create_decompress(jpeg);
    j->progress.progress_monitor = jpeg_progressed;
    jpeg->progress = &j->progress;
    jpeg_stdio_src(jpeg, j->file);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
}

static int jpeg_orientation(const struct jpeg_decompress_struct *jpeg) {
    static const char head[6] = "Exif\0";
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        if (m->data_length > sizeof head && memcmp(m->data, head, sizeof head) == 0)
            return exif_orientation(m->data + sizeof head, m->data_length - sizeof head);
    return UPRIGHT;
}

/* Pixels of the square, which begins at `start`, that a whole number of places of `scale` pixels
 * does not reach: the last place is a mean of these and of what pads the file's last block. */
static uint32_t cut_off(uint32_t start, uint32_t square, uint32_t length, uint32_t scale) {
    uint32_t end = start + square, whole = length / scale * scale;
    return end > whole ? end - whole : 0;
}

/* How much smaller a JPEG is decoded: an eighth, quarter or half of its size as long as at least
 * four times the wanted side is left, so that decoding and resizing give what resizing alone would,
 * and as long as what the last places hide is too little to be seen. */
static uint32_t jpeg_scale(const struct jpeg_decompress_struct *jpeg, uint32_t side) {
    uint32_t w = jpeg->image_width, h = jpeg->image_height, square = h < w ? h : w;
    for (uint32_t scale = 8; scale > 1; scale /= 2) {
        uint32_t across = cut_off((w - square + 1) / 2, square, w, scale);
        uint32_t down = cut_off((h - square + 1) / 2, square, h, scale);
        uint64_t most = across > down ? across : down;
        if (square / scale >= 4 * side && most * 64 * side <= square) return scale;
    }
    return 1;
}

static void read_jpeg(job *j) {
    struct jpeg_decompress_struct *jpeg = &j->jpeg;
    start_jpeg(j);
    if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
        give_up(j, NAS_ERR_INPUT, "CMYK colours; convert the file to RGB");
    jpeg->out_color_space = j->picture->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg->scale_denom = jpeg_scale(jpeg, j->picture->side);
    j->picture->orientation = jpeg_orientation(jpeg);
    make_room(j, jpeg->image_height, jpeg->image_width, j->picture->channels);
    jpeg_start_decompress(jpeg);
    j->picture->h = jpeg->output_height;
    j->picture->w = jpeg->output_width;
    size_t row_bytes = (size_t)jpeg->output_width * j->picture->channels;
    while (jpeg->output_scanline < jpeg->output_height) {
        j->row = jpeg->output_scanline * jpeg->scale_denom;
        JSAMPROW row = j->picture->pixels + jpeg->output_scanline * row_bytes;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
    set_square(j->picture, jpeg->image_height, jpeg->image_width, jpeg->scale_denom);
}

/* ---- WebP ---- */

static uint8_t *read_file(job *j, size_t *n) {
    if (fseeko(j->file, 0, SEEK_END)) give_up(j, NAS_ERR_IO, "%s", strerror(errno));
    off_t bytes = ftello(j->file);
    rewind(j->file);
    if (bytes < 0 || bytes > WEBP_BYTES)
        give_up(j, NAS_ERR_INPUT, "expected at most %d bytes", WEBP_BYTES);
    *n = (size_t)bytes;
    j->data = malloc(*n + 1);
    if (!j->data) give_up(j, NAS_ERR_MEMORY, "out of memory");
    if (fread(j->data, 1, *n, j->file) != *n) give_up(j, NAS_ERR_IO, "the file cannot be read");
    return j->data;
}

/* The chunk "EXIF" of a RIFF file. */
static int webp_orientation(const uint8_t *data, size_t n) {
    for (size_t at = 12; at + 8 <= n;) {
        size_t bytes = number(data + at + 4, 4, true);
        if (bytes > n - at - 8) break;
        if (memcmp(data + at, "EXIF", 4) == 0) {
            size_t head = bytes > 6 && memcmp(data + at + 8, "Exif\0", 6) == 0 ? 6 : 0;
            return exif_orientation(data + at + 8 + head, bytes - head);
        }
        at += 8 + bytes + bytes % 2;
    }
    return UPRIGHT;
}

static void read_webp(job *j) {
    size_t n;
    const uint8_t *data = read_file(j, &n);
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(data, n, &features) != VP8_STATUS_OK)
        give_up(j, NAS_ERR_INPUT, "no WebP image, or a damaged one");
    if (features.has_animation)
        give_up(j, NAS_ERR_INPUT, "an animation; expected one image, keep one of its frames");
    uint32_t h = (uint32_t)features.height, w = (uint32_t)features.width;
    make_room(j, h, w, 4);
    if (!WebPDecodeRGBAInto(data, n, j->picture->pixels, (size_t)4 * h * w, (int)(4 * w)))
        give_up(j, NAS_ERR_INPUT, "the WebP image is damaged");
    j->picture->orientation = webp_orientation(data, n);
    set_square(j->picture, h, w, 1);
    nas_flatten(j->picture->pixels, (size_t)h * w, j->picture->channels);
}

/* ---- Any of them ---- */

/* Decodes by what the file begins with, whatever its name says. On failure j->why says why. */
static int decode(job *j) {
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t magic[12];
    if (setjmp(j->start)) return j->code;
    size_t got = fread(magic, 1, sizeof magic, j->file);
    if (ferror(j->file)) give_up(j, NAS_ERR_IO, "%s", strerror(errno));
    rewind(j->file);
    j->picture->orientation = UPRIGHT;
    if (got >= 8 && !memcmp(magic, png, 8))
        read_png(j);
    else if (got >= 3 && magic[0] == 0xff && magic[1] == 0xd8 && magic[2] == 0xff)
        read_jpeg(j);
    else if (got == 12 && !memcmp(magic, "RIFF", 4) && !memcmp(magic + 8, "WEBP", 4))
        read_webp(j);
    else
        give_up(j, NAS_ERR_INPUT, "%s",
                got ? "neither a PNG nor a JPEG or WebP file" : "the file is empty");
    return NAS_OK;
}

int nas_image_decode(FILE *file, const char *name, nas_picture *p, nas_error *err) {
    job *j = calloc(1, sizeof *j);
    if (!j) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    j->file = file;
    j->picture = p;
    errno = 0;
    int rc = decode(j);
    if (rc) {
        const char *why = nas_data_why(j->why);
        rc = nas_data_code(rc);
        long long at = (long long)ftello(file);
        if (j->jpeg.src) at -= (long long)j->jpeg.src->bytes_in_buffer;
        nas_fail(err, rc, "%s: offset %lld, row %u: %s", name, at, j->row, why);
    }
    if (j->png) png_destroy_read_struct(&j->png, &j->info, NULL);
    if (j->jpeg.err) jpeg_destroy_decompress(&j->jpeg);
    free(j->data);
    free(j);
    return rc;
}
