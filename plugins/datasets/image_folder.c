/* Images as PNG and JPEG files, one folder a class. Only names are kept in memory: a file is
 * decoded, cut to a square and resized when it is asked for. The order of images and classes is
 * that of their names' bytes, so it is the same on every machine. */
#include <dirent.h>
#include <errno.h>
#include <jerror.h>
#include <limits.h>
#include <nashost/dataset_files.h>
#include <nashost/resize.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <jpeglib.h> /* needs stdio.h and stddef.h before it */

enum { MAX_SCANS = 100, MAX_CLASSES = 65536 };

typedef struct folder_config {
    const char *train, *test, *unlabelled;
    double test_share;
    int64_t side, channels, max_side;
    bool flip;
} folder_config;

static const nas_option options[] = {
    /* the first three in the order of nas_split */
    {"train", NAS_TYPE_PATH, NULL, offsetof(folder_config, train), 0, 0, NULL,
     "folder with one folder of .png, .jpg and .jpeg files for each class", NULL},
    {"test", NAS_TYPE_PATH, "null", offsetof(folder_config, test), 0, 0, NULL,
     "folder of test images, likewise; left out: test_share of train is set apart", NULL},
    {"unlabelled", NAS_TYPE_PATH, "null", offsetof(folder_config, unlabelled), 0, 0, NULL,
     "folder of further images, without labels and without folders in it", NULL},
    {"test_share", NAS_TYPE_FLOAT, "0.2", offsetof(folder_config, test_share), 0.001, 0.9, NULL,
     "without \"test\": share of train's images that are test images instead; which ones depends "
     "on their names alone",
     NULL},
    {"side", NAS_TYPE_INT, NULL, offsetof(folder_config, side), 4, 1024, "pixels",
     "height and width that images get: the largest square in the middle is resized", NULL},
    {"channels", NAS_TYPE_INT, "3", offsetof(folder_config, channels), 1, 3, NULL,
     "3 (colour) or 1 (grey); files of the other kind are converted", NULL},
    {"max_side", NAS_TYPE_INT, "8192", offsetof(folder_config, max_side), 4, 65500, "pixels",
     "larger images are refused, as decoding may take 8 bytes a pixel", NULL},
    {"flip", NAS_TYPE_BOOL, "true", offsetof(folder_config, flip), 0, 0, NULL,
     "a mirrored image keeps its class; false for digits and letters", NULL},
    {0},
};

typedef struct item {
    char *path;
    int32_t label; /* -1: none */
} item;

/* The images of one split. */
typedef struct item_list {
    item *items;
    size_t n;
} item_list;

typedef struct image_folder {
    const folder_config *config;
    item_list lists[NAS_SPLITS];
    char *classes[MAX_CLASSES];
    size_t n_classes;
    size_t skipped; /* files that are no images by their names */
    char first_skipped[PATH_MAX];
} image_folder;

/* ---- Decoding ---- */

/* A decoded image. The memory is used again for the next one. */
typedef struct picture {
    uint8_t *pixels; /* [h][w][channels] */
    size_t room;     /* bytes */
    uint32_t h, w, channels;
} picture;

