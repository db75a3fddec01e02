/* Writes a subnet as one C99 file that needs nothing: no library, no allocation, one static arena;
 * in single precision or in 8 bits. */
#include "c_layers.h"
#include "c_text.h"

#include <nashost/kit/arena.h>
#include <nashost/kit/deploy.h>
#include <nashost/kit/int8.h>
#include <nashost/kit/layers.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

typedef struct c_config {
    const char *prefix;
    int dtype; /* 0: float32, 1: int8 */
} c_config;

static const char *const dtypes[] = {"float32", "int8", NULL};

static const nas_option options[] = {
    NAS_STRING("prefix", c_config, prefix, "\"net\"",
               "prefix of the functions' and types' names in the file, a C identifier"),
    NAS_ENUM(
        "dtype", c_config, dtype, "\"float32\"", dtypes,
        "type of the numbers that weights and activations are stored in; int8 is quantised after "
        "training"),
    {0},
};

/* ---- The parts of the file ---- */

typedef struct output {
    FILE *file;
    const nas_network *net;
    const nas_arena *plan;
    const char *prefix;
    const nas_int8_layer *int8; /* [n_layers]; NULL: float32 */
} output;

static void print_code(const output *o, const char *code) {
    nas_c_template(o->file, code, o->prefix);
}

static void print_sizes(const output *o) {
    const nas_network *net = o->net;
    const char *p = o->prefix;
    fprintf(o->file,
            "enum {\n    %s_height = %u,\n    %s_width = %u,\n    %s_channels = %u,\n"
            "    %s_classes = %u,\n",
            p, net->image.h, p, net->image.w, p, net->image.c, p,
            nas_network_layer(net, net->n_layers - 1)->out.c);
    fprintf(o->file,
            "    %s_arena_%s = %llu,     /* of memory */\n"
            "    %s_constant_bytes = %llu /* of flash, besides code */\n};\n\n",
            p, o->int8 ? "bytes" : "floats", (ull)o->plan->elements, p,
            (ull)nas_network_stored_bytes(net, o->int8 ? 1 : 4));
}

static void print_declarations(const output *o) {
    const nas_network *net = o->net;
    const char *p = o->prefix;
    fprintf(
        o->file,
        "/* A subnet of nashost as C99 that needs no library and allocates nothing.\n"
        " * Genome: %s\n"
        " * %s_run is not for several threads at once: it works in one static arena.\n"
        " * Define %s_declarations before including this file for its declarations alone. */\n\n",
        net->genome, p, p);
    print_sizes(o);
    fprintf(o->file, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    fprintf(o->file,
            "/* image: pixels [height][width][channels], 0 to 255; logits [classes]: the largest "
            "is the\n * answer. */\n"
            "void %s_run(const unsigned char *image, float *logits);\n",
            p);
    if (net->class_names)
        fprintf(o->file, "extern const char *const %s_class_names[%s_classes];\n", p, p);
    fprintf(o->file, "\n#ifdef __cplusplus\n}\n#endif\n\n#ifndef %s_declarations\n", p);
}

static void print_class_names(const output *o) {
    if (!o->net->class_names) return;
    fprintf(o->file, "\nconst char *const %s_class_names[%s_classes] = {", o->prefix, o->prefix);
    for (uint32_t i = 0; i < o->net->classes; i++) {
        fputs(i ? ", " : "", o->file);
        nas_c_string(o->file, o->net->class_names[i]);
    }
    fputs("};\n", o->file);
}

/* ---- Numbers ---- */

/* Layers' names are the host's, such as "stage0.block1.expand". */
static void print_name(const output *o, const nas_layer *layer, const char *part) {
    fprintf(o->file, "%s_", o->prefix);
    for (const char *c = layer->name; *c; c++)
        fputc(isalnum((unsigned char)*c) ? *c : '_', o->file);
    fprintf(o->file, "_%s", part);
}

static void print_floats(const output *o, const nas_layer *layer, const char *part,
                         const float *values, uint64_t n) {
    fputs("\nstatic const float ", o->file);
    print_name(o, layer, part);
    fprintf(o->file, "[%llu] = {", (ull)n);
    for (uint64_t i = 0; i < n; i++) {
        fputs(i % 8 ? ", " : i ? ",\n    " : "\n    ", o->file);
        nas_c_float(o->file, values[i]);
    }
    fputs("};\n", o->file);
}

static void print_weights(const output *o) {
    for (uint32_t i = 0; i < o->net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(o->net, i);
        if (!layer->weights) continue;
        print_floats(o, layer, "weight", layer->weight, layer->weights);
        print_floats(o, layer, "bias", layer->bias, layer->biases);
    }
}

/* ---- Code ---- */

/* The code of each operation of the first n layers, once. */
static void print_used(const output *o, const char *(*code)(uint32_t op), uint32_t n) {
    bool done[NAS_OP_ADD + 1] = {false};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t op = nas_network_layer(o->net, i)->op;
        if (!done[op]) print_code(o, code(op));
        for (uint32_t k = 1; k <= NAS_OP_ADD; k++) done[k] = done[k] || code(k) == code(op);
    }
}

