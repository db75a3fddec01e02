#include "space/space.h"

#include "space/keys.h"

#include <math.h>
#include <string.h>

enum {
    MAX_STRIDE = 2,
    MAX_ELEMENTS = 1 << 28, /* floats in one tensor or in all weights: 1 GiB */
};

#define IN_SPACE(field_) .offset = offsetof(nas_space, field_)
#define IN_STAGE(field_) .offset = offsetof(nas_stage, field_)

static const nas_key input_keys[] = {
    {.name = "mean",
     .form = NAS_KEY_COLOUR,
     IN_SPACE(input.mean),
     .help = "red, green and blue (0 to 1) that become 0"},
    {.name = "std",
     .form = NAS_KEY_COLOUR,
     IN_SPACE(input.std),
     .positive = true,
     .help = "what red, green and blue are divided by after that"},
    {0},
};
/* In the order of nas_activation and nas_padding. */
static const char *const activations[] = {"none",  "relu",  "h-swish", "h-sigmoid",
                                          "relu6", "swish", "sigmoid", NULL};
static const char *const paddings[] = {"symmetric", "same", NULL};

static const nas_key stem_keys[] = {
    {.name = "kernel",
     .form = NAS_KEY_INT,
     IN_SPACE(stem.kernel),
     .min = 1,
     .max = NAS_MAX_KERNEL,
     .odd = true,
     .help = "height and width of the stem's convolution kernel"},
    {.name = "stride", .form = NAS_KEY_INT, IN_SPACE(stem.stride), .min = 1, .max = MAX_STRIDE},
    {.name = "width",
     .form = NAS_KEY_INT,
     IN_SPACE(stem.width),
     .min = 1,
     .max = NAS_MAX_WIDTH,
     .help = "number of channels that the stem gives out"},
    {.name = "activation",
     .form = NAS_KEY_WORD,
     .words = activations,
     IN_SPACE(stem.activation),
     .help = "activation after the stem's batch norm"},
    {0},
};

static const char *const squeezed[] = {"inner", "input", NULL};

static const nas_key squeeze_keys[] = {
    {.name = "divisor",
     .form = NAS_KEY_INT,
     IN_STAGE(squeeze.divisor),
     .min = 1,
     .max = NAS_MAX_WIDTH,
     .optional = true,
     .help = "number that a width is divided by to be reduced (4)"},
    {.name = "minimum",
     .form = NAS_KEY_INT,
     IN_STAGE(squeeze.minimum),
     .min = 1,
     .max = NAS_MAX_WIDTH,
     .optional = true,
     .help = "least reduced width (8)"},
    {.name = "round_to",
     .form = NAS_KEY_INT,
     IN_STAGE(squeeze.round_to),
     .min = 1,
     .max = NAS_MAX_WIDTH,
     .optional = true,
     .help = "number that the reduced width is a multiple of (1)"},
    {.name = "of",
     .form = NAS_KEY_WORD,
     .words = squeezed,
     IN_STAGE(squeeze.of),
     .optional = true,
     .help = "width that is reduced: inner, that of the depthwise convolution; input, the block's "
             "(inner)"},
    {.name = "activation",
     .form = NAS_KEY_WORD,
     .words = activations,
     IN_STAGE(squeeze.activation),
     .optional = true,
     .help = "activation of the reduced width (relu)"},
    {.name = "gate",
     .form = NAS_KEY_WORD,
     .words = activations,
     IN_STAGE(squeeze.gate),
     .optional = true,
     .help = "activation that makes the factors of the channels (h-sigmoid)"},
    {0},
};

static const nas_key stage_keys[] = {
    {.name = "width",
     .form = NAS_KEY_CHOICES,
     IN_STAGE(width),
     .min = 1,
     .max = NAS_MAX_WIDTH,
     .help = "choices of the number of channels that every block of the stage gives out"},
    {.name = "stride",
     .form = NAS_KEY_INT,
     IN_STAGE(stride),
     .min = 1,
     .max = MAX_STRIDE,
     .help = "stride of the stage's first block; the others have stride 1"},
    {.name = "depth",
     .form = NAS_KEY_CHOICES,
     IN_STAGE(depth),
     .min = 1,
     .max = NAS_MAX_DEPTH,
     .help = "choices of the number of blocks in the stage"},
    {.name = "kernel",
     .form = NAS_KEY_BLOCKS,
     IN_STAGE(kernel),
     .min = 1,
     .max = NAS_MAX_KERNEL,
     .odd = true,
     .help = "choices of the depthwise convolution's kernel, picked for each block by itself; or "
             "a list of each block's own choices"},
    {.name = "expand",
     .form = NAS_KEY_RATIOS,
     IN_STAGE(expand),
     .low = 1,
     .high = NAS_MAX_EXPAND,
     .help = "choices of the expansion ratio, a block's inner width over its input width, picked "
             "for each block by itself; 1: no expanding convolution; or a list of each block's own "
             "choices"},
    {.name = "activation",
     .form = NAS_KEY_WORD,
     .words = activations,
     IN_STAGE(activation),
     .help = "activation after the expanding and after the depthwise convolution"},
    {.name = "squeeze_excite",
     .form = NAS_KEY_SWITCH,
     IN_STAGE(squeeze_excite),
     .keys = squeeze_keys,
     .optional = true,
     .help = "whether blocks have squeeze-excite: reduce to max(8, inner / 4), relu, expand, "
             "h-sigmoid, or as an object says (false)"},
    {0},
};

