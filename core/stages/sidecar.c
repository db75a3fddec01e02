#include "stages/sidecar.h"

#include "base/json.h"
#include "base/memory.h"
#include "host/exporter.h"
#include "run/photos.h"
#include "stages/int8.h"

#include <math.h>
#include <nashost/kit/int8.h>
#include <nashost/kit/layers.h>
#include <nashost/kit/logits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const nas_network *network_of(const nas_sidecar *s) {
    return &s->folded->lowered->network;
}

static json_t *floats_json(const float *values, size_t n) {
    json_t *json = json_array();
    for (size_t i = 0; i < n; i++) nas_json_add(&json, nas_number_json((double)values[i]));
    return json;
}

/* ---- The files ---- */

static json_t *file_json(const char *path) {
    const char *slash = strrchr(path, '/');
    struct stat status;
    json_t *json = json_object();
    nas_json_put(&json, "name", nas_text_json(slash ? slash + 1 : path));
    nas_json_put(&json, "bytes", json_integer(stat(path, &status) ? 0 : status.st_size));
    return json;
}

static json_t *files_json(const nas_sidecar *s) {
    char *second = nas_export_second(s->plugin, s->path);
    json_t *json = json_array();
    nas_json_add(&json, file_json(s->path));
    if (second) nas_json_add(&json, file_json(second));
    free(second);
    return json;
}

/* ---- The input ---- */

static json_t *classes_json(const nas_network *net) {
    if (!net->class_names) return json_integer(net->classes);
    json_t *json = json_array();
    for (uint32_t i = 0; i < net->classes; i++)
        nas_json_add(&json, nas_text_json(net->class_names[i]));
    return json;
}

/* How the data set's plugin made images from files; null: it has no files of pictures. */
static json_t *pictures_json(const nas_context *context) {
    const nas_photo_api *photo = nas_photo_of(&context->dataset);
    if (!photo) return json_null();
    json_t *json = json_object();
    nas_json_put(&json, "side", json_integer(context->source.info.height));
    nas_json_put(&json, "crop", nas_text_json(photo->crop));
    nas_json_put(&json, "resize", nas_text_json(photo->resize));
    nas_json_put(&json, "colour", nas_text_json(photo->colour));
    return json;
}

static json_t *image_json(const nas_sidecar *s) {
    const nas_context *context = s->evaluator->context;
    const nas_dataset_info *info = &context->source.info;
    const nas_shape image = network_of(s)->image;
    bool resized = info->height != image.h || info->width != image.w;
    json_t *json = json_object();
    nas_json_put(&json, "height", json_integer(image.h));
    nas_json_put(&json, "width", json_integer(image.w));
    nas_json_put(&json, "channels", json_integer(image.c));
    nas_json_put(&json, "colours", json_string(image.c == 3 ? "RGB" : "grey"));
    nas_json_put(&json, "from_pictures", pictures_json(context));
    nas_json_put(&json, "then_resized",
                 resized ? json_string("bilinear with half-pixel centres, without anti-aliasing, "
                                       "rounded to whole pixels")
                         : json_null());
    return json;
}

static json_t *normalisation_json(const nas_network *net) {
    json_t *json = json_object();
    nas_json_put(&json, "mean", floats_json(net->mean, net->image.c));
    nas_json_put(&json, "std", floats_json(net->std, net->image.c));
    nas_json_put(&json, "in_network", json_true());
    return json;
}

/* ---- 8 bits ---- */

static json_t *format_json(nas_int8_format format) {
    json_t *json = json_object();
    nas_json_put(&json, "scale", nas_number_json((double)format.scale));
    nas_json_put(&json, "zero", json_integer(format.zero));
    return json;
}

static json_t *layer_json(const nas_layer *layer, const nas_int8_layer *q, bool last) {
    json_t *json = last ? json_object() : format_json(q->result);
    nas_json_put(&json, "name", nas_text_json(layer->name));
    if (q->scale) nas_json_put(&json, "weight_scales", floats_json(q->scale, layer->out.c));
    return json;
}

static int int8_json(const nas_sidecar *s, json_t **json, nas_error *err) {
    const nas_network *net = network_of(s);
    nas_int8_layer *q;
    json_t *layers = json_array();
    *json = json_object();
    int rc = nas_int8_make_all("int8", net, &q, err);
    for (uint32_t i = 0; i < net->n_layers && !rc; i++)
        nas_json_add(&layers, layer_json(nas_network_layer(net, i), &q[i], i + 1 == net->n_layers));
    if (!rc) nas_int8_free_all(net, q);
    nas_json_put(json, "image", format_json(nas_int8_image(net)));
    nas_json_put(json, "layers", layers);
    return rc ? rc : *json ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for 8 bits");
}

/* ---- An example ---- */

