/* The golden file of golden/supernet.py: images, and what PyTorch computes from them with the
 * quickstart supernet. Its tensors, beside "images" [8][28][28][1] and "labels" [8]:
 * "SUBNET/logits" [8][10], "SUBNET/loss" [1] (mean cross-entropy), "SUBNET/grad/NAME" for each
 * weight that the subnet uses: the part it uses, in the layout of the whole; and
 * "SUBNET/calibrated" [8][10], the logits with batch norm calibrated on 5 of the images, then 3.
 * SUBNET is "largest", "smallest" or "mixed". The weights follow from a formula. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "base/rng.h"
#include "base/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_FILE "tests/golden/supernet.safetensors" /* from the repository's root */
#define GOLDEN_MAX 160

typedef enum golden_kind {
    GOLDEN_WEIGHT, /* of a convolution or linear layer: variance 1 / fan_in */
    GOLDEN_GAMMA,
    GOLDEN_SHIFT, /* beta and biases */
} golden_kind;

/* A weight tensor of the supernet at its largest size; shape beyond ndim is 1. */
typedef struct golden_tensor {
    char name[96];
    uint32_t ndim;
    size_t shape[4], count;
    golden_kind kind;
    uint32_t fan_in;
    uint64_t check; /* golden_checksum() of numpy's values */
} golden_tensor;

typedef struct golden {
    nas_tensor_file file;
    json_t *metadata;
    golden_tensor tensors[GOLDEN_MAX]; /* the place is an input of the formula */
    size_t n_tensors;
} golden;

/* Value i of the tensor at that place. */
static inline float golden_weight(uint32_t i, uint32_t tensor, golden_kind kind, uint32_t fan_in) {
    const uint32_t counter[4] = {i, tensor, 0, 0}, key[2] = {0x676f6c64, 95};
    uint32_t out[4];
    nas_philox(counter, key, out);
    double u = out[0] * 0x1p-32;
    if (kind == GOLDEN_GAMMA) return (float)(0.5 + u);
    if (kind == GOLDEN_SHIFT) return (float)(0.2 * (2 * u - 1));
    return (float)((2 * u - 1) * sqrt(3.0 / fan_in));
}

/* Writes the tensor's count values. */
static inline void golden_fill(const golden *g, size_t tensor, float *values) {
    const golden_tensor *t = &g->tensors[tensor];
    for (size_t i = 0; i < t->count; i++)
        values[i] = golden_weight((uint32_t)i, (uint32_t)tensor, t->kind, t->fan_in);
}

/* Sum of (i + 1) * bits of value i, modulo 2^64. */
static inline uint64_t golden_checksum(const float *values, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        sum += (i + 1) * bits;
    }
    return sum;
}

static inline int golden_read_tensor(json_t *item, golden_tensor *t) {
    const char *name, *kind, *check;
    json_t *shape, *size;
    json_int_t fan_in;
    if (json_unpack(item, "{s:s, s:o, s:s, s:I, s:s}", "name", &name, "shape", &shape, "kind",
                    &kind, "fan_in", &fan_in, "check", &check) != 0)
        return -1;
    size_t d;
    *t = (golden_tensor){.shape = {1, 1, 1, 1}, .count = 1, .fan_in = (uint32_t)fan_in};
    snprintf(t->name, sizeof t->name, "%s", name);
    json_array_foreach(shape, d, size) {
        if (d == 4) return -1;
        t->shape[d] = (size_t)json_integer_value(size);
        t->count *= t->shape[d];
        t->ndim++;
    }
    t->kind = strcmp(kind, "weight") == 0  ? GOLDEN_WEIGHT
              : strcmp(kind, "gamma") == 0 ? GOLDEN_GAMMA
                                           : GOLDEN_SHIFT;
    t->check = strtoull(check, NULL, 16);
    return 0;
}

static inline void golden_close(golden *g) {
    nas_tensors_free(&g->file);
    json_decref(g->metadata);
    *g = (golden){0};
}

/* Reads the file; *g is to be closed in either case. */
static inline int golden_open(const char *path, golden *g, nas_error *err) {
    *g = (golden){0};
    int rc = nas_tensors_load(path, &g->file, err);
    if (rc != NAS_OK) return rc;
    if (g->file.metadata) g->metadata = json_loads(g->file.metadata, 0, NULL);
    const char *text = json_string_value(json_object_get(g->metadata, "tensors"));
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    size_t n = json_array_size(list);
    bool good = n > 0 && n <= GOLDEN_MAX;
    for (size_t i = 0; good && i < n; i++)
        good = golden_read_tensor(json_array_get(list, i), &g->tensors[i]) == 0;
    json_decref(list);
    if (!good) return nas_fail(err, NAS_ERR_INPUT, "%s: metadata: cannot read 'tensors'", path);
    g->n_tensors = n;
    return NAS_OK;
}

/* The place of a weight tensor; n_tensors if there is none of that name. */
static inline size_t golden_place(const golden *g, const char *name) {
    size_t i = 0;
    while (i < g->n_tensors && strcmp(g->tensors[i].name, name) != 0) i++;
    return i;
}

/* Tensor "SUBNET/PART", such as "mixed/logits" and "mixed/grad/stem.conv", or NULL. */
static inline const nas_tensor *golden_part(const golden *g, const char *subnet, const char *part) {
    char name[192];
    snprintf(name, sizeof name, "%s/%s", subnet, part);
    return nas_tensors_find(&g->file, name);
}

/* The subnet's genome in the form of nas_genome_from_json(); the caller releases it. */
static inline json_t *golden_genome(const golden *g, const char *subnet) {
    char key[64];
    snprintf(key, sizeof key, "%s/genome", subnet);
    const char *text = json_string_value(json_object_get(g->metadata, key));
    return text ? json_loads(text, 0, NULL) : NULL;
}

#endif