static const nas_key head_keys[] = {
    {.name = "width",
     .form = NAS_KEY_INT,
     IN_SPACE(head.width),
     .min = 1,
     .max = NAS_MAX_WIDTH,
     .help = "number of channels of the head's 1x1 convolution, before the global average"},
    {.name = "activation",
     .form = NAS_KEY_WORD,
     .words = activations,
     IN_SPACE(head.activation),
     .help = "activation after the head's 1x1 convolution"},
    {.name = "hidden",
     .form = NAS_KEY_INTS,
     IN_SPACE(head.hidden),
     .optional = true,
     .min = 1,
     .max = NAS_MAX_WIDTH,
     .most = NAS_MAX_HIDDEN,
     .count = offsetof(nas_space, head.n_hidden),
     .help = "widths of the linear layers between the global average and the classifier ([])"},
    {.name = "hidden_activation",
     .form = NAS_KEY_WORD,
     .words = activations,
     IN_SPACE(head.hidden_activation),
     .with = "hidden",
     .help = "activation after each of the linear layers in \"hidden\""},
    {.name = "hidden_bias",
     .form = NAS_KEY_FLAG,
     IN_SPACE(head.hidden_bias),
     .optional = true,
     .help = "whether the linear layers in \"hidden\" have biases (true)"},
    {0},
};

static const nas_key space_keys[] = {
    {.name = "name",
     .form = NAS_KEY_TEXT,
     IN_SPACE(name),
     .min = 1,
     .max = sizeof(((nas_space *)0)->name) - 1,
     .help = "name of the space, shown in reports"},
    {.name = "resolution",
     .form = NAS_KEY_CHOICES,
     IN_SPACE(resolution),
     .min = NAS_MIN_RESOLUTION,
     .max = NAS_MAX_RESOLUTION,
     .help = "choices of the side of the square input; images are resized to it"},
    {.name = "input",
     .form = NAS_KEY_OBJECT,
     .keys = input_keys,
     .optional = true,
     .help = "how pixels are normalised; if not given, by mean and deviation of the training "
             "images"},
    {.name = "stem",
     .form = NAS_KEY_OBJECT,
     .keys = stem_keys,
     .help = "the first convolution, which every subnet has"},
    {.name = "stages",
     .form = NAS_KEY_OBJECTS,
     IN_SPACE(stages),
     .keys = stage_keys,
     .least = 1,
     .most = NAS_MAX_STAGES,
     .count = offsetof(nas_space, n_stages),
     .item_bytes = sizeof(nas_stage),
     .help = "stages of inverted-residual blocks, in the order of execution"},
    {.name = "head",
     .form = NAS_KEY_OBJECT,
     .keys = head_keys,
     .help = "the layers from the last stage to the classifier"},
    {.name = "kernel_transform",
     .form = NAS_KEY_FLAG,
     IN_SPACE(kernel_transform),
     .optional = true,
     .help =
         "whether learned matrices make a depthwise convolution's smaller kernels of its larger "
         "ones, as in once-for-all; if not, they are their centre (false)"},
    {.name = "padding",
     .form = NAS_KEY_WORD,
     .words = paddings,
     IN_SPACE(padding),
     .optional = true,
     .help = "zeros around a convolution's input: symmetric, kernel / 2 on each side; same, as "
             "TensorFlow's SAME (symmetric)"},
    {.name = "batch_norm_epsilon",
     .form = NAS_KEY_NUMBER,
     IN_SPACE(batch_norm_epsilon),
     .low = 1e-8,
     .high = 0.1,
     .optional = true,
     .help = "what batch norm adds to the variance (1e-5)"},
    {0},
};

json_t *nas_space_schema(void) {
    return nas_keys_schema(space_keys);
}

static uint32_t most(const nas_choices *choices) {
    return choices->value[choices->n - 1];
}

static double most_ratio(const nas_ratios *choices) {
    return choices->value[choices->n - 1];
}