/* One file on its way into a picture. The libraries report errors by a jump back to its start. */
typedef struct job {
    const folder_config *config;
    FILE *file;
    picture *picture;
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

NAS_PRINTF(3, 4) _Noreturn static void give_up(job *j, int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(j->why, sizeof j->why, format, args);
    va_end(args);
    j->code = code;
    longjmp(j->start, 1);
}

/* Makes room for h x w pixels of `bytes` bytes. */
static void size_picture(job *j, uint32_t h, uint32_t w, uint32_t bytes) {
    picture *p = j->picture;
    uint32_t limit = (uint32_t)j->config->max_side;
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
    size_picture(j, h, w, 4);
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
    if (j->jpeg.input_scan_number > MAX_SCANS)
        give_up(j, NAS_ERR_INPUT, "more than %d scans", MAX_SCANS);
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
    uint32_t wanted = 2 * (uint32_t)j->config->side;
    jpeg->scale_denom = 8;
    while (jpeg->scale_denom > 1 && (jpeg->image_height / jpeg->scale_denom < wanted ||
                                     jpeg->image_width / jpeg->scale_denom < wanted))
        jpeg->scale_denom /= 2;
    size_picture(j, jpeg->image_height, jpeg->image_width, j->picture->channels);
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
static int run_job(job *j) {
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

/* Decodes an open file into a picture whose channels are set. */
static int decode(const folder_config *config, FILE *file, const char *path, picture *p,
                  nas_error *err) {
    job *j = calloc(1, sizeof *j);
    if (!j) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    j->config = config;
    j->file = file;
    j->picture = p;
    int rc = run_job(j);
    if (rc) {
        long long at = (long long)ftello(file);
        if (j->jpeg.src) at -= (long long)j->jpeg.src->bytes_in_buffer;
        nas_fail(err, rc, "%s: offset %lld, row %u: %s", path, at, j->row, j->why);
    }
    if (j->png) png_destroy_read_struct(&j->png, &j->info, NULL);
    if (j->jpeg.err) jpeg_destroy_decompress(&j->jpeg);
    free(j);
    return rc;
}

static int decode_path(const folder_config *config, const char *path, picture *p, nas_error *err) {
    struct stat status;
    if (!stat(path, &status) && !S_ISREG(status.st_mode))
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected a file", path);
    FILE *file = fopen(path, "rb");
    if (!file) return nas_fail(err, NAS_ERR_IO, "%s: %s", path, strerror(errno));
    int rc = decode(config, file, path, p, err);
    fclose(file);
    return rc;
}

/* ---- Listing ---- */

/* The names in a split's folder or in one of a class, sorted; free_names frees them. */
static int list_names(const char *path, nas_split split, struct dirent ***names, int *n,
                      nas_error *err) {
    *n = scandir(path, names, nas_not_hidden, nas_by_bytes);
    if (*n >= 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: %s; expected a folder; see the option \"%s\"", path,
                    strerror(errno), options[split].name);
}

static void free_names(struct dirent **names, int n) {
    for (int i = 0; i < n; i++) free(names[i]);
    free(names);
}

static int join(const char *base, const char *name, char path[PATH_MAX], nas_error *err) {
    int n = snprintf(path, PATH_MAX, "%s/%s", base, name);
    if (n > 0 && n < PATH_MAX) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%.200s/%.200s: the path is too long", base, name);
}

static bool named_as_image(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot &&
           (!strcasecmp(dot, ".png") || !strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"));
}

static void skip(image_folder *self, const char *path) {
    if (!self->skipped++) snprintf(self->first_skipped, sizeof self->first_skipped, "%s", path);
}

static int append(item_list *list, const char *path, int32_t label, nas_error *err) {
    if (!(list->n & (list->n - 1))) { /* full whenever it has a power of two */
        item *items = realloc(list->items, (list->n ? 2 * list->n : 1) * sizeof *items);
        if (!items) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
        list->items = items;
    }
    list->items[list->n].label = label;
    list->items[list->n].path = strdup(path);
    if (!list->items[list->n].path) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    list->n++;
    return NAS_OK;
}

/* Whether an image of train goes to test, by a hash of its path in train (FNV-1a, mixed once more):
 * adding or removing other images does not move it. */
static bool set_apart(const image_folder *self, const char *path) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *at = path + strlen(self->config->train); *at; at++)
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    return (double)(hash >> 33) < self->config->test_share * 2147483648.0;
}

/* Appends the images of one folder; those set apart go to the test split. */
static int list_images(image_folder *self, nas_split split, const char *path, int32_t label,
                       nas_error *err) {
    struct dirent **names;
    char image[PATH_MAX];
    int n, rc = list_names(path, split, &names, &n, err);
    if (rc) return rc;
    bool share = split == NAS_SPLIT_TRAIN && !self->config->test;
    for (int i = 0; i < n && !rc; i++) {
        rc = join(path, names[i]->d_name, image, err);
        nas_split to = share && set_apart(self, image) ? NAS_SPLIT_TEST : split;
        if (!named_as_image(names[i]->d_name))
            skip(self, image);
        else if (!rc)
            rc = append(&self->lists[to], image, label, err);
    }
    free_names(names, n);
    return rc;
}

/* Finds the label of a class folder; one of train that is not known yet becomes a class. */
static int find_class(image_folder *self, nas_split split, const char *name, const char *path,
                      int32_t *label, nas_error *err) {
    size_t c = 0;
    while (c < self->n_classes && strcmp(self->classes[c], name) != 0) c++;
    *label = (int32_t)c;
    if (c < self->n_classes) return NAS_OK;
    if (split != NAS_SPLIT_TRAIN)
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected the name of a class folder of %s", path,
                        self->config->train);
    if (c == MAX_CLASSES)
        return nas_fail(err, NAS_ERR_INPUT, "%s: more than %d classes", path, MAX_CLASSES);
    self->classes[c] = strdup(name);
    if (!self->classes[c]) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->n_classes++;
    return NAS_OK;
}

static int list_class(image_folder *self, nas_split split, const char *name, const char *path,
                      nas_error *err) {
    struct stat status;
    if (stat(path, &status) || !S_ISDIR(status.st_mode)) {
        skip(self, path);
        return NAS_OK;
    }
    size_t before = self->lists[split].n;
    int32_t label;
    int rc = find_class(self, split, name, path, &label, err);
    if (!rc) rc = list_images(self, split, path, label, err);
    if (!rc && split == NAS_SPLIT_TRAIN && self->lists[split].n == before)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: no .png, .jpg or .jpeg file for training%s; fill or remove the folder",
                      path, self->config->test ? "" : " is left by the option \"test_share\"");
    return rc;
}

