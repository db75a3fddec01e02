/* Where the weights of a subnet's layers lie in the supernet's flat array. */
#ifndef NAS_SUPERNET_SLICE_H
#define NAS_SUPERNET_SLICE_H

#include "space/layout.h"
#include "supernet/supernet.h"

/* A layer's kernel: the centre, first inputs and first outputs of a tensor [k][k][in][out]
 * (depthwise: in = 1; linear and 1x1: k = 1). The layer's own weights are [rows][columns], rows =
 * kernel * kernel * inputs. */
typedef struct nas_slice {
    const nas_parameter *tensor;
    size_t offset, k, in, out;      /* of the tensor */
    size_t kernel, inputs, columns; /* of the layer */
} nas_slice;

/* A tensor of a layer made by nas_layout, part as in nas_layer_tensor_name(). NULL with
 * NAS_ERR_INPUT if the supernet has none, which is then of another space. [any] */
const nas_parameter *nas_slice_parameter(const nas_supernet *supernet, const nas_layer *layer,
                                         const char *part, nas_error *err);

/* The kernel of a layer that has weights. NAS_ERR_INPUT if it does not fit. [any] */
int nas_slice_find(const nas_supernet *supernet, const nas_layer *layer, nas_slice *slice,
                   nas_error *err);

static inline size_t nas_slice_rows(const nas_slice *s) {
    return s->kernel * s->kernel * s->inputs;
}

/* Where the first of a row's columns lies in the flat array; the others follow. [any] */
static inline size_t nas_slice_row(const nas_slice *s, size_t row) {
    size_t tap = row / s->inputs, skip = (s->k - s->kernel) / 2;
    size_t y = tap / s->kernel + skip, x = tap % s->kernel + skip;
    return s->offset + ((y * s->k + x) * s->in + row % s->inputs) * s->out;
}

#endif
