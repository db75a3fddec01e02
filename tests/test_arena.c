/* Where tensors lie in the memory of an export that allocates nothing. */
#include <nashost/kit/arena.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "small_net.h"
#include "space/lower.h"

/* The place of a tensor, and whether one is still to be read after a layer has run. */
static const nas_tensor *place_of(const nas_arena *p, uint32_t index) {
    return &p->tensors[p->tensors[index].placed_as];
}

static bool needed_after(const nas_network *net, uint32_t index, uint32_t layer) {
    for (uint32_t i = layer + 1; i < net->n_layers; i++)
        for (int k = 0; k < 2; k++)
            if (nas_network_layer(net, i)->input[k] + 1 == (int32_t)index) return true;
    return false;
}

/* What a layer writes may lie on nothing that it or a later layer reads, but for the first input of
 * an addition or a scaling, which lies there exactly. */
static void check_layer(const nas_network *net, const nas_arena *p, uint32_t i) {
    const nas_layer *layer = nas_network_layer(net, i);
    const nas_tensor *out = place_of(p, i + 1);
    uint64_t n = nas_shape_elements(layer->out);
    bool pair = layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE;
    assert_true(out->offset + n <= p->elements);
    for (uint32_t t = 0; t <= i; t++) {
        bool read = layer->input[0] + 1 == (int32_t)t || layer->input[1] + 1 == (int32_t)t;
        bool later = needed_after(net, t, i);
        if (!read && !later) continue;
        const nas_tensor *other = place_of(p, t);
        uint64_t m = nas_shape_elements(t ? nas_network_layer(net, t - 1)->out : net->image);
        bool apart = out->offset + n <= other->offset || other->offset + m <= out->offset;
        bool in_place = pair && !later && layer->input[0] + 1 == (int32_t)t && out == other;
        if (!apart && !in_place)
            fail_msg("layer %s overwrites tensor %u, which is needed", layer->name, t);
    }
}

/* The plan is right for any subnet, and takes what the hardware models reckon with. */
static void check_space(const nas_space *space, uint32_t subnets) {
    nas_error err = {0};
    for (uint32_t which = 0; which < subnets; which++) {
        nas_genome genome = small_genome(space, which);
        nas_lowered *lowered;
        nas_arena p;
        if (nas_lower(space, &genome, &lowered, &err)) fail_msg("%s", err.message);
        const nas_network *net = &lowered->network;
        assert_int_equal(nas_arena_make(net, &p, &err), NAS_OK);
        for (uint32_t i = 0; i + 1 < net->n_layers; i++) check_layer(net, &p, i);
        if (p.elements != net->peak_elements)
            fail_msg("%s: subnet %u: the arena has %llu elements, the peak is %llu", space->name,
                     which, (unsigned long long)p.elements, (unsigned long long)net->peak_elements);
        nas_arena_free(&p);
        nas_lowered_free(lowered);
    }
}

static void test_plan(void **state) {
    (void)state;
    nas_space small = small_space("16"), quickstart = small_quickstart();
    check_space(&small, 200);
    check_space(&quickstart, 200);
}

static void test_published_spaces(void **state) {
    (void)state;
    static const char *const files[] = {"spaces/ofa-mbv3.json", "spaces/ofa-proxyless.json"};
    for (int i = 0; i < 2; i++) {
        nas_error err = {0};
        nas_space space;
        json_t *json;
        if (nas_json_load(files[i], &json, &err)) fail_msg("%s", err.message);
        if (nas_space_parse(json, files[i], 3, 1000, &space, &err)) fail_msg("%s", err.message);
        json_decref(json);
        check_space(&space, 20);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_published_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