/* Lists a folder of class folders. */
static int list_classes(image_folder *self, nas_split split, const char *path, nas_error *err) {
    struct dirent **names;
    char inner[PATH_MAX];
    int n, rc = list_names(path, split, &names, &n, err);
    if (rc) return rc;
    for (int i = 0; i < n && !rc; i++) {
        rc = join(path, names[i]->d_name, inner, err);
        if (!rc) rc = list_class(self, split, names[i]->d_name, inner, err);
    }
    free_names(names, n);
    return rc;
}

static int list_all(image_folder *self, nas_error *err) {
    const folder_config *config = self->config;
    if (config->channels == 2)
        return nas_fail(err, NAS_ERR_INPUT, "option \"channels\": expected 1 or 3, found 2");
    int rc = list_classes(self, NAS_SPLIT_TRAIN, config->train, err);
    if (!rc && self->n_classes < 2)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: expected a folder for each of at least two classes, found %zu",
                      config->train, self->n_classes);
    if (!rc && config->test) rc = list_classes(self, NAS_SPLIT_TEST, config->test, err);
    if (!rc && !self->lists[NAS_SPLIT_TEST].n)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: no test image; see the options \"test\" and \"test_share\"",
                      config->test ? config->test : config->train);
    if (rc || !config->unlabelled) return rc;
    rc = list_images(self, NAS_SPLIT_EXTRA, config->unlabelled, -1, err);
    if (!rc && !self->lists[NAS_SPLIT_EXTRA].n)
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: no .png, .jpg or .jpeg file in it",
                      config->unlabelled);
    return rc;
}

/* ---- Recognising ---- */

enum { SAMPLES = 8, LARGEST = 64 };

/* A folder that may hold class folders. */
typedef struct tree {
    size_t classes;
    char images[SAMPLES][PATH_MAX]; /* the first one of each of the first classes */
} tree;

static void keep_first(void *context, const char *name, const char *path) {
    char *first = context;
    if (!*first && named_as_image(name)) snprintf(first, PATH_MAX, "%s", path);
}

static void look_at_class(void *context, const char *name, const char *path) {
    tree *t = context;
    char first[PATH_MAX] = "";
    (void)name;
    if (nas_each_entry(path, keep_first, first, NULL) || !*first) return;
    if (t->classes < SAMPLES) memcpy(t->images[t->classes], first, sizeof first);
    t->classes++;
}

/* The folders that a data set may come in, in the order of nas_split. */
typedef struct parts {
    char paths[NAS_SPLITS][PATH_MAX];
} parts;

static void look_at_part(void *context, const char *name, const char *path) {
    static const char *const words[NAS_SPLITS][5] = {{"train", "training"},
                                                     {"test", "testing", "val", "validation"},
                                                     {"unlabelled", "unlabeled"}};
    parts *p = context;
    for (int s = 0; s < NAS_SPLITS; s++)
        for (int i = 0; words[s][i]; i++)
            if (!strcasecmp(name, words[s][i]) && !p->paths[s][0])
                snprintf(p->paths[s], PATH_MAX, "%s", path);
}

static bool is_grey(const picture *p) {
    for (size_t i = 0; i < (size_t)p->h * p->w; i++)
        if (p->pixels[3 * i] != p->pixels[3 * i + 1] || p->pixels[3 * i] != p->pixels[3 * i + 2])
            return false;
    return true;
}

/* A side that no sample is smaller than, a multiple of 4, and whether one has colours. */
static int look_at_images(const tree *t, uint32_t *side, bool *coloured, nas_error *err) {
    const folder_config config = {.side = 1024, .channels = 3, .max_side = 65500};
    picture p = {.channels = 3};
    int rc = NAS_OK;
    *side = LARGEST;
    *coloured = false;
    for (size_t i = 0; i < t->classes && i < SAMPLES && !rc; i++) {
        rc = decode_path(&config, t->images[i], &p, err);
        if (rc) break;
        uint32_t least = p.h < p.w ? p.h : p.w;
        if (least < *side) *side = least;
        *coloured = *coloured || !is_grey(&p);
    }
    *side = *side < 8 ? 8 : *side / 4 * 4;
    free(p.pixels);
    return rc;
}

