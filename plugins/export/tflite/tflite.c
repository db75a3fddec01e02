/* Writes a subnet as a LiteRT model (TensorFlow Lite's .tflite): input "image" [1][h][w][c], output
 * "logits" [1][classes]; in float32, with weights in float16, or in 8 bits throughout. Format:
 * https://ai.google.dev/edge/litert */
#include "metadata.h"
#include "model.h"

#include <nashost/kit/deploy.h>

#include <stdlib.h>
#include <string.h>

enum { FLOAT32, FLOAT16, INT8 };
enum { PER_CHANNEL, PER_TENSOR };

typedef struct tflite_config {
    int dtype, fully_connected;
} tflite_config;

static const char *const dtypes[] = {"float32", "float16", "int8", NULL};
static const char *const scales[] = {"per_channel", "per_tensor", NULL};

static const nas_option options[] = {
    NAS_ENUM("dtype", tflite_config, dtype, "\"float32\"", dtypes,
             "type of the numbers that weights are stored in; with int8, which is quantised after "
             "training, everything is computed in whole numbers, and input and output are int8"),
    NAS_ENUM("fully_connected", tflite_config, fully_connected, "\"per_channel\"", scales,
             "scales of the weights of linear layers in int8: one for each output, or one for all, "
             "for engines that know no other"),
    {0},
};

/* ---- The file ---- */

typedef struct output {
    const flat *model;
    const char *labels; /* NULL: none */
} output;

static bool print(void *context, FILE *file) {
    const output *o = context;
    size_t bytes = o->model->used;
    return fwrite(o->model->data, 1, bytes, file) == bytes &&
           (!o->labels || nas_tflite_append(file, bytes, o->labels));
}

static int write_model(const prepared *p, const graph *g, const char *path, nas_error *err) {
    flat model = {0}, metadata = {0};
    char *labels = nas_tflite_labels(&p->network);
    nas_tflite_put_metadata(&metadata, p);
    nas_tflite_put_model(&model, g, &metadata);
    bool failed = model.failed || metadata.failed || (p->network.class_names && !labels);
    output o = {&model, labels};
    int rc = failed ? nas_fail(err, NAS_ERR_MEMORY, "tflite: out of memory for %s", path)
                    : nas_deploy_write("tflite", path, print, &o, err);
    nas_flat_free(&model);
    nas_flat_free(&metadata);
    free(labels);
    return rc;
}

/* ---- The plugin ---- */

static int write_network(void *self, const nas_network *network, const char *path, nas_error *err) {
    const tflite_config *config = self;
    bool int8 = config->dtype == INT8;
    nas_int8_layer *layers = NULL;
    prepared p = {0};
    int rc = nas_deploy_check("tflite", network, err);
    if (!rc) rc = nas_deploy_check_finite("tflite", network, err);
    if (!rc && int8) rc = nas_int8_check("tflite", network, err);
    if (!rc) rc = nas_tflite_prepare(network, int8, &p, err);
    if (!rc && int8) rc = nas_int8_make_all("tflite", &p.network, &layers, err);
    graph g = {.net = &p.network,
               .int8 = layers,
               .half = config->dtype == FLOAT16,
               .per_tensor = config->fully_connected == PER_TENSOR};
    if (!rc) rc = nas_tflite_build(&g, err);
    if (!rc) rc = write_model(&p, &g, path, err);
    nas_tflite_free_graph(&g);
    nas_int8_free_all(&p.network, layers);
    nas_tflite_free_prepared(&p);
    return rc;
}

static const void *extension(void *self, const char *id) {
    static const nas_int8_api int8 = {.size = sizeof int8};
    const tflite_config *config = self;
    return config && config->dtype == INT8 && strcmp(id, NAS_EXT_INT8) == 0 ? &int8 : NULL;
}

static const nas_export_api api = {
    .size = sizeof api, .extension = "tflite", .write = write_network};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_EXPORT,
    .id = "tflite",
    .version = "0.1.0",
    .summary = "one subnet as a LiteRT (TensorFlow Lite) model, with labels and normalisation",
    .license = "Apache-2.0",
    .source = "https://ai.google.dev/edge/litert",
    .options = options,
    .config_size = sizeof(tflite_config),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
