/* Writes a subnet as one C99 file that needs nothing: no library, no allocation, one static arena.
 * The arena is as large as what lives at once where a plan for that is found, else tensors are
 * placed by falling size (arXiv 2001.03288). */
#include <nashost/deploy.h>

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

typedef unsigned long long ull;

typedef struct c_config {
    const char *prefix;
} c_config;

static const nas_option options[] = {
    {"prefix", NAS_TYPE_STRING, "\"net\"", offsetof(c_config, prefix), 0, 0, NULL,
     "what the names in the file begin with; a C identifier", NULL},
    {0},
};

/* ---- Where tensors lie in the arena ---- */

typedef struct tensor {
    uint64_t elements, offset;
    uint32_t from, to;  /* layers: the one that makes it and the last that reads it */
    uint32_t placed_as; /* the tensor whose place it takes, by its index: itself, or an input */
} tensor;

/* tensor[0] is the image, tensor[i + 1] the result of layer i. */
typedef struct plan {
    tensor *tensors;
    uint32_t *order; /* in which they are placed */
    uint32_t n;
    uint64_t elements; /* of the arena */
} plan;

static uint64_t elements_of(nas_shape shape) {
    return (uint64_t)shape.h * shape.w * shape.c;
}

/* Fills sizes and lives. The image is made before layer 0, which counts as by it; the last result
 * is the caller's, and takes no place. */
static void fill_tensors(plan *p, const nas_network *net) {
    p->tensors[0] = (tensor){.elements = elements_of(net->image)};
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        p->tensors[i + 1] =
            (tensor){.elements = elements_of(layer->out), .from = i, .to = i, .placed_as = i + 1};
        for (int k = 0; k < 2; k++)
            if (layer->input[k] >= NAS_INPUT_IMAGE) p->tensors[layer->input[k] + 1].to = i;
    }
    p->tensors[net->n_layers].elements = 0;
}

/* Additions and scalings write over their first input where that is its last use. */
static void share_places(plan *p, const nas_network *net) {
    for (uint32_t i = 0; i + 1 < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        bool pair = layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE;
        const tensor *first = &p->tensors[layer->input[0] + 1];
        if (!pair || first->to != i) continue;
        tensor *whole = &p->tensors[first->placed_as];
        whole->to = p->tensors[i + 1].to;
        p->tensors[i + 1].placed_as = first->placed_as;
        p->tensors[i + 1].elements = 0;
    }
}

/* The most elements that live at once, which no plan can do without. */
static uint64_t most_alive(const plan *p) {
    uint64_t most = 0;
    for (uint32_t time = 0; time < p->n; time++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < p->n; i++) {
            const tensor *t = &p->tensors[i];
            if (t->from <= time && time <= t->to) sum += t->elements;
        }
        if (sum > most) most = sum;
    }
    return most;
}

/* One of the first n tensors in order that lies where t would and lives at its time; NULL: none. */
static const tensor *obstacle(const plan *p, const tensor *t, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const tensor *other = &p->tensors[p->order[i]];
        bool alive = other->elements && other->from <= t->to && t->from <= other->to;
        if (alive && t->offset < other->offset + other->elements &&
            other->offset < t->offset + t->elements)
            return other;
    }
    return NULL;
}

/* Puts t at the lowest place that the first n tensors leave free. */
static void put_low(const plan *p, tensor *t, uint32_t n) {
    const tensor *other;
    t->offset = 0;
    while ((other = obstacle(p, t, n))) t->offset = other->offset + other->elements;
}

/* Puts t at the highest place within the arena; false: there is none. */
static bool put_high(const plan *p, tensor *t, uint32_t n) {
    const tensor *other;
    if (t->elements > p->elements) return false;
    t->offset = p->elements - t->elements;
    while ((other = obstacle(p, t, n))) {
        if (other->offset < t->elements) return false;
        t->offset = other->offset - t->elements;
    }
    return true;
}

/* Places the i-th tensor and those after it within the arena, each as low or as high as it can be,
 * depth first; gives up after so many tries. */
static bool place_within(const plan *p, uint32_t i, uint32_t *tries) {
    if (i == p->n) return true;
    tensor *t = &p->tensors[i];
    if (!t->elements) return place_within(p, i + 1, tries);
    if (!*tries) return false;
    --*tries;
    put_low(p, t, i);
    if (t->offset + t->elements <= p->elements && place_within(p, i + 1, tries)) return true;
    return put_high(p, t, i) && place_within(p, i + 1, tries);
}

static void sort_by_size(plan *p) {
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t at = i;
        while (at && p->tensors[p->order[at - 1]].elements < p->tensors[i].elements) {
            p->order[at] = p->order[at - 1];
            at--;
        }
        p->order[at] = i;
    }
}

