#include <nashost/kit/family.h>
#include <nashost/kit/json_file.h>

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BLOCKS = 80, MAX_DEPTH = 8 }; /* a stage's depth is at most MAX_DEPTH: space/space.h */

/* What a block's tensors tell. */
typedef struct block_sizes {
    uint32_t in, inner, out, kernel, reduced; /* reduced: of squeeze-excite; 0: none */
} block_sizes;

typedef struct reading {
    const nas_family *family;
    const nas_checkpoint *checkpoint;
    uint32_t n_blocks, n_stages;
    block_sizes blocks[MAX_BLOCKS];
    uint32_t first[NAS_FAMILY_MAX_STAGES + 1]; /* block of each stage, and behind the last */
    nas_error *err;
} reading;

const nas_checkpoint_tensor *nas_checkpoint_find(const nas_checkpoint *checkpoint,
                                                 const char *name) {
    for (uint64_t i = 0; i < checkpoint->n_tensors; i++) {
        const void *at = (const char *)checkpoint->tensors + i * checkpoint->tensor_size;
        const nas_checkpoint_tensor *tensor = at;
        if (strcmp(tensor->name, name) == 0) return tensor;
    }
    return NULL;
}

/* ---- Names ---- */

static const char *part_name(const nas_family_part *part, const char *word, const char **end) {
    static const struct {
        const char *word, *end;
        enum { OF_WEIGHT, OF_NORM, OF_MATRICES } of;
    } words[] = {
        {"weight", ".weight", OF_WEIGHT},
        {"bias", ".bias", OF_WEIGHT},
        {"gamma", ".weight", OF_NORM},
        {"beta", ".bias", OF_NORM},
        {"mean", ".running_mean", OF_NORM},
        {"variance", ".running_var", OF_NORM},
        {"matrix7to5", ".7to5_matrix", OF_MATRICES},
        {"matrix5to3", ".5to3_matrix", OF_MATRICES},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i].word, word) != 0) continue;
        *end = words[i].end;
        return words[i].of == OF_WEIGHT ? part->weight
               : words[i].of == OF_NORM ? part->norm
                                        : part->matrices;
    }
    return NULL;
}

void nas_family_name(const nas_family_part *parts, const char *prefix,
                     const nas_import_target *target, char *name) {
    name[0] = '\0';
    for (const nas_family_part *part = parts; part->layer; part++) {
        const char *end = "", *start = NULL;
        if (strcmp(part->layer, target->layer) == 0) start = part_name(part, target->part, &end);
        if (start) snprintf(name, NAS_IMPORT_NAME, "%s%s%s", prefix, start, end);
    }
}

static void name_tensor(const nas_family *family, const nas_checkpoint *checkpoint,
                        const nas_import_target *target, char *name) {
    char prefix[48];
    if (family->locate) {
        family->locate(checkpoint, target, name);
    } else if (target->block == NAS_IMPORT_NO_BLOCK) {
        nas_family_name(family->parts, "", target, name);
    } else {
        bool first = target->block == 0 && family->first_parts;
        snprintf(prefix, sizeof prefix, "%s%u%s", family->block_prefix, target->block,
                 family->block_suffix);
        nas_family_name(first ? family->first_parts : family->block_parts, prefix, target, name);
    }
}

/* ---- Shapes ---- */

/* The tensor of a layer's weight, or NULL; its name goes to name. */
static const nas_checkpoint_tensor *weight(const reading *r, uint32_t block, const char *layer,
                                           char name[NAS_IMPORT_NAME]) {
    const nas_import_target target = {sizeof target, block, layer, "weight"};
    name_tensor(r->family, r->checkpoint, &target, name);
    return nas_checkpoint_find(r->checkpoint, name);
}