static bool has_activation(const output *o, uint32_t activation) {
    for (uint32_t i = 0; i < o->net->n_layers; i++)
        if (nas_network_layer(o->net, i)->activation == activation) return true;
    return false;
}

/* The function of activations, which knows the first ones and those that are used. */
static void print_activation(const output *o) {
    if (has_activation(o, NAS_ACT_SWISH) || has_activation(o, NAS_ACT_SIGMOID))
        print_code(o, nas_c_float_exp);
    print_code(o, nas_c_float_activation);
    for (uint32_t a = NAS_ACT_NONE; a <= NAS_ACT_SIGMOID; a++)
        if (nas_c_float_activation_more(a) && has_activation(o, a))
            nas_c_line(o->file, nas_c_float_activation_more(a), o->prefix);
    nas_c_line(o->file, nas_c_float_activation_end, o->prefix);
}

/* The place of a tensor (0: the image); the last result is the caller's. */
static void print_place(const output *o, int32_t index) {
    if (index == (int32_t)o->plan->n - 1) {
        fputs("logits", o->file);
    } else {
        fprintf(o->file, "%s_arena + %llu", o->prefix,
                (ull)nas_arena_place(o->plan, (uint32_t)index));
    }
}

/* A linear layer is a convolution of one pixel. */
static void print_filter_call(const output *o, const nas_layer *layer, uint32_t i) {
    bool depthwise = layer->op == NAS_OP_DEPTHWISE;
    fprintf(o->file, "    %s_%s(", o->prefix, depthwise ? "depthwise" : "conv");
    print_place(o, layer->input[0] + 1);
    fprintf(o->file, ", %u, %u, %u, ", layer->in.h, layer->in.w, layer->in.c);
    print_name(o, layer, "weight");
    fputs(", ", o->file);
    print_name(o, layer, "bias");
    fprintf(o->file, ", %u, %u, %u, %u, ", layer->kernel, layer->stride, layer->pad_before,
            layer->activation);
    print_place(o, (int32_t)i + 1);
    fprintf(o->file, ", %u, %u", layer->out.h, layer->out.w);
    if (!depthwise) fprintf(o->file, ", %u", layer->out.c);
    fputs(");\n", o->file);
}

static void print_other_call(const output *o, const nas_layer *layer, uint32_t i) {
    uint32_t pixels = layer->in.h * layer->in.w;
    fprintf(o->file, "    %s_%s(", o->prefix, nas_op_name(layer->op));
    print_place(o, layer->input[0] + 1);
    if (layer->input[1] != NAS_INPUT_NONE) {
        fputs(", ", o->file);
        print_place(o, layer->input[1] + 1);
    }
    if (layer->op == NAS_OP_ADD)
        fprintf(o->file, ", %llu, ", (ull)nas_shape_elements(layer->out));
    else
        fprintf(o->file, ", %u, %u, ", pixels, layer->in.c);
    print_place(o, (int32_t)i + 1);
    fputs(");\n", o->file);
    if (!layer->activation) return;
    fprintf(o->file, "    %s_activate(", o->prefix);
    print_place(o, (int32_t)i + 1);
    fprintf(o->file, ", %llu, %u);\n", (ull)nas_shape_elements(layer->out), layer->activation);
}

/* Pixels to (pixel / 255 - mean) / std in the image's place. */
static void print_normalisation(const output *o) {
    const nas_network *net = o->net;
    uint32_t c = net->image.c;
    fprintf(o->file, "    static const float scale[%u] = {", c);
    for (uint32_t i = 0; i < c; i++) {
        fputs(i ? ", " : "", o->file);
        nas_c_float(o->file, (float)(1 / (255 * (double)net->std[i])));
    }
    fprintf(o->file, "};\n    static const float shift[%u] = {", c);
    for (uint32_t i = 0; i < c; i++) {
        fputs(i ? ", " : "", o->file);
        nas_c_float(o->file, (float)(-(double)net->mean[i] / (double)net->std[i]));
    }
    fprintf(o->file,
            "};\n    int i;\n    for (i = 0; i < %llu; i++)\n"
            "        %s_arena[%llu + i] = (float)image[i] * scale[i %% %u] + shift[i %% %u];\n",
            (ull)nas_shape_elements(net->image), o->prefix, (ull)nas_arena_place(o->plan, 0), c, c);
}