/* By falling size, in an arena as large as it takes. */
static void place_by_size(plan *p) {
    p->elements = 0;
    sort_by_size(p);
    for (uint32_t i = 0; i < p->n; i++) {
        tensor *t = &p->tensors[p->order[i]];
        if (!t->elements) continue;
        put_low(p, t, i);
        if (t->offset + t->elements > p->elements) p->elements = t->offset + t->elements;
    }
}

static void place(plan *p) {
    uint32_t tries = 100000;
    p->elements = most_alive(p);
    for (uint32_t i = 0; i < p->n; i++) p->order[i] = i;
    if (!place_within(p, 0, &tries)) place_by_size(p);
}

static void free_plan(plan *p) {
    free(p->tensors);
    free(p->order);
}

static int make_plan(const nas_network *net, plan *p, nas_error *err) {
    *p = (plan){.n = net->n_layers + 1};
    p->tensors = calloc(p->n, sizeof *p->tensors);
    p->order = calloc(p->n, sizeof *p->order);
    if (!p->tensors || !p->order) {
        free_plan(p);
        return nas_fail(err, NAS_ERR_MEMORY, "c: out of memory");
    }
    fill_tensors(p, net);
    share_places(p, net);
    place(p);
    return NAS_OK;
}

/* ---- The parts of the file ---- */

typedef struct output {
    FILE *file;
    const nas_network *net;
    const plan *plan;
    const char *prefix;
} output;

/* What every network needs, and what only some do; "@" stands for the prefix. */
static const char activation_code[] =
    "static void @_activate(float *x, int n, int activation) {\n"
    "    int i;\n"
    "    for (i = 0; i < n && activation; i++) {\n"
    "        float gate = x[i] + 3 < 0 ? 0 : x[i] + 3 > 6 ? 1 : (x[i] + 3) / 6;\n"
    "        if (activation == 1) x[i] = x[i] > 0 ? x[i] : 0;\n"
    "        if (activation == 2) x[i] *= gate; /* h-swish */\n"
    "        if (activation == 3) x[i] = gate;  /* h-sigmoid */\n"
    "    }\n"
    "}\n";

static const char conv_code[] =
    "/* [h][w][c] by weight [k][k][c][oc] to [oh][ow][oc], zeros outside. */\n"
    "static void @_conv(const float *in, int h, int w, int c, const float *weight,\n"
    "                   const float *bias, int k, int stride, int activation, float *restrict "
    "out,\n"
    "                   int oh, int ow, int oc) {\n"
    "    int y, x, ky, kx, i, o;\n"
    "    for (y = 0; y < oh; y++)\n"
    "        for (x = 0; x < ow; x++, out += oc) {\n"
    "            for (o = 0; o < oc; o++) out[o] = bias[o];\n"
    "            for (ky = 0; ky < k; ky++)\n"
    "                for (kx = 0; kx < k; kx++) {\n"
    "                    int iy = y * stride + ky - k / 2, ix = x * stride + kx - k / 2;\n"
    "                    const float *pixel = in + (iy * w + ix) * c;\n"
    "                    const float *row = weight + (ky * k + kx) * c * oc;\n"
    "                    if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;\n"
    "                    for (i = 0; i < c; i++, row += oc)\n"
    "                        for (o = 0; o < oc; o++) out[o] += pixel[i] * row[o];\n"
    "                }\n"
    "            @_activate(out, oc, activation);\n"
    "        }\n"
    "}\n";

static const char depthwise_code[] =
    "/* The same with one filter a channel: weight [k][k][c]. */\n"
    "static void @_depthwise(const float *in, int h, int w, int c, const float *weight,\n"
    "                        const float *bias, int k, int stride, int activation,\n"
    "                        float *restrict out, int oh, int ow) {\n"
    "    int y, x, ky, kx, i;\n"
    "    for (y = 0; y < oh; y++)\n"
    "        for (x = 0; x < ow; x++, out += c) {\n"
    "            for (i = 0; i < c; i++) out[i] = bias[i];\n"
    "            for (ky = 0; ky < k; ky++)\n"
    "                for (kx = 0; kx < k; kx++) {\n"
    "                    int iy = y * stride + ky - k / 2, ix = x * stride + kx - k / 2;\n"
    "                    const float *pixel = in + (iy * w + ix) * c;\n"
    "                    const float *row = weight + (ky * k + kx) * c;\n"
    "                    if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;\n"
    "                    for (i = 0; i < c; i++) out[i] += pixel[i] * row[i];\n"
    "                }\n"
    "            @_activate(out, c, activation);\n"
    "        }\n"
    "}\n";

