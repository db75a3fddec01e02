/* Turns an architecture into units, nodes and buffers. */
#include "supernet/engine_impl.h"

#include <stdio.h>
#include <string.h>

/* Inputs of an expansion up to which it is computed again: a product of so many takes no longer
 * than to store a value and to read it. */
#define CHEAP_INPUTS 32
#define TILE_BYTES (256 * 1024) /* work memory of a tile: well inside a core's L2 cache */

static const nas_parameter *parameter(const nas_engine *e, const char *prefix, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return nas_supernet_find(e->supernet, full);
}

/* The first rows and columns of a matrix parameter. */
static slice cut(const nas_engine *e, const char *prefix, const char *name, size_t rows,
                 size_t columns) {
    const nas_parameter *p = parameter(e, prefix, name);
    return (slice){p->offset, p->shape[p->ndim - 1], rows, columns};
}

static size_t offset(const nas_engine *e, const char *prefix, const char *name) {
    return parameter(e, prefix, name)->offset;
}

static unit *add_unit(nas_engine *e, unit_kind kind, const char *prefix, const char *name,
                      nas_activation act, uint32_t oc, uint32_t k, uint32_t stride) {
    int index = e->n_units++;
    unit *u = &e->units[index];
    *u = (unit){.kind = kind, .act = act, .oc = oc, .k = k, .stride = stride};
    u->source = index - 1;
    u->node = u->residual = -1;
    if (index > 0) {
        const unit *below = u - 1;
        u->h = below->oh;
        u->w = below->ow;
        u->c = below->oc;
        u->bn = below->bn + below->oc;
    } else {
        u->h = u->w = e->arch.resolution;
        u->c = e->supernet->space.channels;
    }
    u->oh = (u->h + stride - 1) / stride;
    u->ow = (u->w + stride - 1) / stride;
    u->values = (size_t)u->oh * u->ow * oc;
    char full[32];
    snprintf(full, sizeof full, "%s.bn.gamma", name);
    u->gamma = offset(e, prefix, full);
    snprintf(full, sizeof full, "%s.bn.beta", name);
    u->beta = offset(e, prefix, full);
    snprintf(full, sizeof full, "%s.conv", name);
    size_t rows = kind == UNIT_POINTWISE ? u->c : kind == UNIT_STEM ? (size_t)k * k * u->c : k * k;
    u->weight = cut(e, prefix, full, rows, oc);
    u->full_k = parameter(e, prefix, full)->shape[0];
    return u;
}

/* The unit just added makes a node, which the next unit will store. */
static int add_node(nas_engine *e) {
    int node = e->n_nodes++;
    e->nodes[node].unit = e->n_units - 1;
    e->nodes[node].values = e->units[e->n_units - 1].values;
    return node;
}

static squeeze make_squeeze(const nas_engine *e, const char *prefix, uint32_t c) {
    size_t r = nas_squeeze_width(c);
    return (squeeze){.c = c,
                     .r = r,
                     .reduce = cut(e, prefix, "se.reduce.weight", c, r),
                     .excite = cut(e, prefix, "se.excite.weight", r, c),
                     .reduce_bias = offset(e, prefix, "se.reduce.bias"),
                     .excite_bias = offset(e, prefix, "se.excite.bias")};
}

/* Adds a block whose input is node `in`; returns its output's node. *residual is what to add when
 * that node is stored. */
static int add_block(nas_engine *e, uint32_t s, uint32_t b, int in, int *residual) {
    const nas_stage *stage = &e->supernet->space.stages[s];
    const nas_block *block = &e->arch.block[s][b];
    char prefix[32];
    snprintf(prefix, sizeof prefix, "stage%u.block%u.", s, b);
    uint32_t stride = b == 0 ? stage->stride : 1, width = e->arch.width[s];
    uint32_t c = e->units[e->nodes[in].unit].oc, mid = c * block->expand;
    int first = e->n_units;
    if (block->expand > 1)
        add_unit(e, UNIT_POINTWISE, prefix, "expand", stage->activation, mid, 1, 1)->expands = true;
    add_unit(e, UNIT_DEPTHWISE, prefix, "depthwise", stage->activation, mid, block->kernel, stride);
    e->units[first].node = in;
    e->units[first].residual = *residual;
    unit *project = add_unit(e, UNIT_POINTWISE, prefix, "project", NAS_ACT_NONE, width, 1, 1);
    if (stage->squeeze_excite) project->se = make_squeeze(e, prefix, mid);
    *residual = stride == 1 && c == width ? in : -1;
    return add_node(e);
}