/* Dimension `axis` of a layer's weight, which must be there. */
static int dimension(const reading *r, uint32_t block, const char *layer, uint32_t axis,
                     uint32_t *value) {
    char name[NAS_IMPORT_NAME];
    const nas_checkpoint_tensor *tensor = weight(r, block, layer, name);
    if (!tensor)
        return nas_fail(r->err, NAS_ERR_INPUT, "tensor \"%s\" is missing; a network of %s has it",
                        name, r->family->name);
    if (axis >= tensor->ndim || tensor->shape[axis] < 1 || tensor->shape[axis] > UINT16_MAX)
        return nas_fail(r->err, NAS_ERR_INPUT,
                        "tensor \"%s\": dimension %u of its shape is not that of a weight", name,
                        axis);
    *value = (uint32_t)tensor->shape[axis];
    return NAS_OK;
}

static int read_block(reading *r, uint32_t index, uint32_t in) {
    char name[NAS_IMPORT_NAME];
    block_sizes *b = &r->blocks[index];
    b->in = in;
    int rc = dimension(r, index, "depthwise", 0, &b->inner);
    if (!rc) rc = dimension(r, index, "depthwise", 2, &b->kernel);
    if (!rc) rc = dimension(r, index, "project", 0, &b->out);
    if (!rc && weight(r, index, "reduce", name)) rc = dimension(r, index, "reduce", 0, &b->reduced);
    return rc;
}

/* Blocks until there is no further one; a stage ends where the output width changes. */
static int read_blocks(reading *r) {
    char name[NAS_IMPORT_NAME];
    uint32_t in = 0;
    int rc = dimension(r, NAS_IMPORT_NO_BLOCK, "stem", 0, &in);
    while (!rc && r->n_blocks < MAX_BLOCKS && weight(r, r->n_blocks, "depthwise", name)) {
        block_sizes *b = &r->blocks[r->n_blocks];
        rc = read_block(r, r->n_blocks, in);
        if (rc) return rc;
        bool new_stage = !r->n_blocks || b->out != in;
        if (new_stage && r->n_stages == r->family->n_stages)
            return nas_fail(r->err, NAS_ERR_INPUT,
                            "block %u begins stage %u of output width %u; a network of %s has %u",
                            r->n_blocks, r->n_stages + 1, b->out, r->family->name,
                            r->family->n_stages);
        if (new_stage) r->first[r->n_stages++] = r->n_blocks;
        in = b->out;
        r->first[r->n_stages] = ++r->n_blocks;
    }
    if (rc || r->n_stages == r->family->n_stages) return rc;
    return nas_fail(r->err, NAS_ERR_INPUT, "expected %u stages as in %s, found %u",
                    r->family->n_stages, r->family->name, r->n_stages);
}

/* A stage whose first block keeps the width of its input would be taken for the stage before. */
static int check_stages(const reading *r) {
    for (uint32_t s = 0; s < r->n_stages; s++) {
        uint32_t depth = r->first[s + 1] - r->first[s];
        if (depth > MAX_DEPTH)
            return nas_fail(r->err, NAS_ERR_INPUT,
                            "stage %u has %u blocks; at most %d are supported", s, depth,
                            MAX_DEPTH);
    }
    return NAS_OK;
}

/* ---- The space ---- */

/* The expansion ratio with no more decimals than it takes to give back the inner width. */
static json_t *ratio_json(const block_sizes *b) {
    static const double scales[] = {1, 10, 100, 1000, 1e4, 1e5};
    double ratio = b->inner / (double)b->in;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        double rounded = round(ratio * scales[i]) / scales[i];
        if (lround(rounded * b->in) != (long)b->inner) continue;
        return i ? json_real(rounded) : json_integer((json_int_t)rounded);
    }
    return json_real(ratio);
}

/* The choices of a block: the network's own expansion, and whole ones below it; those of a
 * supernet are the ones that it was trained with (arXiv 1908.09791). */
static json_t *expand_choices(const nas_family *family, const block_sizes *b) {
    static const int whole[] = {2, 3, 4};
    json_t *list = json_array();
    for (size_t i = family->elastic; i < sizeof whole / sizeof *whole; i++)
        if (whole[i] < b->inner / (double)b->in) nas_json_add(&list, json_integer(whole[i]));
    nas_json_add(&list, ratio_json(b));
    return list;
}

