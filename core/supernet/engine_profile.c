#include "supernet/profile.h"

#include "base/clock.h"
#include "supernet/engine_impl.h"

const char *nas_part_name(nas_part part) {
    static const char *const names[NAS_PARTS] = {"stem",    "expand", "depthwise",
                                                 "project", "head",   "linear"};
    return names[part];
}

void nas_engine_profile(nas_engine *e, nas_profile *profile) {
    e->profile = profile;
}

static nas_part part_of(const nas_engine *e, int index) {
    const unit *u = &e->units[index];
    if (u->kind == UNIT_STEM) return NAS_PART_STEM;
    if (u->kind == UNIT_DEPTHWISE) return NAS_PART_DEPTHWISE;
    if (index == e->n_units - 1) return NAS_PART_HEAD;
    return u->expands ? NAS_PART_EXPAND : NAS_PART_PROJECT;
}

/* The expansion whose products are those of unit u's sweeps, or NULL. */
static const unit *expansion(const unit *u) {
    return u->source >= 0 && u[-1].expands ? u - 1 : NULL;
}

/* Of one image, forward. */
static double unit_flops(const unit *u) {
    double taps =
        (double)u->weight.rows; /* of the depthwise kernel, or all of an output's inputs */
    const unit *wide = expansion(u);
    if (u->expands) return 0;
    double macs = taps * (double)u->values + 2 * (double)u->se.c * (double)u->se.r;
    if (wide) macs += (double)wide->weight.rows * (double)wide->values;
    return 2 * macs;
}

/* Values of one image that a sweep reads and writes. */
static double unit_traffic(const unit *u, bool backward) {
    double in = (double)u->h * u->w * u->c, out = (double)u->values;
    double nodes = (u->node >= 0) + (u->residual >= 0); /* it writes the one and reads the other */
    const unit *wide = expansion(u);
    if (u->expands) return in + (backward ? 2 * in + nodes * in : nodes * in);
    if (wide) {
        double kept = wide->y ? in : 0; /* what is not kept stays in cache */
        in = (double)wide->h * wide->w * wide->c;
        return kept + (backward ? 2 * out + 2 * in : out + in);
    }
    if (!backward) return in + out + nodes * in;
    if (u->kind == UNIT_STEM) return in + 2 * out;
    return 2 * in + 2 * out + nodes * in; /* g and y of its own, y and g of the unit below */
}

double nas_profile_start(const nas_engine *e) {
    return e->profile ? nas_seconds() : 0;
}

void nas_profile_unit(nas_engine *e, int index, bool backward, double start) {
    if (!e->profile) return;
    const unit *u = &e->units[index];
    nas_part part = part_of(e, index);
    nas_work *work = (backward ? e->profile->backward : e->profile->forward) + part;
    double passes = !backward ? 1 : u->kind == UNIT_STEM ? 1 : 2; /* no gradient of the images */
    work->seconds += nas_seconds() - start;
    work->flops += passes * e->n_images * unit_flops(u);
    work->bytes += e->n_images * unit_traffic(u, backward) * (double)sizeof(nas_real);
}

void nas_profile_head(nas_engine *e, bool backward, double start) {
    if (!e->profile) return;
    const unit *last = &e->units[e->n_units - 1];
    nas_work *work = (backward ? e->profile->backward : e->profile->forward) + NAS_PART_LINEAR;
    double flops = 0;
    for (int i = 0; i < e->n_linear; i++)
        flops += 2 * (double)e->linears[i].in * (double)e->linears[i].out;
    work->seconds += nas_seconds() - start;
    work->flops += (backward ? 2 : 1) * e->n_images * flops;
    work->bytes +=
        (backward ? 2 : 1) * (double)e->n_images * (double)last->values * (double)sizeof(nas_real);
}
