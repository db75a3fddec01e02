#include "supernet/supernet.h"

#include "base/memory.h"
#include "base/rng.h"
#include "base/safetensors.h"

#include <math.h>
#include <nashost/kit/layers.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Builds the table; with parameters == NULL it only counts. */
typedef struct builder {
    nas_parameter *parameters;
    uint32_t n;
    size_t size;
} builder;

static void add(builder *b, const nas_layer *layer, const char *part, uint32_t fan_in,
                uint32_t ndim, const uint32_t *shape) {
    nas_parameter p = {.ndim = ndim, .offset = b->size, .count = 1, .fan_in = fan_in};
    nas_layer_tensor_name(layer, part, p.name);
    for (uint32_t i = 0; i < ndim; i++) {
        p.shape[i] = shape[i];
        p.count *= shape[i];
    }
    p.decay = fan_in > 0;
    if (b->parameters) b->parameters[b->n] = p;
    b->n++;
    b->size += p.count;
}

/* The kernel of a layer of the largest subnet. */
static void add_kernel(builder *b, const nas_layer *layer, nas_role role) {
    const uint32_t k = layer->kernel, in = layer->in.c, out = layer->out.c;
    const uint32_t full[] = {k, k, in, out}, depthwise[] = {k, k, out};
    if (role == NAS_ROLE_STEM)
        add(b, layer, ".conv", k * k * in, 4, full);
    else if (layer->op == NAS_OP_DEPTHWISE)
        add(b, layer, ".conv", k * k, 3, depthwise);
    else
        add(b, layer, layer->op == NAS_OP_CONV ? ".conv" : ".weight", in, 2, full + 2);
}

/* The matrices between a block's choices of kernels. */
static void add_matrices(builder *b, const nas_space *space, const nas_layer *layer) {
    uint32_t stage, block;
    /* NOLINTNEXTLINE(cert-err34-c): the name is the layout's */
    if (sscanf(layer->name, "stage%u.block%u.", &stage, &block) != 2) return;
    const nas_choices *kernel = &space->stages[stage].kernel.of[block];
    for (uint32_t i = kernel->n - 1; i > 0; i--) {
        uint32_t from = kernel->value[i], to = kernel->value[i - 1];
        char part[24];
        snprintf(part, sizeof part, ".matrix%uto%u", from & 0xf, to & 0xf);
        add(b, layer, part, 0, 2, (const uint32_t[]){to * to, to * to});
        if (b->parameters) b->parameters[b->n - 1].decay = true; /* as the authors' code has it */
    }
}

static void add_layer(builder *b, const nas_space *space, const nas_layer *layer, nas_role role) {
    if (!nas_layer_weighs(layer)) return;
    add_kernel(b, layer, role);
    if (role == NAS_ROLE_DEPTHWISE && space->kernel_transform) add_matrices(b, space, layer);
    if (nas_layer_has_norm(layer)) {
        add(b, layer, ".bn.gamma", 0, 1, &layer->out.c);
        add(b, layer, ".bn.beta", 0, 1, &layer->out.c);
    }
    if (nas_layer_has_bias(space, layer)) add(b, layer, ".bias", 0, 1, &layer->out.c);
}

/* The largest subnet has every tensor, in its full size. */
static void build(builder *b, const nas_space *space) {
    nas_layer layers[NAS_MAX_LAYERS];
    nas_role roles[NAS_MAX_LAYERS];
    nas_genome largest = nas_genome_largest(space);
    nas_arch arch = nas_genome_decode(space, &largest);
    uint32_t n = nas_layout(space, &arch, layers, roles);
    for (uint32_t i = 0; i < n; i++) add_layer(b, space, &layers[i], roles[i]);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void initialise(nas_supernet *net, uint64_t seed, bool zero_init) {
    for (uint32_t i = 0; i < net->n_parameters; i++) {
        const nas_parameter *p = &net->parameters[i];
        nas_real *w = net->weights + p->offset;
        if (p->fan_in) {
            nas_rng rng = nas_rng_open(seed, NAS_RNG_INIT, 0, i);
            double deviation = sqrt(2.0 / p->fan_in);
            for (size_t j = 0; j < p->count; j++)
                w[j] = (nas_real)(deviation * nas_rng_normal(&rng));
        } else if (ends_with(p->name, ".bn.gamma")) {
            bool branch = ends_with(p->name, "project.bn.gamma") && !strstr(p->name, ".block0.");
            nas_real gamma = zero_init && branch ? 0 : 1;
            for (size_t j = 0; j < p->count; j++) w[j] = gamma;
        } else if (strstr(p->name, ".matrix")) {
            for (size_t j = 0; j < p->shape[0]; j++) w[j * p->shape[0] + j] = 1;
        }
    }
}

int nas_supernet_create(const nas_space *space, uint64_t seed, bool zero_init,
                        nas_supernet **supernet, nas_error *err) {
    *supernet = NULL;
    builder count = {0};
    build(&count, space);
    nas_supernet *net = nas_alloc(1, sizeof *net);
    if (!net) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a supernet");
    net->space = *space;
    net->n_parameters = count.n;
    net->size = count.size;
    net->parameters = nas_alloc(count.n, sizeof *net->parameters);
    net->weights = nas_alloc(count.size, sizeof *net->weights);
    if (!net->parameters || !net->weights) {
        nas_supernet_destroy(net);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a supernet of %zu weights",
                        count.size);
    }
    builder fill = {.parameters = net->parameters};
    build(&fill, space);
    initialise(net, seed, zero_init);
    *supernet = net;
    return NAS_OK;
}

