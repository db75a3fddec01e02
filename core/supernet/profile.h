/* Where an engine's time goes: seconds, arithmetic and memory traffic for each kind of layer. */
#ifndef NAS_SUPERNET_PROFILE_H
#define NAS_SUPERNET_PROFILE_H

typedef enum nas_part {
    NAS_PART_STEM,
    NAS_PART_EXPAND, /* an expanding 1x1 convolution; where its inputs are few, only these and their
                        sums */
    NAS_PART_DEPTHWISE, /* with the products of the expansion before it */
    NAS_PART_PROJECT,   /* with squeeze-excite */
    NAS_PART_HEAD,      /* the last 1x1 convolution */
    NAS_PART_LINEAR,    /* pooling and the linear layers */
    NAS_PARTS
} nas_part;

/* Each convolution with its batch norm and activation. flops: two for a multiplication and its
 * addition, of convolutions and linear layers alone, each counted once even if it is computed
 * again. bytes: what passes over main memory if each
 * stored activation or gradient is read or written once by each sweep that uses it, and all else
 * stays in cache. */
typedef struct nas_work {
    double seconds, flops, bytes;
} nas_work;

/* Sums; zeroed: empty. */
typedef struct nas_profile {
    nas_work forward[NAS_PARTS], backward[NAS_PARTS];
} nas_profile;

/* "stem", "expand", ... */
const char *nas_part_name(nas_part part);

#endif
