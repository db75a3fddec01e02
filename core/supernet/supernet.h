/* The shared weights of a search space: one flat array and a table of named tensors. A subnet uses
 * the first rows and columns of each matrix and the centre of each depthwise kernel. */
#ifndef NAS_SUPERNET_SUPERNET_H
#define NAS_SUPERNET_SUPERNET_H

#include "nn/real.h"
#include "space/layout.h"

/* Tensors, in the order of the array, with the layouts of safetensors files:
 *   stem.conv [k][k][in][out], stem.bn.gamma [c], stem.bn.beta [c];
 *   stageS.blockB.expand.conv [in][mid] (absent where only expand 1 is allowed), .expand.bn.*,
 *   .depthwise.conv [k][k][mid], .depthwise.matrixAtoB [B * B][B * B] (where kernels are
 *   transformed, of each two neighbouring choices A > B), .depthwise.bn.*,
 *   .se.reduce.weight [mid][r], .se.reduce.bias, .se.excite.weight [r][mid], .se.excite.bias,
 *   .project.conv [mid][out], .project.bn.*;
 *   head.conv [in][out], head.bn.*; hiddenH.weight [in][out], hiddenH.bias (absent where the space
 * says so); classifier.weight [in][out], classifier.bias */
typedef struct nas_parameter {
    char name[NAS_TENSOR_NAME];
    uint32_t ndim;
    uint32_t shape[4];
    size_t offset, count; /* in nas_real, into the flat array */
    uint32_t fan_in;      /* of a kernel; 0 for biases and batch norm */
    bool decay;           /* weight decay applies: kernels, and the matrices between them */
} nas_parameter;

typedef struct nas_supernet {
    nas_space space; /* a copy */
    uint32_t n_parameters;
    nas_parameter *parameters;
    size_t size;       /* of the flat array, in nas_real */
    nas_real *weights; /* [size] */
} nas_supernet;

/* Allocates and initialises: kernels normal with variance 2 / fan_in (He et al., arXiv 1502.01852)
 * by seed, gamma 1, biases and beta 0, matrices the identity. With zero_init the last batch norm of
 * every block that is sure to have a residual connection (all but a stage's first) starts at gamma
 * 0, so that depth costs nothing at first (arXiv 1706.02677). [any] */
int nas_supernet_create(const nas_space *space, uint64_t seed, bool zero_init,
                        nas_supernet **supernet, nas_error *err);
void nas_supernet_destroy(nas_supernet *supernet); /* NULL-safe */

/* The parameter of that name, or NULL. [any] */
const nas_parameter *nas_supernet_find(const nas_supernet *supernet, const char *name);

/* Writes weights (NULL: supernet->weights) as float32 safetensors, metadata_json as in
 * nas_tensors_save. [any] */
int nas_supernet_save(const nas_supernet *supernet, const nas_real *weights, const char *path,
                      const char *metadata_json, nas_error *err);

/* Reads weights back; every tensor must be there with the same shape, and no other. On failure the
 * weights stay as they were. [any] */
int nas_supernet_load(nas_supernet *supernet, const char *path, nas_error *err);

#endif
