/* A subnet that plays canned layers, or a small real one, to score plugins. Include the plugin's
 * source and <cmocka.h> before: what goes wrong here fails the test. */
#ifndef NAS_TESTS_SCORE_HARNESS_H
#define NAS_TESTS_SCORE_HARNESS_H

#include "space/lower.h"
#include "supernet/probe.h"

#include <math.h>
#include <string.h>

#include "small_net.h"

enum { PLAYED_LAYERS = 8, PLAYED_PROBES = 64 };

/* What one probe plays: layers in order. The last probe's play is repeated. */
typedef struct play {
    uint32_t n;
    nas_probe_layer layers[PLAYED_LAYERS];
    const double *images, *image_grad; /* of `shape` */
    nas_shape shape;
} play;

typedef struct player {
    play plays[4];
    uint32_t n_plays, n_probes;
    nas_probe seen[PLAYED_PROBES];
    int rc;                     /* what the host answers */
    const nas_network *network; /* NULL: none */
    const nas_supernet *real;   /* runs this instead */
    nas_probe_batch batch;      /* on these */
} player;

static inline int player_probe(const nas_subnet *subnet, const nas_probe *probe, nas_error *err) {
    player *p = subnet->impl;
    assert_true(p->n_probes < PLAYED_PROBES);
    uint32_t turn = p->n_probes++;
    p->seen[turn] = *probe;
    assert_int_equal(probe->size, sizeof *probe);
    if (p->rc) return nas_fail(err, p->rc, "no");
    if (p->real) {
        nas_pool *pool = NULL;
        int rc = nas_pool_create(1, &pool, err);
        if (!rc) rc = nas_supernet_probe(p->real, p->network, probe, 1, &p->batch, pool, err);
        nas_pool_destroy(pool);
        return rc;
    }
    assert_true(p->n_plays > 0);
    const play *now = &p->plays[turn < p->n_plays ? turn : p->n_plays - 1];
    for (uint32_t i = 0; i < now->n && probe->forward; i++) {
        nas_probe_layer at = now->layers[i];
        at.sum_grad = at.weight_grad = NULL;
        probe->forward(probe->context, &at);
    }
    for (uint32_t i = now->n; i-- > 0 && probe->backward;)
        probe->backward(probe->context, &now->layers[i]);
    if (probe->input)
        probe->input(probe->context, now->layers[0].images, now->shape, now->images,
                     now->image_grad);
    return NAS_OK;
}

static inline int player_score(player *p, const void *given, double *value, nas_error *err) {
    const nas_plugin *it = nas_plugin_entry();
    const nas_score_api *score_api = it->vtable;
    void *self = NULL;
    nas_subnet subnet = {.size = sizeof subnet,
                         .impl = p,
                         .network = p->network,
                         .classes = SMALL_CLASSES,
                         .labelled = 40,
                         .probe = player_probe};
    p->n_probes = 0;
    assert_int_equal(it->create(NULL, given, &self, err), NAS_OK);
    assert_non_null(self);
    int rc = score_api->start(self, &subnet, err);
    if (!rc) rc = score_api->score(self, &subnet, value, err);
    it->destroy(self);
    it->destroy(NULL);
    return rc;
}

/* The score; it must succeed, and be finite. */
static inline double player_value(player *p, const void *given) {
    nas_error err = {0};
    double value = NAN;
    if (player_score(p, given, &value, &err)) fail_msg("%s", err.message);
    assert_true(isfinite(value));
    return value;
}

static inline void player_near(player *p, const void *given, double expected) {
    double value = player_value(p, given);
    if (fabs(value - expected) > 1e-9 * (1 + fabs(expected)))
        fail_msg("expected %.12g, found %.12g", expected, value);
}

/* An error of the host reaches the caller; a host without probes is told. */
static inline void player_refusals(player *p, const void *given) {
    nas_error err = {0};
    double value;
    p->rc = NAS_ERR_MEMORY;
    assert_int_equal(player_score(p, given, &value, &err), NAS_ERR_MEMORY);
    p->rc = NAS_OK;
    void *self = NULL;
    nas_subnet old = {
        .size = offsetof(nas_subnet, probe), .impl = p, .network = p->network, .labelled = 40};
    assert_int_equal(nas_plugin_entry()->create(NULL, given, &self, &err), NAS_OK);
    const nas_score_api *score_api = nas_plugin_entry()->vtable;
    assert_int_equal(score_api->score(self, &old, &value, &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "newer nashost"));
    nas_plugin_entry()->destroy(self);
}

/* ---- A real subnet ---- */

typedef struct real_subnet {
    nas_space space;
    nas_supernet *net;
    nas_lowered *lowered;
    double *images;
    int32_t labels[16];
    player player;
} real_subnet;

/* The largest subnet of the small space with some images. */
static inline void real_open(real_subnet *r) {
    enum { N = 12, AREA = SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS };
    nas_error err = {0};
    *r = (real_subnet){.space = small_space("6")};
    r->net = small_net(&r->space);
    r->images = malloc(N * AREA * sizeof *r->images);
    assert_non_null(r->images);
    nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 0, 0);
    for (size_t i = 0; i < N * AREA; i++) r->images[i] = nas_rng_normal(&rng);
    for (int i = 0; i < N; i++) r->labels[i] = i % SMALL_CLASSES;
    nas_genome genome = nas_genome_largest(&r->space);
    if (nas_lower(&r->space, &genome, &r->lowered, &err)) fail_msg("%s", err.message);
    r->player = (player){
        .network = &r->lowered->network, .real = r->net, .batch = {N, r->images, r->labels}};
}

static inline void real_close(real_subnet *r) {
    nas_lowered_free(r->lowered);
    nas_supernet_destroy(r->net);
    free(r->images);
}

/* Kills the network: every weight 0. */
static inline void real_kill(real_subnet *r) {
    memset(r->net->weights, 0, r->net->size * sizeof *r->net->weights);
}

#endif
