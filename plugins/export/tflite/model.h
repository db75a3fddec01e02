/* A graph as the FlatBuffer that LiteRT reads. */
#ifndef NASHOST_TFLITE_MODEL_H
#define NASHOST_TFLITE_MODEL_H

#include "flat.h"
#include "graph.h"

/* metadata: what nas_tflite_put_metadata made. The caller frees f with nas_flat_free. */
void nas_tflite_put_model(flat *f, const graph *g, const flat *metadata);

#endif