void nas_supernet_destroy(nas_supernet *supernet) {
    if (!supernet) return;
    free(supernet->parameters);
    free(supernet->weights);
    free(supernet);
}

const nas_parameter *nas_supernet_find(const nas_supernet *supernet, const char *name) {
    for (uint32_t i = 0; i < supernet->n_parameters; i++)
        if (strcmp(supernet->parameters[i].name, name) == 0) return &supernet->parameters[i];
    return NULL;
}

int nas_supernet_save(const nas_supernet *net, const nas_real *weights, const char *path,
                      const char *metadata_json, nas_error *err) {
    if (!weights) weights = net->weights;
    nas_tensor *tensors = nas_alloc(net->n_parameters, sizeof *tensors);
    float *values = nas_alloc(net->size, sizeof *values);
    int status = NAS_OK;
    if (!tensors || !values)
        status = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory while saving", path);
    for (size_t i = 0; status == NAS_OK && i < net->size; i++) values[i] = (float)weights[i];
    for (uint32_t i = 0; status == NAS_OK && i < net->n_parameters; i++) {
        const nas_parameter *p = &net->parameters[i];
        tensors[i] = (nas_tensor){.ndim = p->ndim, .data = values + p->offset};
        snprintf(tensors[i].name, sizeof tensors[i].name, "%s", p->name);
        for (uint32_t d = 0; d < p->ndim; d++) tensors[i].shape[d] = p->shape[d];
    }
    if (status == NAS_OK)
        status = nas_tensors_save(path, tensors, net->n_parameters, metadata_json, err);
    free(tensors);
    free(values);
    return status;
}

static int check_tensor(const nas_tensor_file *file, const char *path, const nas_parameter *p,
                        nas_error *err) {
    const nas_tensor *tensor = nas_tensors_find(file, p->name);
    if (!tensor)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: tensor \"%s\" is missing; the file belongs to another space", path,
                        p->name);
    bool same = tensor->ndim == p->ndim;
    for (uint32_t d = 0; same && d < p->ndim; d++) same = tensor->shape[d] == p->shape[d];
    if (!same)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: tensor \"%s\" has another shape than the space gives it; the file "
                        "belongs to another space",
                        path, p->name);
    return NAS_OK;
}

static void take_tensor(const nas_tensor_file *file, const nas_parameter *p, nas_real *weights) {
    const float *values = nas_tensors_find(file, p->name)->data;
    for (size_t i = 0; i < p->count; i++) weights[p->offset + i] = (nas_real)values[i];
}

int nas_supernet_load(nas_supernet *net, const char *path, nas_error *err) {
    nas_tensor_file file;
    int status = nas_tensors_load(path, &file, err);
    if (status != NAS_OK) return status;
    if (file.n_tensors != net->n_parameters)
        status = nas_fail(err, NAS_ERR_INPUT, "%s: expected %u tensors, found %zu", path,
                          net->n_parameters, file.n_tensors);
    for (uint32_t i = 0; status == NAS_OK && i < net->n_parameters; i++)
        status = check_tensor(&file, path, &net->parameters[i], err);
    if (status == NAS_OK) status = nas_tensors_finite(&file, path, err);
    for (uint32_t i = 0; status == NAS_OK && i < net->n_parameters; i++)
        take_tensor(&file, &net->parameters[i], net->weights);
    nas_tensors_free(&file);
    return status;
}
