#include <nashost/kit/image_file.h>

#include <nashost/kit/resize.h>

#include <errno.h>
#include <jerror.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h> /* needs stdio.h and stddef.h before it */

enum { JPEG_SCANS = 100 }; /* the most that an image may ask for */

/* One file on its way into a picture. The libraries report errors by a jump back to its start. */
typedef struct job {
    FILE *file;
    nas_picture *picture;
    png_structp png;
    png_infop info;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
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
    png_read_end(j->png, NULL);
    nas_flatten(j->picture->pixels, (size_t)h * w, j->picture->channels);
}

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
    jpeg_read_header(jpeg, TRUE);
}

static void read_jpeg(job *j) {
    struct jpeg_decompress_struct *jpeg = &j->jpeg;
    start_jpeg(j);
    if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
        give_up(j, NAS_ERR_INPUT, "CMYK colours; convert the file to RGB");
    jpeg->out_color_space = j->picture->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    /* Photos are far larger than what is wanted: libjpeg decodes them at an eighth, quarter or half
     * of their size, as long as at least twice the wanted side is left. */
    uint32_t wanted = 2 * j->picture->side;
    jpeg->scale_denom = 8;
    while (jpeg->scale_denom > 1 && (jpeg->image_height / jpeg->scale_denom < wanted ||
                                     jpeg->image_width / jpeg->scale_denom < wanted))
        jpeg->scale_denom /= 2;
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
}

/* Decodes by what the file begins with, whatever its name says. On failure j->why says why. */
static int decode(job *j) {
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t magic[8];
    if (setjmp(j->start)) return j->code;
    size_t got = fread(magic, 1, sizeof magic, j->file);
    if (ferror(j->file)) give_up(j, NAS_ERR_IO, "%s", strerror(errno));
    rewind(j->file);
    if (got == 8 && !memcmp(magic, png, 8))
        read_png(j);
    else if (got >= 3 && magic[0] == 0xff && magic[1] == 0xd8 && magic[2] == 0xff)
        read_jpeg(j);
    else
        give_up(j, NAS_ERR_INPUT, "%s",
                got ? "neither a PNG nor a JPEG file" : "the file is empty");
    return NAS_OK;
}

int nas_image_decode(FILE *file, const char *name, nas_picture *p, nas_error *err) {
    job *j = calloc(1, sizeof *j);
    if (!j) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    j->file = file;
    j->picture = p;
    int rc = decode(j);
    if (rc) {
        long long at = (long long)ftello(file);
        if (j->jpeg.src) at -= (long long)j->jpeg.src->bytes_in_buffer;
        nas_fail(err, rc, "%s: offset %lld, row %u: %s", name, at, j->row, j->why);
    }
    if (j->png) png_destroy_read_struct(&j->png, &j->info, NULL);
    if (j->jpeg.err) jpeg_destroy_decompress(&j->jpeg);
    free(j);
    return rc;
}