static int folder_look(const char *folder, nas_recognised *found, nas_error *err) {
    static const char *const names[] = {"train", "test", "unlabelled"};
    tree t = {0};
    parts p = {0};
    char number[16];
    uint32_t side;
    bool coloured;
    int rc = nas_each_entry(folder, look_at_part, &p, err);
    if (!p.paths[0][0]) snprintf(p.paths[0], PATH_MAX, "%s", folder);
    if (!rc) rc = nas_each_entry(p.paths[0], look_at_class, &t, err);
    if (rc || t.classes < 2) return rc;
    rc = look_at_images(&t, &side, &coloured, err);
    if (rc) return rc;
    for (int s = 0; s < NAS_SPLITS; s++)
        if (p.paths[s][0]) nas_recognised_text(found, names[s], p.paths[s]);
    snprintf(number, sizeof number, "%u", side);
    nas_recognised_json(found, "side", number);
    nas_recognised_json(found, "channels", coloured ? "3" : "1");
    snprintf(
        found->note, sizeof found->note,
        "%zu class folders; images become squares of %u x %u; set \"flip\" to false for digits "
        "and letters",
        t.classes, side, side);
    return NAS_OK;
}

NAS_RECOGNISER(folder_look)

/* ---- The plugin ---- */

static void folder_destroy(void *instance) {
    image_folder *self = instance;
    if (!self) return;
    for (int s = 0; s < NAS_SPLITS; s++) {
        for (size_t i = 0; i < self->lists[s].n; i++) free(self->lists[s].items[i].path);
        free(self->lists[s].items);
    }
    for (size_t c = 0; c < self->n_classes; c++) free(self->classes[c]);
    free(self);
}

static int folder_create(const nas_host *host, const void *config, void **instance,
                         nas_error *err) {
    char line[PATH_MAX + 100];
    image_folder *self = calloc(1, sizeof *self);
    if (!self) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    self->config = config;
    int rc = list_all(self, err);
    if (rc) {
        folder_destroy(self);
        return rc;
    }
    snprintf(line, sizeof line, "%zu files that are no .png, .jpg or .jpeg are left out, first %s",
             self->skipped, self->first_skipped);
    if (self->skipped) host->log(host, NAS_WARNING, line);
    *instance = self;
    return NAS_OK;
}

static int folder_info(void *instance, nas_dataset_info *info, nas_error *err) {
    (void)err;
    const image_folder *self = instance;
    info->height = info->width = (uint32_t)self->config->side;
    info->channels = (uint32_t)self->config->channels;
    info->classes = (uint32_t)self->n_classes;
    for (int s = 0; s < NAS_SPLITS; s++) info->count[s] = self->lists[s].n;
    info->class_names = (const char *const *)self->classes;
    info->flip = self->config->flip;
    return NAS_OK;
}

static int folder_read(void *instance, nas_split split, const uint64_t *indices, size_t n,
                       uint8_t *images, int32_t *labels, nas_error *err) {
    const image_folder *self = instance;
    const item_list *list = &self->lists[split];
    uint32_t side = (uint32_t)self->config->side;
    picture p = {.channels = (uint32_t)self->config->channels};
    int rc = NAS_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        const item *wanted = indices[i] < list->n ? &list->items[indices[i]] : NULL;
        rc = wanted ? decode_path(self->config, wanted->path, &p, err)
                    : nas_fail(err, NAS_ERR_PLUGIN, "image %llu was asked for, of a split of %zu",
                               (unsigned long long)indices[i], list->n);
        if (!rc)
            rc = nas_resize_square(p.pixels, p.h, p.w, p.channels, side,
                                   images + i * side * side * p.channels, err);
        if (!rc && labels) labels[i] = wanted->label;
    }
    free(p.pixels);
    return rc;
}

static const nas_dataset_api api = {.size = sizeof api, .info = folder_info, .read = folder_read};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof plugin,
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_DATASET,
    .id = "image_folder",
    .version = "1.0.0",
    .summary = "PNG and JPEG files, one folder a class, cut to squares and resized",
    .license = "Apache-2.0",
    .source = "https://libpng.org, https://libjpeg-turbo.org",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(folder_config),
    .create = folder_create,
    .destroy = folder_destroy,
    .vtable = &api,
    .extension = recogniser_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