static const char pool_code[] = "/* The average over n pixels. */\n"
                                "static void @_pool(const float *in, int n, int c, float *out) {\n"
                                "    int i, p;\n"
                                "    for (i = 0; i < c; i++) {\n"
                                "        float sum = 0;\n"
                                "        for (p = 0; p < n; p++) sum += in[p * c + i];\n"
                                "        out[i] = sum / (float)n;\n"
                                "    }\n"
                                "}\n";

static const char scale_code[] =
    "/* Each of n pixels times by [c]; out may be in. */\n"
    "static void @_scale(const float *in, const float *by, int n, int c, float *out) {\n"
    "    int i, p;\n"
    "    for (p = 0; p < n; p++)\n"
    "        for (i = 0; i < c; i++) out[p * c + i] = in[p * c + i] * by[i];\n"
    "}\n";

static const char add_code[] =
    "/* out may be in. */\n"
    "static void @_add(const float *in, const float *more, int n, float *out) {\n"
    "    int i;\n"
    "    for (i = 0; i < n; i++) out[i] = in[i] + more[i];\n"
    "}\n";

/* Prints a text with the prefix in the place of every "@". */
static void print_code(const output *o, const char *code) {
    fputc('\n', o->file);
    for (; *code; code++) {
        if (*code == '@')
            fputs(o->prefix, o->file);
        else
            fputc(*code, o->file);
    }
}

/* A comment or string must not end early. */
static void print_quoted(FILE *file, const char *text) {
    fputc('"', file);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c > '~' || strchr("\"\\?", c))
            fprintf(file, "\\%03o", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void print_declarations(const output *o) {
    const nas_network *net = o->net;
    const char *p = o->prefix;
    uint64_t weights = 0;
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        weights += layer->weights + layer->biases;
    }
    fprintf(
        o->file,
        "/* A subnet of nashost as C99 that needs no library and allocates nothing.\n"
        " * Genome: %s\n"
        " * %s_run is not for several threads at once: it works in one static arena.\n"
        " * Define %s_declarations before including this file for its declarations alone. */\n\n",
        net->genome, p, p);
    fprintf(o->file,
            "enum {\n    %s_height = %u,\n    %s_width = %u,\n    %s_channels = %u,\n"
            "    %s_classes = %u,\n    %s_arena_floats = %llu,\n    %s_weight_floats = %llu\n"
            "};\n\n",
            p, net->image.h, p, net->image.w, p, net->image.c, p,
            nas_network_layer(net, net->n_layers - 1)->out.c, p, (ull)o->plan->elements, p,
            (ull)weights);
    fprintf(o->file,
            "/* image: pixels [height][width][channels], 0 to 255; logits [classes]: the largest "
            "is the\n * answer. */\n"
            "void %s_run(const unsigned char *image, float *logits);\n",
            p);
    if (net->class_names)
        fprintf(o->file, "extern const char *const %s_class_names[%s_classes];\n", p, p);
    fprintf(o->file, "\n#ifndef %s_declarations\n", p);
}

