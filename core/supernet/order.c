#include "supernet/order.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A channel, and what the projection makes of it. */
typedef struct ranked {
    double norm;
    uint32_t channel;
} ranked;

/* Equal ones keep their order. */
static int by_norm(const void *a, const void *b) {
    const ranked *one = a, *other = b;
    if (one->norm != other->norm) return one->norm > other->norm ? -1 : 1;
    return one->channel < other->channel ? -1 : 1;
}

typedef struct ordering {
    nas_supernet *supernet;
    nas_real *statistics;
    ranked *order;    /* [inner], of the block at hand */
    nas_real *before; /* room for a tensor */
} ordering;

static void rank_channels(const ordering *o, const nas_parameter *project) {
    const nas_real *w = o->supernet->weights + project->offset;
    uint32_t inner = project->shape[0], out = project->shape[1];
    for (uint32_t c = 0; c < inner; c++) {
        o->order[c] = (ranked){0, c};
        for (uint32_t i = 0; i < out; i++) o->order[c].norm += fabs((double)w[c * out + i]);
    }
    qsort(o->order, inner, sizeof *o->order, by_norm);
}

/* Permutes values [outer][inner][run] along the middle. */
static void permute(const ordering *o, nas_real *values, size_t outer, size_t inner, size_t run) {
    memcpy(o->before, values, outer * inner * run * sizeof *values);
    for (size_t i = 0; i < outer; i++)
        for (size_t c = 0; c < inner; c++)
            memcpy(values + (i * inner + c) * run,
                   o->before + (i * inner + o->order[c].channel) * run, run * sizeof *values);
}

/* The tensors of a block with inner channels: whether these are its rows, or its last axis. */
static const struct part {
    const char *name;
    bool rows;
} parts[] = {
    {"expand.conv", false},     {"expand.bn.gamma", false},    {"expand.bn.beta", false},
    {"depthwise.conv", false},  {"depthwise.bn.gamma", false}, {"depthwise.bn.beta", false},
    {"se.reduce.weight", true}, {"se.excite.weight", false},   {"se.excite.bias", false},
    {"project.conv", true},
};

static const nas_parameter *find(const ordering *o, const char *block, const char *part) {
    char name[NAS_TENSOR_NAME + 24];
    snprintf(name, sizeof name, "%s%s", block, part);
    return nas_supernet_find(o->supernet, name);
}

static void order_block(const ordering *o, const char *block) {
    const nas_parameter *project = find(o, block, "project.conv");
    if (!project || !find(o, block, "expand.conv")) return; /* the inner ones are its input's */
    rank_channels(o, project);
    size_t inner = project->shape[0];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const nas_parameter *p = find(o, block, parts[i].name);
        if (!p) continue;
        size_t outer = parts[i].rows ? 1 : p->count / inner;
        size_t run = parts[i].rows ? p->count / inner : 1;
        permute(o, o->supernet->weights + p->offset, outer, inner, run);
        if (strstr(p->name, ".bn.")) permute(o, o->statistics + p->offset, 1, inner, 1);
    }
}

int nas_order_channels(nas_supernet *supernet, nas_real *statistics, nas_error *err) {
    const nas_space *space = &supernet->space;
    size_t largest = 0;
    for (uint32_t i = 0; i < supernet->n_parameters; i++)
        if (supernet->parameters[i].count > largest) largest = supernet->parameters[i].count;
    ordering o = {supernet, statistics, nas_alloc(largest, sizeof *o.order),
                  nas_alloc(largest, sizeof *o.before)};
    for (uint32_t s = 0; o.order && o.before && s < space->n_stages; s++) {
        uint32_t depth = space->stages[s].depth.value[space->stages[s].depth.n - 1];
        for (uint32_t b = 0; b < depth; b++) {
            char block[32];
            snprintf(block, sizeof block, "stage%u.block%u.", s, b);
            order_block(&o, block);
        }
    }
    bool done = o.order && o.before;
    free(o.order);
    free(o.before);
    return done ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for ordering channels");
}