static json_t *sample_json(const nas_network *net, const uint8_t *pixels, int32_t label,
                           const float *logits) {
    json_t *json = json_object();
    nas_json_put(&json, "pixels", nas_base64_json(pixels, nas_shape_elements(net->image)));
    nas_json_put(&json, "label", label < 0 ? json_null() : json_integer(label));
    nas_json_put(&json, "logits", floats_json(logits, net->classes));
    nas_json_put(&json, "answer", json_integer((json_int_t)nas_argmax(logits, net->classes)));
    return json;
}

/* The first of the images that calibrate batch norm. */
static int make_sample(const nas_sidecar *s, json_t **json, nas_error *err) {
    const nas_source *source = &s->evaluator->context->source;
    const nas_network *net = network_of(s);
    uint64_t index = s->evaluator->calibration.drawn[0];
    size_t area = nas_source_area(source);
    nas_pixels image = {NULL, 1, source->info.height, source->info.width};
    uint8_t *room = nas_alloc(1, area);
    uint8_t *pixels = nas_alloc(nas_shape_elements(net->image), 1);
    float *logits = nas_alloc(net->classes, sizeof *logits);
    int rc = room && pixels && logits ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (!rc) rc = nas_images_at(&source->train, area, index, room, &image.data, err);
    if (!rc) rc = nas_deployed_pixels(net, &image, pixels, err);
    const nas_pixels whole = {pixels, 1, net->image.h, net->image.w};
    if (!rc)
        rc = nas_deployed_logits(s->evaluator, s->folded, nas_export_int8(s->plugin), &whole,
                                 logits, err);
    *json = rc ? NULL : sample_json(net, pixels, source->train.labels[index], logits);
    free(room);
    free(pixels);
    free(logits);
    return rc;
}

/* ---- The whole ---- */

static json_t *sizes_json(const nas_sidecar *s) {
    const nas_network *net = network_of(s);
    uint32_t bytes = nas_export_int8(s->plugin) ? 1 : 4;
    json_t *json = json_object();
    nas_json_put(&json, "macs", nas_count_json(net->macs));
    nas_json_put(&json, "params", nas_count_json(net->params));
    nas_json_put(&json, "peak_bytes", nas_count_json(net->peak_elements * bytes));
    nas_json_put(&json, "flash_bytes", nas_count_json(nas_network_stored_bytes(net, bytes)));
    return json;
}

static json_t *tested_json(const nas_sidecar *s) {
    if (isnan(s->top1) || nas_export_own_arithmetic(s->plugin)) return json_null();
    json_t *json = json_object();
    nas_json_put(&json, "images", nas_count_json(s->images));
    nas_json_put(&json, "top1", nas_number_json(s->top1));
    nas_json_put(&json, "by",
                 json_string(nas_export_int8(s->plugin)
                                 ? "nashost's arithmetic in 8 bits, on the test images"
                                 : "nashost in single precision, on the test images"));
    return json;
}

static json_t *head_json(const nas_sidecar *s) {
    const nas_plugin *plugin = s->plugin->plugin;
    const nas_network *net = network_of(s);
    uint32_t bits = nas_export_int8(s->plugin);
    json_t *json = json_object();
    nas_json_put(&json, "files", files_json(s));
    nas_json_put(&json, "format", nas_text_json(plugin->id));
    nas_json_put(&json, "about", nas_text_json(plugin->summary));
    nas_json_put(&json, "options", nas_json_copy(s->plugin->resolved));
    nas_json_put(&json, "weight_bits", bits ? json_integer(bits) : json_null());
    nas_json_put(&json, "genome", json_loads(net->genome, 0, NULL));
    nas_json_put(&json, "classes", classes_json(net));
    nas_json_put(&json, "image", image_json(s));
    nas_json_put(&json, "normalisation", normalisation_json(net));
    return json;
}

int nas_sidecar_write(const nas_sidecar *s, nas_error *err) {
    char *path = NULL;
    json_t *int8 = NULL, *sample = NULL, *json = NULL;
    int rc = NAS_OK;
    if (nas_export_int8(s->plugin) && !nas_export_own_arithmetic(s->plugin))
        rc = int8_json(s, &int8, err);
    if (!rc) rc = make_sample(s, &sample, err);
    if (!rc) json = head_json(s);
    nas_json_put(&json, "int8", int8 ? int8 : json_null());
    nas_json_put(&json, "sample", sample);
    nas_json_put(&json, "sizes", sizes_json(s));
    nas_json_put(&json, "tested", tested_json(s));
    if (!rc && asprintf(&path, "%s.json", s->path) < 0) path = NULL;
    if (!rc && (!json || !path))
        rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory for what describes it", s->path);
    if (!rc) rc = nas_json_save(path, json, err);
    free(path);
    json_decref(json);
    return rc;
}