/* Refuses a space whose largest subnet no machine that this runs on could hold. */
static int check_scale(const nas_spot *root, const nas_space *space, nas_error *err) {
    double side = ceil(most(&space->resolution) / (double)space->stem.stride);
    double in = space->stem.width, weights = 0, tensor = side * side * in;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        double out = most(&stage->width);
        for (uint32_t b = 0; b < most(&stage->depth); b++) {
            double inner = nas_inner_width((uint32_t)in, most_ratio(&stage->expand.of[b]));
            double kernel = most(&stage->kernel.of[b]);
            tensor = fmax(tensor, side * side * inner);
            weights += inner * (in + out + kernel * kernel);
            if (stage->squeeze_excite)
                weights +=
                    2 * inner * nas_squeeze_width(&stage->squeeze, (uint32_t)inner, (uint32_t)in);
            if (b == 0) side = ceil(side / stage->stride);
            in = out;
        }
    }
    tensor = fmax(tensor, side * side * space->head.width);
    weights += in * space->head.width;
    if (tensor > MAX_ELEMENTS || weights > MAX_ELEMENTS) {
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: the largest subnet is too large: expected at most %d elements in a "
                        "tensor and as many weights, found %.0f and about %.0f; lower resolution, "
                        "width, expand or depth",
                        root->where, (int)MAX_ELEMENTS, tensor, weights);
    }
    return NAS_OK;
}

static int check_listed(const nas_spot *root, uint32_t s, const char *key, uint32_t listed,
                        uint32_t depth, nas_error *err) {
    if (!listed || listed == depth) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: stages[%u].%s: expected the choices of %u blocks, as many as the stage "
                    "can have, found those of %u",
                    root->where, s, key, depth, listed);
}

/* Where choices are listed for each block, none is forgotten. */
static int check_blocks(const nas_spot *root, const nas_space *space, nas_error *err) {
    int rc = NAS_OK;
    for (uint32_t s = 0; s < space->n_stages && !rc; s++) {
        const nas_stage *stage = &space->stages[s];
        uint32_t depth = most(&stage->depth);
        rc = check_listed(root, s, "kernel", stage->kernel.listed, depth, err);
        if (!rc) rc = check_listed(root, s, "expand", stage->expand.listed, depth, err);
    }
    return rc;
}

NAS_PRINTF(3, 4)
static void add_gene(nas_space *space, uint32_t arity, const char *name, ...) {
    va_list args;
    va_start(args, name);
    vsnprintf(space->gene_names[space->n_genes], sizeof space->gene_names[0], name, args);
    va_end(args);
    space->arity[space->n_genes++] = (uint16_t)arity;
}

void nas_space_number_genes(nas_space *space) {
    space->n_genes = 0;
    memset(space->arity, 0, sizeof space->arity);
    memset(space->gene_names, 0, sizeof space->gene_names);
    add_gene(space, space->resolution.n, "resolution");
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        add_gene(space, stage->width.n, "stage%u.width", s);
        add_gene(space, stage->depth.n, "stage%u.depth", s);
        for (uint32_t b = 0; b < most(&stage->depth); b++) {
            add_gene(space, stage->kernel.of[b].n, "stage%u.block%u.kernel", s, b);
            add_gene(space, stage->expand.of[b].n, "stage%u.block%u.expand", s, b);
        }
    }
}

/* What keys that are left out say. */
static void set_defaults(nas_space *space) {
    space->batch_norm_epsilon = NAS_BN_EPSILON;
    space->head.hidden_bias = true;
    for (uint32_t s = 0; s < NAS_MAX_STAGES; s++)
        space->stages[s].squeeze = (nas_squeeze_rule){.of = NAS_SQUEEZE_INNER,
                                                      .divisor = 4,
                                                      .minimum = 8,
                                                      .round_to = 1,
                                                      .activation = NAS_ACT_RELU,
                                                      .gate = NAS_ACT_HSIGMOID};
}

int nas_space_parse(const json_t *json, const char *where, uint32_t channels, uint32_t classes,
                    nas_space *space, nas_error *err) {
    nas_spot root = nas_spot_root(where);
    *space = (nas_space){.channels = channels, .classes = classes};
    set_defaults(space);
    int rc = nas_keys_read(&root, json, space_keys, space, err);
    if (!rc) rc = check_blocks(&root, space, err);
    if (!rc) rc = check_scale(&root, space, err);
    if (!rc) nas_space_number_genes(space);
    return rc;
}

uint32_t nas_inner_width(uint32_t input, double expand) {
    return (uint32_t)lround(expand * input);
}

uint32_t nas_squeeze_width(const nas_squeeze_rule *rule, uint32_t inner, uint32_t input) {
    uint32_t step = rule->round_to, least = (rule->minimum + step - 1) / step * step;
    uint32_t width = (rule->of == NAS_SQUEEZE_INPUT ? input : inner) / rule->divisor;
    uint32_t rounded = (width + step / 2) / step * step;
    if (rounded < least) rounded = least;
    return 10 * (uint64_t)rounded < 9 * (uint64_t)width ? rounded + step : rounded;
}

double nas_space_size(const nas_space *space) {
    double size = space->resolution.n;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        double blocks = 0;
        for (uint32_t d = 0; d < stage->depth.n; d++) {
            double each = 1;
            for (uint32_t b = 0; b < stage->depth.value[d]; b++)
                each *= (double)stage->kernel.of[b].n * stage->expand.of[b].n;
            blocks += each;
        }
        size *= stage->width.n * blocks;
    }
    return size;
}