static void print_run(const output *o) {
    fprintf(o->file, "\nstatic float %s_arena[%s_arena_floats];\n", o->prefix, o->prefix);
    fprintf(o->file, "\nvoid %s_run(const unsigned char *image, float *logits) {\n", o->prefix);
    print_normalisation(o);
    for (uint32_t i = 0; i < o->net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(o->net, i);
        if (nas_layer_weighs(layer))
            print_filter_call(o, layer, i);
        else
            print_other_call(o, layer, i);
    }
    fputs("}\n\n#endif\n", o->file);
}

/* ---- 8 bits ---- */

static void print_int8_functions(const output *o) {
    if (o->net->n_layers > 1) print_code(o, nas_c_int8_narrow);
    print_used(o, nas_c_int8_code, o->net->n_layers - 1);
    print_code(o, nas_c_int8_last);
}

static void print_whole(const output *o, const nas_layer *layer, const char *part, nas_c_at_fn at,
                        const void *values, uint64_t n) {
    fprintf(o->file, "\nstatic const %s ", at == nas_c_byte_at ? "signed char" : "int");
    print_name(o, layer, part);
    fprintf(o->file, "[%llu] = ", (ull)n);
    nas_c_list(o->file, at, values, n);
}

/* Each filter's weights side by side. */
static bool print_int8_weights(const output *o, const nas_layer *layer, const nas_int8_layer *q) {
    size_t out = layer->out.c, each = layer->weights / out;
    int8_t *turned = malloc(layer->weights);
    for (size_t i = 0; turned && i < layer->weights; i++)
        turned[i] = q->weight[i % each * out + i / each];
    if (turned) print_whole(o, layer, "weight", nas_c_byte_at, turned, layer->weights);
    free(turned);
    return turned != NULL;
}

/* The name of one of a layer's arrays, or 0. */
static void print_part(const output *o, const nas_layer *layer, const char *part, bool there) {
    fputs(", ", o->file);
    if (there)
        print_name(o, layer, part);
    else
        fputc('0', o->file);
}

static void print_int8_layer(const output *o, const nas_layer *layer, const nas_int8_layer *q) {
    fprintf(o->file, "\nstatic const %s_layer ", o->prefix);
    print_name(o, layer, "layer");
    fprintf(o->file, " = {\n    %u, %u, %u, %u, %u, %u, %u, %u, %u, %u, %d, %d, %d, %d",
            layer->in.h, layer->in.w, layer->in.c, layer->out.h, layer->out.w, layer->out.c,
            layer->kernel, layer->stride, layer->pad_before, nas_layer_depth(layer), q->in[0].zero,
            q->in[1].zero, q->shift, q->sum.zero);
    print_part(o, layer, "weight", layer->weights > 0);
    print_part(o, layer, "bias", layer->weights > 0);
    print_part(o, layer, "factor", q->factors > 0);
    print_part(o, layer, "table", q->has_table);
    fputs("};\n", o->file);
}

static bool print_int8_constants(const output *o) {
    bool good = true;
    for (uint32_t i = 0; i < o->net->n_layers && good; i++) {
        const nas_layer *layer = nas_network_layer(o->net, i);
        const nas_int8_layer *q = &o->int8[i];
        if (layer->weights) good = print_int8_weights(o, layer, q);
        if (layer->weights) print_whole(o, layer, "bias", nas_c_int_at, q->bias, layer->out.c);
        if (q->factors) print_whole(o, layer, "factor", nas_c_int_at, q->factor, q->factors);
        if (q->has_table) print_whole(o, layer, "table", nas_c_byte_at, q->table, 256);
        print_int8_layer(o, layer, q);
    }
    return good;
}

/* What each pixel's value becomes once it is normalised; i: 256 for each channel. */
static int pixel_at(const void *network, uint64_t i) {
    return nas_int8_pixel(network, (uint32_t)(i / 256), (uint8_t)(i % 256));
}