static void add_linears(nas_engine *e) {
    const nas_space *space = &e->supernet->space;
    size_t in = e->units[e->n_units - 1].oc;
    for (uint32_t i = 0; i <= space->head.n_hidden; i++) {
        bool last = i == space->head.n_hidden;
        char name[16];
        snprintf(name, sizeof name, last ? "classifier" : "hidden%u", i);
        size_t out = last ? space->classes : space->head.hidden[i];
        e->linears[e->n_linear++] = (linear){.in = in,
                                             .out = out,
                                             .weight = offset(e, name, ".weight"),
                                             .bias = offset(e, name, ".bias")};
        in = out;
    }
}

/* Blocks of a stage that all subnets have alike, given that all is alike before them. */
static uint32_t fixed_blocks(const nas_stage *stage) {
    bool fixed = stage->width.n == 1 && stage->kernel.n == 1 && stage->expand.n == 1;
    return fixed ? stage->depth.value[0] : 0;
}

static void add_all(nas_engine *e) {
    const nas_space *space = &e->supernet->space;
    bool alike = space->resolution.n == 1;
    e->n_units = e->n_nodes = e->n_linear = 0;
    add_unit(e, UNIT_STEM, "", "stem", space->stem.activation, space->stem.width,
             space->stem.kernel, space->stem.stride);
    e->trunk = alike;
    int node = add_node(e), residual = -1;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        for (uint32_t b = 0; b < e->arch.depth[s]; b++) {
            node = add_block(e, s, b, node, &residual);
            if (alike && b < fixed_blocks(&space->stages[s])) e->trunk = e->n_units;
        }
        alike = alike && fixed_blocks(&space->stages[s]) && space->stages[s].depth.n == 1;
    }
    unit *head =
        add_unit(e, UNIT_POINTWISE, "", "head", space->head.activation, space->head.width, 1, 1);
    head->node = node;
    head->residual = residual;
    add_linears(e);
}

