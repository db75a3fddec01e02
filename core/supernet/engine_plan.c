#include "supernet/engine_plan.h"

/* Inputs up to which an expansion is computed where it is needed, and batch norm's sums come from
 * its inputs' second moments. With more, products of the moments take longer than to store the
 * output and to read it, above all where pixels are few. */
#define CHEAP_INPUTS 64

/* A plan in the making: what the layers so far say of the next unit. */
typedef struct planner {
    const nas_supernet *supernet;
    const nas_layer *layers;
    const nas_role *roles;
    nas_engine_plan *plan;
    int residual;        /* node to be added when the last node is stored; -1: none */
    nas_squeeze squeeze; /* of the block at hand */
} planner;

/* The supernet's own layers fit it: no call below can fail. */
static nas_slice find_slice(const planner *p, const nas_layer *layer) {
    nas_slice slice = {0};
    nas_slice_find(p->supernet, layer, &slice, NULL);
    return slice;
}

static size_t find_offset(const planner *p, const nas_layer *layer, const char *part) {
    return nas_slice_parameter(p->supernet, layer, part, NULL)->offset;
}

/* True if a layer's result is stored as a node: of the stem and of blocks. */
static bool makes_node(const planner *p, int32_t layer) {
    nas_role role = p->roles[layer];
    return role == NAS_ROLE_STEM || role == NAS_ROLE_PROJECT || role == NAS_ROLE_ADD;
}

/* The unit just added makes a node, which the next unit will store. */
static void add_node(planner *p) {
    nas_engine_plan *plan = p->plan;
    int unit = plan->n_units - 1;
    plan->nodes[plan->n_nodes++] = (nas_node){plan->units[unit].values, unit};
    p->residual = -1;
}

/* True if a chunk's smallest input and output are less than its partial gradient, for the weights
 * of all subnets: then it is so for all whose images are as large or smaller. */
static bool has_few_pixels(const nas_unit *u) {
    size_t in = u->weight.in, out = u->weight.out;
    return u->kind == NAS_UNIT_POINTWISE &&
           (size_t)u->oh * u->ow * NAS_CHUNK_IMAGES * (in + out) < in * out;
}

static nas_unit *add_unit(planner *p, const nas_layer *layer, nas_unit_kind kind) {
    int index = p->plan->n_units++;
    nas_unit *u = &p->plan->units[index];
    *u = (nas_unit){.kind = kind,
                    .act = (nas_activation)layer->activation,
                    .h = layer->in.h,
                    .w = layer->in.w,
                    .c = layer->in.c,
                    .oh = layer->out.h,
                    .ow = layer->out.w,
                    .oc = layer->out.c,
                    .k = layer->kernel,
                    .stride = layer->stride,
                    .pad = layer->pad_before,
                    .source = index - 1,
                    .node = -1,
                    .residual = -1,
                    .weight = find_slice(p, layer),
                    .gamma = find_offset(p, layer, ".bn.gamma"),
                    .beta = find_offset(p, layer, ".bn.beta"),
                    .bn = index ? u[-1].bn + u[-1].oc : 0,
                    .values = nas_shape_elements(layer->out)};
    u->at_once = has_few_pixels(u);
    if (index && makes_node(p, layer->input[0])) {
        u->node = p->plan->n_nodes - 1;
        u->residual = p->residual;
    }
    return u;
}

/* An expansion, of all subnets done alike, since memory for the largest one must do for any. */
static void add_expansion(planner *p, const nas_layer *layer) {
    nas_unit *u = add_unit(p, layer, NAS_UNIT_POINTWISE);
    u->expands = u->weight.in <= CHEAP_INPUTS;
    if (u->expands) u->at_once = false;
}

static void add_chain(const planner *p, const nas_layer *layer, nas_unit *u) {
    u->chain = nas_kernel_chain_find(p->supernet, layer, &u->weight);
    if (p->supernet->space.kernel_transform) u->chain_room = nas_kernel_room(&u->weight);
}