static void print_int8_call(const output *o, const nas_layer *layer, uint32_t i) {
    bool last = i + 1 == o->net->n_layers;
    const char *op = layer->weights ? "conv" : nas_op_name(layer->op);
    fprintf(o->file, "    %s_%s(&", o->prefix, last ? "last" : op);
    print_name(o, layer, "layer");
    for (int k = 0; k < 2 && layer->input[k] != NAS_INPUT_NONE; k++) {
        fputs(", ", o->file);
        print_place(o, layer->input[k] + 1);
    }
    fputs(last ? ", scale, " : ", ", o->file);
    print_place(o, (int32_t)i + 1);
    fputs(");\n", o->file);
}

static void print_int8_run(const output *o) {
    const nas_network *net = o->net;
    const nas_int8_layer *last = &o->int8[net->n_layers - 1];
    const char *p = o->prefix;
    fprintf(o->file, "\nstatic signed char %s_arena[%s_arena_bytes];\n", p, p);
    fprintf(o->file, "\nvoid %s_run(const unsigned char *image, float *logits) {\n", p);
    fprintf(o->file, "    static const signed char pixel[%u] = ", 256 * net->image.c);
    nas_c_list(o->file, pixel_at, net, 256 * (uint64_t)net->image.c);
    fprintf(o->file, "    static const float scale[%s_classes] = {", p);
    for (uint32_t c = 0; c < nas_network_layer(net, net->n_layers - 1)->out.c; c++) {
        fputs(c ? ", " : "", o->file);
        nas_c_float(o->file, last->in[0].scale * last->scale[c]);
    }
    fprintf(o->file,
            "};\n    int i;\n    for (i = 0; i < %llu; i++)\n"
            "        %s_arena[%llu + i] = pixel[i %% %u * 256 + image[i]];\n",
            (ull)nas_shape_elements(net->image), p, (ull)nas_arena_place(o->plan, 0), net->image.c);
    for (uint32_t i = 0; i < net->n_layers; i++) print_int8_call(o, nas_network_layer(net, i), i);
    fputs("}\n\n#endif\n", o->file);
}

static bool print_int8(const output *o) {
    print_code(o, nas_c_int8_layer);
    bool good = print_int8_constants(o);
    print_int8_functions(o);
    print_int8_run(o);
    return good;
}

static bool print(void *context, FILE *file) {
    output *o = context;
    bool good = true;
    o->file = file;
    print_declarations(o);
    print_class_names(o);
    if (o->int8) {
        good = print_int8(o);
    } else {
        print_weights(o);
        print_code(o, nas_c_float_restrict);
        print_activation(o);
        print_used(o, nas_c_float_code, o->net->n_layers);
        print_run(o);
    }
    return good && !ferror(file);
}

/* ---- The plugin ---- */

static int write_network(void *self, const nas_network *network, const char *path, nas_error *err) {
    const c_config *config = self;
    nas_int8_layer *int8 = NULL;
    nas_arena plan = {0};
    int rc = nas_deploy_check("c", network, err);
    if (!rc) rc = nas_deploy_check_finite("c", network, err);
    if (!rc && config->dtype) rc = nas_int8_make_all("c", network, &int8, err);
    if (!rc) rc = nas_arena_make(network, &plan, err);
    output o = {.net = network, .plan = &plan, .prefix = config->prefix, .int8 = int8};
    if (!rc) rc = nas_deploy_write("c", path, print, &o, err);
    nas_arena_free(&plan);
    nas_int8_free_all(network, int8);
    return rc;
}

static const void *extension(void *self, const char *id) {
    static const nas_int8_api int8 = {.size = sizeof int8};
    const c_config *config = self;
    return config && config->dtype && strcmp(id, NAS_EXT_INT8) == 0 ? &int8 : NULL;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    const char *prefix = ((const c_config *)config)->prefix;
    bool good = isalpha((unsigned char)*prefix) && strlen(prefix) < 32;
    for (const char *c = prefix; *c; c++) good = good && (isalnum((unsigned char)*c) || *c == '_');
    if (!good)
        return nas_fail(err, NAS_ERR_INPUT,
                        "option \"prefix\": expected a C identifier of 1 to 31 characters that "
                        "begins with a letter, found \"%.60s\"",
                        prefix);
    return nas_plain_create(host, config, self, err);
}

static const nas_export_api api = {.size = sizeof api, .extension = "c", .write = write_network};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_EXPORT,
    .id = "c",
    .version = "0.1.0",
    .summary = "one subnet as a C99 file that needs no library and allocates nothing",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2001.03288",
    .options = options,
    .config_size = sizeof(c_config),
    .create = create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