/* Takes count values, in whole cache lines, from the arena; with no arena it only counts. */
static nas_real *take(nas_engine *e, size_t count) {
    nas_real *memory = e->arena ? e->arena + e->arena_used : NULL;
    e->arena_used += nas_engine_lines(count);
    return memory;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* What a unit needs of its own besides y and g. */
static void take_small(nas_engine *e, unit *u, uint32_t images) {
    u->packed = take(e, u->weight.rows * u->weight.columns);
    if (u->expands) u->in_mean = take(e, e->max_cohorts * u->c);
    if (!u->se.c) return;
    u->se.pool = take(e, images * u->se.c);
    u->se.hidden = take(e, images * u->se.r);
    u->se.gate = take(e, images * u->se.c);
    if (e->mode != NAS_ENGINE_TRAIN) return;
    u->se.hidden_grad = take(e, images * u->se.r);
    u->se.gate_grad = take(e, images * u->se.c);
}

/* Forward only: a unit needs the one below it, a node the one before it. */
static void share_buffers(nas_engine *e, uint32_t images) {
    nas_real *y[2], *z[2], *spread = take(e, e->spread_room);
    for (int i = 0; i < 2; i++) y[i] = take(e, images * e->y_room);
    for (int i = 0; i < 2; i++) z[i] = take(e, images * e->z_room);
    for (int i = 0, turn = 0; i < e->n_units; i++) {
        if (e->units[i].expands)
            e->units[i].spread = spread;
        else
            e->units[i].y = y[turn++ % 2];
    }
    for (int i = 0; i < e->n_nodes; i++) e->nodes[i].z = z[i % 2];
    for (int i = 0; i < e->n_units; i++) take_small(e, &e->units[i], images);
}

/* Units first .. end - 1, with the nodes that their outputs become. */
static void keep_units(nas_engine *e, int first, int end, uint32_t images) {
    for (unit *u = e->units + first; u < e->units + end; u++) {
        if (u->expands) u->spread = take(e, e->max_cohorts * u->weight.rows * u->oc);
        if (!u->expands || u->c > CHEAP_INPUTS) u->y = take(e, images * u->values);
        take_small(e, u, images);
    }
    for (int i = 0; i < e->n_nodes; i++)
        if (e->nodes[i].unit >= first && e->nodes[i].unit < end)
            e->nodes[i].z = take(e, images * e->nodes[i].values);
}

/* Training: all of y and z stay, the trunk's at the same place for every subnet; gradients take
 * turns, those of nodes (which residuals need until
 * the block's first unit) apart from those inside a block. */
static void keep_buffers(nas_engine *e, uint32_t images) {
    size_t inner[2] = {0, 0}, outer = 0;
    keep_units(e, 0, e->trunk, images);
    if (e->trunk) e->trunk_grad = take(e, images * e->units[e->trunk - 1].values);
    keep_units(e, e->trunk, e->n_units, images);
    for (int i = 0; i < e->n_nodes; i++) /* whose turn it is depends on the depths */
        outer = larger(outer, e->nodes[i].values);
    for (int i = 0; i < e->n_units; i++) {
        int turn = e->units[i].kind == UNIT_DEPTHWISE;
        if (!e->units[i].expands) inner[turn] = larger(inner[turn], e->units[i].values);
    }
    nas_real *in[2], *out[2];
    for (int i = 0; i < 2; i++) in[i] = take(e, images * inner[i]);
    for (int i = 0; i < 2; i++) out[i] = take(e, images * outer);
    for (int i = 0; i < e->n_units; i++) e->units[i].g = in[e->units[i].kind == UNIT_DEPTHWISE];
    for (int i = 0; i < e->n_nodes; i++) e->units[e->nodes[i].unit].g = out[i % 2];
}

static void take_linears(nas_engine *e, uint32_t images) {
    for (int i = 0; i < e->n_linear; i++) {
        linear *l = &e->linears[i];
        l->x = take(e, images * l->in);
        l->y = take(e, images * l->out);
        if (e->mode == NAS_ENGINE_TRAIN) l->dx = take(e, images * l->in);
    }
    e->dropout_mask = take(e, images * e->linears[e->n_linear - 1].in);
}

size_t nas_engine_lay_out(nas_engine *e, const nas_arch *arch, uint32_t images) {
    e->arch = *arch;
    e->arena_used = 0;
    add_all(e);
    if (!e->arena) { /* first the largest subnet is laid out, to count */
        for (int i = 0; i < e->n_units; i++) {
            const unit *u = &e->units[i];
            if (u->expands)
                e->spread_room = larger(e->spread_room, u->weight.rows * u->oc);
            else
                e->y_room = larger(e->y_room, u->values);
        }
        for (int i = 0; i < e->n_nodes; i++) e->z_room = larger(e->z_room, e->nodes[i].values);
    }
    if (e->mode == NAS_ENGINE_TRAIN)
        keep_buffers(e, images);
    else
        share_buffers(e, images);
    take_linears(e, images);
    return e->arena_used;
}

/* What a tile holds of one image. */
static size_t image_memory(const unit *u) {
    size_t in = (size_t)u->h * u->w * u->c;
    if (u->kind == UNIT_DEPTHWISE) return in;
    if (u->expands) return in;
    if (u->kind == UNIT_STEM) return (size_t)u->oh * u->ow * (u->weight.rows + u->oc) + in;
    return 2 * in + u->values + 2 * u->se.c;
}

uint32_t nas_engine_tile(const unit *u) {
    size_t fit = TILE_BYTES / sizeof(nas_real) / image_memory(u);
    return fit ? (uint32_t)fit : 1;
}

size_t nas_engine_tile_memory(const unit *u) {
    size_t needed = nas_engine_tile(u) * image_memory(u), bound = TILE_BYTES / sizeof(nas_real);
    if (needed < bound) needed = bound; /* a narrower unit may take more images */
    needed += 3 * NAS_LINE;             /* its parts begin with a line */
    nas_depthwise shape = {u->h, u->w, u->oh, u->ow, u->c, u->k, u->stride};
    return nas_engine_lines(needed +
                            (u->kind == UNIT_DEPTHWISE ? nas_depthwise_scratch(&shape) : 0));
}

tile nas_engine_cut_tile(const nas_engine *e, const unit *u, int thread) {
    size_t n = nas_engine_tile(u), in = n * u->h * u->w * u->c;
    if (u->kind == UNIT_STEM) in = n * u->oh * u->ow * u->weight.rows;
    in = nas_engine_lines(in);
    tile t = {.x = e->scratch + (size_t)thread * e->scratch_size};
    t.ring = t.x + in;
    t.dy = t.x + in;
    t.dx = t.dy + nas_engine_lines(n * u->values);
    t.gate = t.dx + in;
    t.pool_grad = t.gate + n * u->se.c;
    return t;
}