static json_t *kernel_choices(uint32_t kernel) {
    json_t *list = json_array();
    for (uint32_t k = kernel > 3 ? 3 : kernel; k <= kernel; k += 2)
        nas_json_add(&list, json_integer(k));
    return list;
}

static json_t *depth_choices(const nas_family *family, uint32_t n) {
    json_t *list = json_array();
    for (uint32_t i = family->elastic && n > 1 ? 2 : 1; i <= n; i++)
        nas_json_add(&list, json_integer(i));
    return list;
}

/* One list for all blocks where they are alike, else a list of lists. */
static json_t *merged(json_t *lists) {
    for (size_t i = 1; i < json_array_size(lists); i++)
        if (!json_equal(json_array_get(lists, 0), json_array_get(lists, i))) return lists;
    json_t *one = json_incref(json_array_get(lists, 0));
    json_decref(lists);
    return one;
}

static json_t *stage_json(const reading *r, uint32_t s) {
    const nas_family_stage *stage = &r->family->stages[s];
    const block_sizes *first = &r->blocks[r->first[s]];
    uint32_t depth = r->first[s + 1] - r->first[s];
    json_t *kernels = json_array(), *expands = json_array();
    for (uint32_t i = 0; i < depth; i++) {
        nas_json_add(&kernels, kernel_choices(first[i].kernel));
        nas_json_add(&expands, expand_choices(r->family, &first[i]));
    }
    json_t *json =
        json_pack("{s:I, s:I, s:o, s:o, s:o, s:s}", "width", (json_int_t)first->out, "stride",
                  (json_int_t)stage->stride, "depth", depth_choices(r->family, depth), "kernel",
                  merged(kernels), "expand", merged(expands), "activation", stage->activation);
    if (first->reduced)
        nas_json_put(&json, "squeeze_excite",
                     json_loads(r->family->squeeze_excite, JSON_DECODE_ANY, NULL));
    return json;
}

static int stem_json(const reading *r, json_t **json) {
    uint32_t width = 0, kernel = 0;
    int rc = dimension(r, NAS_IMPORT_NO_BLOCK, "stem", 0, &width);
    if (!rc) rc = dimension(r, NAS_IMPORT_NO_BLOCK, "stem", 2, &kernel);
    if (!rc)
        *json = json_pack("{s:I, s:i, s:I, s:s}", "kernel", (json_int_t)kernel, "stride", 2,
                          "width", (json_int_t)width, "activation", r->family->activation);
    return rc;
}

static int head_json(const reading *r, json_t **json) {
    uint32_t width = 0, hidden = 0;
    char name[NAS_IMPORT_NAME];
    const nas_import_target bias = {sizeof bias, NAS_IMPORT_NO_BLOCK, "hidden0", "bias"};
    int rc = dimension(r, NAS_IMPORT_NO_BLOCK, "head", 0, &width);
    if (!rc && r->family->hidden_activation)
        rc = dimension(r, NAS_IMPORT_NO_BLOCK, "hidden0", 0, &hidden);
    if (rc) return rc;
    *json =
        json_pack("{s:I, s:s}", "width", (json_int_t)width, "activation", r->family->activation);
    if (!hidden) return NAS_OK;
    nas_json_put(json, "hidden", json_pack("[I]", (json_int_t)hidden));
    nas_json_put(json, "hidden_activation", json_string(r->family->hidden_activation));
    name_tensor(r->family, r->checkpoint, &bias, name);
    if (!nas_checkpoint_find(r->checkpoint, name)) nas_json_put(json, "hidden_bias", json_false());
    return NAS_OK;
}

