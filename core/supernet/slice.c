#include "supernet/slice.h"

const nas_parameter *nas_slice_parameter(const nas_supernet *supernet, const nas_layer *layer,
                                         const char *part, nas_error *err) {
    char name[NAS_TENSOR_NAME];
    nas_layer_tensor_name(layer, part, name);
    const nas_parameter *p = nas_supernet_find(supernet, name);
    if (!p)
        nas_fail(err, NAS_ERR_INPUT,
                 "layer \"%s\": the supernet has no tensor \"%s\"; the layers belong to another "
                 "space",
                 layer->name, name);
    return p;
}

int nas_slice_find(const nas_supernet *supernet, const nas_layer *layer, nas_slice *slice,
                   nas_error *err) {
    const char *part = nas_layer_has_norm(layer) ? ".conv" : ".weight";
    const nas_parameter *p = nas_slice_parameter(supernet, layer, part, err);
    if (!p) return NAS_ERR_INPUT;
    const uint32_t *shape = p->shape;
    *slice = (nas_slice){.tensor = p,
                         .offset = p->offset,
                         .k = p->ndim > 2 ? shape[0] : 1,
                         .in = p->ndim == 3 ? 1 : shape[p->ndim - 2],
                         .out = shape[p->ndim - 1],
                         .kernel = layer->kernel,
                         .inputs = layer->op == NAS_OP_DEPTHWISE ? 1 : layer->in.c,
                         .columns = layer->out.c};
    if (slice->kernel <= slice->k && slice->inputs <= slice->in && slice->columns <= slice->out)
        return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "layer \"%s\": expected a kernel of at most %zux%zu, %zu inputs and %zu "
                    "outputs, found %ux%u, %zu and %u; the layers belong to another space",
                    layer->name, slice->k, slice->k, slice->in, slice->out, layer->kernel,
                    layer->kernel, slice->inputs, layer->out.c);
}
