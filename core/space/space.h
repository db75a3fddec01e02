/* A search space: inverted-residual stages (MobileNetV2/V3) that are elastic in depth, kernel,
 * expansion, width and input resolution; and the genomes that name its subnets. */
#ifndef NAS_SPACE_SPACE_H
#define NAS_SPACE_SPACE_H

#include "space/choices.h"

#include <jansson.h>
#include <nashost/network.h>
#include <nashost/plugin.h>

#define NAS_MAX_STAGES 10
#define NAS_MAX_HIDDEN 2
#define NAS_MIN_RESOLUTION 4
#define NAS_MAX_RESOLUTION 1024
#define NAS_MAX_WIDTH 8192
#define NAS_MAX_EXPAND 16
#define NAS_MAX_KERNEL 7
#define NAS_BN_EPSILON 1e-5 /* where a space names no other */
#define NAS_MAX_GENES (1 + NAS_MAX_STAGES * (2 + 2 * NAS_MAX_DEPTH))

/* Squeeze-excite: average, linear to a reduced width, activation, linear, gate. */
typedef struct nas_squeeze_rule {
    uint32_t of; /* nas_squeeze_of: the reduced width is that width / divisor, at least minimum, */
    uint32_t divisor, minimum;
    uint32_t round_to;         /* and a multiple of this, as nas_squeeze_width() rounds */
    uint32_t activation, gate; /* nas_activation */
} nas_squeeze_rule;

typedef enum nas_squeeze_of { NAS_SQUEEZE_INNER = 0, NAS_SQUEEZE_INPUT = 1 } nas_squeeze_of;

/* A stage. Its first block has the stride; the later ones have stride 1. A block has a residual
 * connection if its stride is 1 and its input and output widths are equal. Its inner width is
 * expand * input width, rounded; where that is the input width there is no expanding convolution.
 */
typedef struct nas_stage {
    nas_choices width, depth;
    nas_block_choices kernel;
    nas_block_ratios expand;
    uint32_t stride;
    bool squeeze_excite;
    nas_squeeze_rule squeeze;
    uint32_t activation; /* nas_activation, as below */
} nas_stage;

/* How many zeros stand around a convolution's input. */
typedef enum nas_padding {
    NAS_PADDING_SYMMETRIC = 0, /* kernel / 2 on each side */
    NAS_PADDING_SAME = 1,      /* TensorFlow's SAME: as many as it takes, the odd one behind */
} nas_padding;

typedef struct nas_space {
    char name[40];
    nas_choices resolution; /* square input; the data set's images are resized to it */
    struct {
        uint32_t kernel, stride, width, activation;
    } stem;
    uint32_t n_stages;
    nas_stage stages[NAS_MAX_STAGES];
    struct {
        uint32_t width; /* 1x1 convolution before the pooling */
        uint32_t activation;
        uint32_t n_hidden; /* linear layers between pooling and classifier */
        uint32_t hidden[NAS_MAX_HIDDEN];
        uint32_t hidden_activation;
        bool hidden_bias; /* whether these layers have biases */
    } head;
    /* The network reads (image / 255 - mean) / std; std[0] is 0 where the space does not say so,
     * and the data set's own mean and deviation are taken. */
    struct {
        float mean[3], std[3];
    } input;
    bool kernel_transform;      /* smaller kernels are made by learned matrices */
    uint32_t padding;           /* nas_padding */
    double batch_norm_epsilon;  /* added to batch norm's variance */
    uint32_t channels, classes; /* of the data set */
    /* Genes: resolution; then for each stage width, depth, and for each possible block kernel and
     * expand. A gene is the index of a choice, the smallest choice being 0. */
    uint32_t n_genes;
    uint16_t arity[NAS_MAX_GENES];
    char gene_names[NAS_MAX_GENES][28]; /* "resolution", "stage0.width", "stage0.block1.kernel" */
} nas_space;

/* Reads a space from a JSON object (docs in spaces/README.md; where says where it stands, for
 * messages). Every key is checked. [any] */
int nas_space_parse(const json_t *json, const char *where, uint32_t channels, uint32_t classes,
                    nas_space *space, nas_error *err);

/* Fills n_genes, arity and gene_names from the choices; after a change of these. [any] */
void nas_space_number_genes(nas_space *space);

/* The JSON Schema (2020-12) of spaces, made from the table that nas_space_parse reads by. The
 * caller owns it; NULL: out of memory. [any] */
json_t *nas_space_schema(void);

/* A block's inner width. [any] */
uint32_t nas_inner_width(uint32_t input, double expand);

/* The reduced width of squeeze-excite in a block of such widths: rounded to the nearest multiple of
 * round_to, halves up, and once more up where that is below 0.9 of what it rounds (MobileNet's
 * make_divisible). [any] */
uint32_t nas_squeeze_width(const nas_squeeze_rule *rule, uint32_t inner, uint32_t input);

/* Subnets in the space, as a double since published spaces exceed 1e19. */
double nas_space_size(const nas_space *space);

#endif
