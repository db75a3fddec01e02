#include "supernet/engine_profile.h"

#include "base/clock.h"

const char *nas_part_name(nas_part part) {
    static const char *const names[NAS_PARTS] = {"stem",    "expand", "depthwise",
                                                 "project", "head",   "linear"};
    return names[part];
}

/* Whether a unit's result is a block's. */
static bool ends_block(const nas_engine_plan *plan, int index) {
    for (int i = 0; i < plan->n_nodes; i++)
        if (plan->nodes[i].unit == index) return true;
    return false;
}

static nas_part part_of(const nas_engine_plan *plan, int index) {
    const nas_unit *u = &plan->units[index];
    if (u->kind == NAS_UNIT_STEM) return NAS_PART_STEM;
    if (u->kind == NAS_UNIT_DEPTHWISE) return NAS_PART_DEPTHWISE;
    if (index == plan->n_units - 1) return NAS_PART_HEAD;
    return ends_block(plan, index) ? NAS_PART_PROJECT : NAS_PART_EXPAND;
}

/* Of one image, forward. */
static double unit_flops(const nas_unit *u) {
    /* of the depthwise kernel, or all of an output's inputs */
    double taps = (double)nas_unit_rows(u);
    const nas_unit *wide = nas_unit_expansion(u);
    if (u->expands) return 0;
    double macs = taps * (double)u->values + 2 * (double)u->squeeze.c * (double)u->squeeze.r;
    if (wide) macs += (double)nas_unit_rows(wide) * (double)wide->values;
    return 2 * macs;
}

/* Values of one image that a sweep reads and writes. */
static double unit_traffic(const nas_unit *u, bool backward) {
    double in = (double)nas_unit_inputs(u), out = (double)u->values;
    double nodes = (u->node >= 0) + (u->residual >= 0); /* it writes the one and reads the other */
    const nas_unit *wide = nas_unit_expansion(u);
    if (u->expands) return in + (backward ? 2 * in + nodes * in : nodes * in);
    if (wide) {
        in = (double)nas_unit_inputs(wide); /* what is in between stays in cache */
        return backward ? 2 * out + 2 * in : out + in;
    }
    if (!backward) return in + out + nodes * in;
    if (u->kind == NAS_UNIT_STEM) return in + 2 * out;
    return 2 * in + 2 * out + nodes * in; /* g and y of its own, y and g of the unit below */
}

double nas_profile_start(const nas_engine_pass *pass) {
    return pass->profile ? nas_seconds() : 0;
}

static nas_work *work_of(const nas_engine_pass *pass, bool backward, nas_part part) {
    return (backward ? pass->profile->backward : pass->profile->forward) + part;
}

void nas_profile_unit(const nas_engine_plan *plan, const nas_engine_pass *pass, int index,
                      bool backward, double start) {
    if (!pass->profile) return;
    const nas_unit *u = &plan->units[index];
    nas_work *work = work_of(pass, backward, part_of(plan, index));
    double products = !backward                  ? 1
                      : u->kind == NAS_UNIT_STEM ? 1
                                                 : 2; /* no gradient of the images */
    double values = unit_traffic(u, backward);
    work->seconds += nas_seconds() - start;
    work->flops += products * pass->n_images * unit_flops(u);
    work->bytes += pass->n_images * values * (double)sizeof(nas_real);
}

void nas_profile_head(const nas_engine_plan *plan, const nas_engine_pass *pass, bool backward,
                      double start) {
    if (!pass->profile) return;
    nas_work *work = work_of(pass, backward, NAS_PART_LINEAR);
    double flops = 0, pooled = (double)plan->units[plan->n_units - 1].values;
    for (int i = 0; i < plan->n_linears; i++)
        flops += 2 * (double)plan->linears[i].in * (double)plan->linears[i].out;
    work->seconds += nas_seconds() - start;
    work->flops += (backward ? 2 : 1) * pass->n_images * flops;
    work->bytes += (backward ? 2 : 1) * (double)pass->n_images * pooled * (double)sizeof(nas_real);
}