static void print_class_names(const output *o) {
    if (!o->net->class_names) return;
    fprintf(o->file, "\nconst char *const %s_class_names[%s_classes] = {", o->prefix, o->prefix);
    for (uint32_t i = 0; i < o->net->classes; i++) {
        fputs(i ? ", " : "", o->file);
        print_quoted(o->file, o->net->class_names[i]);
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

/* Nine digits are enough to give each float back; "1" alone would be no float. */
static void print_float(FILE *file, float value) {
    char text[32];
    snprintf(text, sizeof text, "%.9g", (double)value);
    fprintf(file, "%s%sf", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_floats(const output *o, const nas_layer *layer, const char *part,
                         const float *values, uint64_t n) {
    fputs("\nstatic const float ", o->file);
    print_name(o, layer, part);
    fprintf(o->file, "[%llu] = {", (ull)n);
    for (uint64_t i = 0; i < n; i++) {
        fputs(i % 8 ? ", " : i ? ",\n    " : "\n    ", o->file);
        print_float(o->file, values[i]);
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

static void print_functions(const output *o) {
    bool used[NAS_OP_ADD + 1] = {false};
    for (uint32_t i = 0; i < o->net->n_layers; i++) used[nas_network_layer(o->net, i)->op] = true;
    print_code(o, activation_code);
    if (used[NAS_OP_CONV] || used[NAS_OP_LINEAR]) print_code(o, conv_code);
    if (used[NAS_OP_DEPTHWISE]) print_code(o, depthwise_code);
    if (used[NAS_OP_POOL]) print_code(o, pool_code);
    if (used[NAS_OP_SCALE]) print_code(o, scale_code);
    if (used[NAS_OP_ADD]) print_code(o, add_code);
}

/* The place of a tensor (0: the image); the last result is the caller's. */
static void print_place(const output *o, int32_t index) {
    if (index == (int32_t)o->plan->n - 1) {
        fputs("logits", o->file);
    } else {
        const tensor *t = &o->plan->tensors[o->plan->tensors[index].placed_as];
        fprintf(o->file, "%s_arena + %llu", o->prefix, (ull)t->offset);
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
    fprintf(o->file, ", %u, %u, %u, ", layer->kernel, layer->stride, layer->activation);
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
        fprintf(o->file, ", %llu, ", (ull)elements_of(layer->out));
    else
        fprintf(o->file, ", %u, %u, ", pixels, layer->in.c);
    print_place(o, (int32_t)i + 1);
    fputs(");\n", o->file);
    if (!layer->activation) return;
    fprintf(o->file, "    %s_activate(", o->prefix);
    print_place(o, (int32_t)i + 1);
    fprintf(o->file, ", %llu, %u);\n", (ull)elements_of(layer->out), layer->activation);
}

/* Pixels to (pixel / 255 - mean) / std in the image's place. */
static void print_normalisation(const output *o) {
    const nas_network *net = o->net;
    uint32_t c = net->image.c;
    fprintf(o->file, "    static const float scale[%u] = {", c);
    for (uint32_t i = 0; i < c; i++) {
        fputs(i ? ", " : "", o->file);
        print_float(o->file, (float)(1 / (255 * (double)net->std[i])));
    }
    fprintf(o->file, "};\n    static const float shift[%u] = {", c);
    for (uint32_t i = 0; i < c; i++) {
        fputs(i ? ", " : "", o->file);
        print_float(o->file, (float)(-(double)net->mean[i] / (double)net->std[i]));
    }
    fprintf(o->file,
            "};\n    int i;\n    for (i = 0; i < %llu; i++)\n"
            "        %s_arena[%llu + i] = (float)image[i] * scale[i %% %u] + shift[i %% %u];\n",
            (ull)elements_of(net->image), o->prefix, (ull)o->plan->tensors[0].offset, c, c);
}

static void print_run(const output *o) {
    fprintf(o->file, "\nstatic float %s_arena[%s_arena_floats];\n", o->prefix, o->prefix);
    fprintf(o->file, "\nvoid %s_run(const unsigned char *image, float *logits) {\n", o->prefix);
    print_normalisation(o);
    for (uint32_t i = 0; i < o->net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(o->net, i);
        if (nas_deploy_weighs(layer))
            print_filter_call(o, layer, i);
        else
            print_other_call(o, layer, i);
    }
    fputs("}\n\n#endif\n", o->file);
}

static bool print(void *context, FILE *file) {
    output *o = context;
    o->file = file;
    print_declarations(o);
    print_class_names(o);
    print_weights(o);
    print_functions(o);
    print_run(o);
    return !ferror(file);
}

/* ---- The plugin ---- */

static int check_finite(const nas_network *net, nas_error *err) {
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        bool good = true;
        for (uint64_t k = 0; k < layer->weights; k++) good = good && isfinite(layer->weight[k]);
        for (uint64_t k = 0; k < layer->biases; k++) good = good && isfinite(layer->bias[k]);
        if (!good)
            return nas_fail(err, NAS_ERR_NUMERIC,
                            "c: layer %.39s: a weight is not finite, which C cannot write",
                            layer->name);
    }
    return NAS_OK;
}

static int write_network(void *self, const nas_network *network, const char *path, nas_error *err) {
    const c_config *config = self;
    plan p;
    int rc = nas_deploy_check("c", network, err);
    if (!rc && !network->n_layers)
        rc = nas_fail(err, NAS_ERR_PLUGIN, "c: expected a network with layers, found none");
    if (!rc) rc = check_finite(network, err);
    if (!rc) rc = make_plan(network, &p, err);
    if (rc) return rc;
    output o = {.net = network, .plan = &p, .prefix = config->prefix};
    rc = nas_deploy_write("c", path, print, &o, err);
    free_plan(&p);
    return rc;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    const char *prefix = ((const c_config *)config)->prefix;
    bool good = isalpha((unsigned char)*prefix) && strlen(prefix) < 32;
    for (const char *c = prefix; *c; c++) good = good && (isalnum((unsigned char)*c) || *c == '_');
    if (!good)
        return nas_fail(err, NAS_ERR_INPUT,
                        "option \"prefix\": expected a C identifier of 1 to 31 characters that "
                        "begins with a letter, found \"%.60s\"",
                        prefix);
    *self = (void *)(uintptr_t)config; /* it lives until destroy returns */
    return NAS_OK;
}

static void destroy(void *self) {
    (void)self;
}

static const nas_export_api api = {.size = sizeof api, .extension = "c", .write = write_network};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_EXPORT,
    .id = "c",
    .version = "0.1.0",
    .summary = "one subnet as a C99 file that needs no library and allocates nothing",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2001.03288",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(c_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