static void add_linear(planner *p, const nas_layer *layer) {
    bool biased = nas_layer_has_bias(&p->supernet->space, layer);
    p->plan->linears[p->plan->n_linears++] =
        (nas_linear){.in = layer->in.c,
                     .out = layer->out.c,
                     .weight = find_offset(p, layer, ".weight"),
                     .bias = biased ? find_offset(p, layer, ".bias") : 0,
                     .biased = biased,
                     .act = (nas_activation)layer->activation};
}

static void add_squeeze(planner *p, const nas_layer *layer, nas_role role) {
    nas_squeeze *s = &p->squeeze;
    if (role == NAS_ROLE_REDUCE) {
        s->c = layer->in.c;
        s->r = layer->out.c;
        s->reduce = find_slice(p, layer);
        s->reduce_bias = find_offset(p, layer, ".bias");
        s->act = (nas_activation)layer->activation;
    } else {
        s->excite = find_slice(p, layer);
        s->excite_bias = find_offset(p, layer, ".bias");
        s->gate_act = (nas_activation)layer->activation;
    }
}

static void add_layer(planner *p, const nas_layer *layer, nas_role role) {
    switch (role) {
    case NAS_ROLE_STEM:
        add_unit(p, layer, NAS_UNIT_STEM);
        add_node(p);
        break;
    case NAS_ROLE_EXPAND:
        add_expansion(p, layer);
        break;
    case NAS_ROLE_DEPTHWISE:
        add_chain(p, layer, add_unit(p, layer, NAS_UNIT_DEPTHWISE));
        p->squeeze = (nas_squeeze){0};
        break;
    case NAS_ROLE_REDUCE:
    case NAS_ROLE_EXCITE:
        add_squeeze(p, layer, role);
        break;
    case NAS_ROLE_PROJECT:
        add_unit(p, layer, NAS_UNIT_POINTWISE)->squeeze = p->squeeze;
        add_node(p);
        break;
    case NAS_ROLE_ADD: /* of the node that this block's first unit stored */
        p->residual = p->plan->n_nodes - 2;
        break;
    case NAS_ROLE_HEAD:
        add_unit(p, layer, NAS_UNIT_POINTWISE);
        break;
    case NAS_ROLE_HIDDEN:
    case NAS_ROLE_CLASSIFIER:
        add_linear(p, layer);
        break;
    case NAS_ROLE_SQUEEZE: /* the engine averages and scales where it reads the depthwise unit, */
    case NAS_ROLE_SCALE:
    case NAS_ROLE_POOL: /* and averages before the first linear layer */
        break;
    }
}

/* Blocks of a stage that all subnets have alike, given that all is alike before them. */
static uint32_t fixed_blocks(const nas_stage *stage) {
    uint32_t b = 0;
    if (stage->width.n > 1) return 0;
    while (b < stage->depth.value[0] && stage->kernel.of[b].n == 1 && stage->expand.of[b].n == 1)
        b++;
    return b;
}

/* Units at the start that all subnets have alike: up to the last such block's node. */
static int count_trunk(const nas_space *space, const nas_engine_plan *plan) {
    uint32_t blocks = 0;
    if (space->resolution.n > 1) return 0;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_choices *depth = &space->stages[s].depth;
        uint32_t fixed = fixed_blocks(&space->stages[s]);
        blocks += fixed;
        if (fixed < depth->value[depth->n - 1]) break;
    }
    return plan->nodes[blocks].unit + 1;
}

void nas_engine_plan_make(const nas_supernet *supernet, const nas_arch *arch,
                          nas_engine_plan *plan) {
    nas_layer layers[NAS_MAX_LAYERS];
    nas_role roles[NAS_MAX_LAYERS];
    uint32_t n = nas_layout(&supernet->space, arch, layers, roles);
    planner p = {.supernet = supernet, .layers = layers, .roles = roles, .plan = plan};
    plan->n_units = plan->n_nodes = plan->n_linears = 0;
    plan->bn_epsilon = supernet->space.batch_norm_epsilon;
    for (uint32_t i = 0; i < n; i++) add_layer(&p, &layers[i], roles[i]);
    plan->trunk = count_trunk(&supernet->space, plan);
}
