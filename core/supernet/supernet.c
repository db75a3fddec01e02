#include "supernet/supernet.h"

#include "base/memory.h"
#include "base/rng.h"
#include "base/safetensors.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Builds the table; with parameters == NULL it only counts. */
typedef struct builder {
    nas_parameter *parameters;
    uint32_t n;
    size_t size;
    char prefix[40];
} builder;

static uint32_t most(const nas_choices *choices) {
    return choices->value[choices->n - 1];
}

static void add(builder *b, const char *name, uint32_t fan_in, uint32_t ndim, ...) {
    nas_parameter p = {.ndim = ndim, .offset = b->size, .count = 1, .fan_in = fan_in};
    snprintf(p.name, sizeof p.name, "%s%s", b->prefix, name);
    va_list sizes;
    va_start(sizes, ndim);
    for (uint32_t i = 0; i < ndim; i++) {
        p.shape[i] = va_arg(sizes, uint32_t);
        p.count *= p.shape[i];
    }
    va_end(sizes);
    p.decay = fan_in > 0;
    if (b->parameters) b->parameters[b->n] = p;
    b->n++;
    b->size += p.count;
}

static void add_bn(builder *b, const char *name, uint32_t c) {
    char full[24];
    snprintf(full, sizeof full, "%s.bn.gamma", name);
    add(b, full, 0, 1, c);
    snprintf(full, sizeof full, "%s.bn.beta", name);
    add(b, full, 0, 1, c);
}

static void add_linear(builder *b, const char *name, uint32_t in, uint32_t out) {
    char full[24];
    snprintf(full, sizeof full, "%s.weight", name);
    add(b, full, in, 2, in, out);
    snprintf(full, sizeof full, "%s.bias", name);
    add(b, full, 0, 1, out);
}

static void add_block(builder *b, const nas_stage *stage, uint32_t in) {
    uint32_t mid = in * most(&stage->expand), out = most(&stage->width), k = most(&stage->kernel);
    if (most(&stage->expand) > 1) {
        add(b, "expand.conv", in, 2, in, mid);
        add_bn(b, "expand", mid);
    }
    add(b, "depthwise.conv", k * k, 3, k, k, mid);
    add_bn(b, "depthwise", mid);
    if (stage->squeeze_excite) {
        add_linear(b, "se.reduce", mid, nas_squeeze_width(mid));
        add_linear(b, "se.excite", nas_squeeze_width(mid), mid);
    }
    add(b, "project.conv", mid, 2, mid, out);
    add_bn(b, "project", out);
}

static void build(builder *b, const nas_space *space) {
    uint32_t k = space->stem.kernel, width = space->stem.width;
    add(b, "stem.conv", k * k * space->channels, 4, k, k, space->channels, width);
    add_bn(b, "stem", width);
    for (uint32_t s = 0; s < space->n_stages; s++)
        for (uint32_t d = 0; d < most(&space->stages[s].depth); d++) {
            snprintf(b->prefix, sizeof b->prefix, "stage%u.block%u.", s, d);
            add_block(b, &space->stages[s], width);
            width = most(&space->stages[s].width);
        }
    b->prefix[0] = 0;
    add(b, "head.conv", width, 2, width, space->head.width);
    add_bn(b, "head", space->head.width);
    width = space->head.width;
    for (uint32_t i = 0; i < space->head.n_hidden; i++) {
        char name[16];
        snprintf(name, sizeof name, "hidden%u", i);
        add_linear(b, name, width, space->head.hidden[i]);
        width = space->head.hidden[i];
    }
    add_linear(b, "classifier", width, space->classes);
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
    for (uint32_t i = 0; status == NAS_OK && i < net->n_parameters; i++)
        take_tensor(&file, &net->parameters[i], net->weights);
    nas_tensors_free(&file);
    return status;
}
