#include <nashost/kit/arena.h>

#include <stdlib.h>

/* Fills sizes and lives. The image is made before layer 0, which counts as by it; the last result
 * is the caller's, and takes no place. */
static void fill(nas_arena *p, const nas_network *net) {
    p->tensors[0] = (nas_tensor){.elements = nas_shape_elements(net->image)};
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        p->tensors[i + 1] = (nas_tensor){
            .elements = nas_shape_elements(layer->out), .from = i, .to = i, .placed_as = i + 1};
        for (int k = 0; k < 2; k++)
            if (layer->input[k] >= NAS_INPUT_IMAGE) p->tensors[layer->input[k] + 1].to = i;
    }
    p->tensors[net->n_layers].elements = 0;
}

/* Additions and scalings write over their first input where that is its last use. */
static void share(nas_arena *p, const nas_network *net) {
    for (uint32_t i = 0; i + 1 < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        bool pair = layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE;
        const nas_tensor *first = &p->tensors[layer->input[0] + 1];
        if (!pair || first->to != i) continue;
        nas_tensor *whole = &p->tensors[first->placed_as];
        whole->to = p->tensors[i + 1].to;
        p->tensors[i + 1].placed_as = first->placed_as;
        p->tensors[i + 1].elements = 0;
    }
}

/* The most elements that live at once, which no plan can do without. */
static uint64_t alive(const nas_arena *p) {
    uint64_t most = 0;
    for (uint32_t time = 0; time < p->n; time++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < p->n; i++) {
            const nas_tensor *t = &p->tensors[i];
            if (t->from <= time && time <= t->to) sum += t->elements;
        }
        if (sum > most) most = sum;
    }
    return most;
}

/* One of the first n tensors in order that lies where t would and lives at its time; NULL: none. */
static const nas_tensor *obstacle(const nas_arena *p, const nas_tensor *t, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const nas_tensor *other = &p->tensors[p->order[i]];
        bool alive = other->elements && other->from <= t->to && t->from <= other->to;
        if (alive && t->offset < other->offset + other->elements &&
            other->offset < t->offset + t->elements)
            return other;
    }
    return NULL;
}

/* Puts t at the lowest place that the first n tensors leave free. */
static void put_low(const nas_arena *p, nas_tensor *t, uint32_t n) {
    const nas_tensor *other;
    t->offset = 0;
    while ((other = obstacle(p, t, n))) t->offset = other->offset + other->elements;
}

/* Puts t at the highest place within the arena; false: there is none. */
static bool put_high(const nas_arena *p, nas_tensor *t, uint32_t n) {
    const nas_tensor *other;
    if (t->elements > p->elements) return false;
    t->offset = p->elements - t->elements;
    while ((other = obstacle(p, t, n))) {
        if (other->offset < t->elements) return false;
        t->offset = other->offset - t->elements;
    }
    return true;
}

/* Places the i-th tensor and those after it within the arena, each as low or as high as it can be,
 * depth first; gives up after so many tries. */
static bool place_within(const nas_arena *p, uint32_t i, uint32_t *tries) {
    if (i == p->n) return true;
    nas_tensor *t = &p->tensors[i];
    if (!t->elements) return place_within(p, i + 1, tries);
    if (!*tries) return false;
    --*tries;
    put_low(p, t, i);
    if (t->offset + t->elements <= p->elements && place_within(p, i + 1, tries)) return true;
    return put_high(p, t, i) && place_within(p, i + 1, tries);
}

/* By falling size, in an arena as large as it takes. */
static void place_by_size(nas_arena *p) {
    p->elements = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t at = i;
        for (; at && p->tensors[p->order[at - 1]].elements < p->tensors[i].elements; at--)
            p->order[at] = p->order[at - 1];
        p->order[at] = i;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        nas_tensor *t = &p->tensors[p->order[i]];
        if (!t->elements) continue;
        put_low(p, t, i);
        if (t->offset + t->elements > p->elements) p->elements = t->offset + t->elements;
    }
}

uint64_t nas_arena_place(const nas_arena *p, uint32_t i) {
    return p->tensors[p->tensors[i].placed_as].offset;
}

void nas_arena_free(nas_arena *p) {
    free(p->tensors);
    free(p->order);
    *p = (nas_arena){0};
}

int nas_arena_make(const nas_network *net, nas_arena *p, nas_error *err) {
    uint32_t tries = 100000;
    *p = (nas_arena){.n = net->n_layers + 1};
    p->tensors = (nas_tensor *)calloc(p->n, sizeof *p->tensors);
    p->order = (uint32_t *)calloc(p->n, sizeof *p->order);
    if (!p->tensors || !p->order) {
        nas_arena_free(p);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a plan of tensors");
    }
    fill(p, net);
    share(p, net);
    p->elements = alive(p);
    for (uint32_t i = 0; i < p->n; i++) p->order[i] = i;
    if (!place_within(p, 0, &tries)) place_by_size(p);
    return NAS_OK;
}