static json_t *space_json(const reading *r, json_t *stem, json_t *head) {
    const nas_family *f = r->family;
    json_t *stages = json_array();
    for (uint32_t s = 0; s < r->n_stages; s++) nas_json_add(&stages, stage_json(r, s));
    json_t *json = json_pack(
        "{s:s, s:[i, i, i, i, i, i], s:{s:[f, f, f], s:[f, f, f]}, s:s, s:f, s:o, s:o, s:o}",
        "name", f->name, "resolution", 64, 96, 128, 160, 192, 224, "input", "mean", f->mean[0],
        f->mean[1], f->mean[2], "std", f->std[0], f->std[1], f->std[2], "padding", f->padding,
        "batch_norm_epsilon", f->epsilon, "stem", stem, "stages", stages, "head", head);
    if (f->kernel_transform) nas_json_put(&json, "kernel_transform", json_true());
    return json;
}

/* ---- The interface ---- */

static int read_network(reading *r) {
    int rc = read_blocks(r);
    return rc ? rc : check_stages(r);
}

/* A relative with the same names may have squeeze-excite where the family has none. */
static bool gates_fit(const reading *r) {
    for (uint32_t i = 0; i < r->n_blocks; i++)
        if (r->blocks[i].reduced && !r->family->squeeze_excite) return false;
    return true;
}

int nas_family_create(const nas_family *family, void **self) {
    *self = (void *)(uintptr_t)family;
    return NAS_OK;
}

int nas_family_recognise(void *self, const nas_checkpoint *checkpoint, bool *mine, nas_error *err) {
    char name[NAS_IMPORT_NAME];
    reading r = {.family = self, .checkpoint = checkpoint};
    (void)err;
    *mine = weight(&r, NAS_IMPORT_NO_BLOCK, "stem", name) && weight(&r, 0, "depthwise", name) &&
            weight(&r, NAS_IMPORT_NO_BLOCK, "head", name) &&
            weight(&r, NAS_IMPORT_NO_BLOCK, "classifier", name) && !read_network(&r) &&
            gates_fit(&r);
    return NAS_OK;
}

/* Takes the space. */
static int write_space(const nas_family *family, json_t *space, nas_import_network *network,
                       nas_error *err) {
    size_t bytes = 0;
    char *text = nas_json_text(space, JSON_COMPACT | JSON_REAL_PRECISION(9), &bytes);
    int rc = NAS_OK;
    json_decref(space);
    if (!text)
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for a space");
    else if (bytes >= network->space_size)
        rc = nas_fail(err, NAS_ERR_PLUGIN, "the space of %s needs %zu bytes, the host gave %zu",
                      family->name, bytes, network->space_size);
    else
        memcpy(network->space, text, bytes + 1);
    free(text);
    return rc;
}

int nas_family_describe(void *self, const nas_checkpoint *checkpoint, nas_import_network *network,
                        nas_error *err) {
    const nas_family *family = self;
    reading r = {.family = family, .checkpoint = checkpoint, .err = err};
    json_t *stem = NULL, *head = NULL;
    int rc = read_network(&r);
    if (!rc) rc = dimension(&r, NAS_IMPORT_NO_BLOCK, "classifier", 0, &network->classes);
    if (!rc) rc = stem_json(&r, &stem);
    if (!rc) rc = head_json(&r, &head);
    network->ordered = family->elastic;
    if (!rc) return write_space(family, space_json(&r, stem, head), network, err);
    json_decref(stem);
    json_decref(head);
    return rc;
}

int nas_family_locate(void *self, const nas_checkpoint *checkpoint, const nas_import_target *target,
                      char *name, nas_error *err) {
    const nas_family *family = self;
    (void)err;
    name_tensor(family, checkpoint, target, name);
    return NAS_OK;
}

bool nas_family_spare(void *self, const char *name) {
    static const char counter[] = ".num_batches_tracked";
    size_t n = strlen(name), end = sizeof counter - 1;
    (void)self;
    return n >= end && strcmp(name + n - end, counter) == 0;
}

const nas_import_api nas_family_api = {
    .size = sizeof nas_family_api,
    .recognise = nas_family_recognise,
    .describe = nas_family_describe,
    .locate = nas_family_locate,
    .spare = nas_family_spare,
};
