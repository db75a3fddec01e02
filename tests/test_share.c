/* A batch run by several processes, here threads: each reads its own images alone, and all end with
 * the bits that one process has. */
#include "base/rng.h"
#include "supernet/engine.h"
#include "supernet/share.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"

enum { MOST_RANKS = 40, SUBNETS = 3, INPUTS = 3, LABELLED = 18, VIEW = 23, CHUNKS = 16, LEAST = 4 };
#define IMAGE ((size_t)SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS)
#define IMAGES (LABELLED + 2 * VIEW)
#define LOGITS ((size_t)IMAGES * SMALL_CLASSES)

/* What ranks share, and where each puts what it has for the others. */
typedef struct meeting {
    pthread_barrier_t barrier;
    char *data[MOST_RANKS];
    uint32_t ranks;
    const nas_space *space;
    const nas_supernet *net;
    const float *images;
    bool apart;
} meeting;

typedef struct rank {
    meeting *meeting;
    uint32_t rank;
    pthread_t thread;
    char *begun; /* data of what is on its way */
    uint64_t *begun_ends;
    float *gradient, logits[SUBNETS * LOGITS], tutor[VIEW * SMALL_CLASSES];
} rank;

static void gather(void *context, void *data, const uint64_t *ends) {
    const rank *me = context;
    meeting *m = me->meeting;
    m->data[me->rank] = data;
    pthread_barrier_wait(&m->barrier);
    for (uint32_t r = 0; r < m->ranks; r++) {
        uint64_t from = r ? ends[r - 1] : 0;
        if (r != me->rank && ends[r] > from)
            memcpy((char *)data + from, m->data[r] + from, ends[r] - from);
    }
    pthread_barrier_wait(&m->barrier);
}

/* What others have comes at the end: until then it is no number. */
static void begin(void *context, void *data, const uint64_t *ends) {
    rank *me = context;
    uint32_t ranks = me->meeting->ranks;
    uint64_t from = me->rank ? ends[me->rank - 1] : 0;
    assert_null(me->begun);
    me->begun = data;
    me->begun_ends = malloc(ranks * sizeof *ends);
    if (!me->begun_ends) abort();
    memcpy(me->begun_ends, ends, ranks * sizeof *ends);
    memset(data, 0xff, from);
    memset((char *)data + ends[me->rank], 0xff, ends[ranks - 1] - ends[me->rank]);
}

static void end(void *context) {
    rank *me = context;
    gather(me, me->begun, me->begun_ends);
    free(me->begun_ends);
    me->begun = NULL;
}

/* The first image of a rank, of a cohort of n from `first` on whose chunks are `chunk` and later of
 * `all`: as supernet/engine_pass.c cuts them. */
static bool owns(const meeting *m, uint32_t r, uint32_t chunk, uint32_t all) {
    return chunk >= all * r / m->ranks && chunk < all * (r + 1) / m->ranks;
}

static uint32_t chunks_of(uint32_t n) {
    return n / LEAST < 1 ? 1 : n / LEAST > CHUNKS ? CHUNKS : n / LEAST;
}

/* The images that rank r may read, of inputs [n]; the others are NaN. */
static float *own_images(const meeting *m, uint32_t r, const float *images, const uint32_t *sizes,
                         uint32_t n, bool apart) {
    uint32_t whole = 0, all = 0, done = 0, chunk = 0;
    for (uint32_t i = 0; i < n; i++) whole += sizes[i];
    for (uint32_t i = 0; i < n; i++) all += chunks_of(sizes[i]);
    if (!apart) all = chunks_of(whole);
    float *own = malloc(whole * IMAGE * sizeof *own);
    bool *marked = calloc(whole, sizeof *marked);
    nas_input inputs[INPUTS];
    if (!own || !marked) abort();
    for (uint32_t i = 0; i < n; i++) inputs[i] = (nas_input){NULL, sizes[i]};
    nas_share_mark(&(nas_share){.rank = r, .ranks = m->ranks}, inputs, n, apart, marked);
    for (uint32_t i = 0; i < (apart ? n : 1); i++) {
        uint32_t size = apart ? sizes[i] : whole, cuts = chunks_of(size);
        for (uint32_t c = 0; c < cuts; c++, chunk++) {
            size_t first = done + size * c / cuts, end = done + size * (c + 1) / cuts;
            bool mine = owns(m, r, chunk, all);
            for (size_t image = first; image < end; image++)
                if (marked[image] != mine) abort();
            for (size_t v = first * IMAGE; v < end * IMAGE; v++) own[v] = mine ? images[v] : NAN;
        }
        done += size;
    }
    free(marked);
    return own;
}

static void train(rank *me, nas_engine *engine, nas_engine *tutor) {
    static const uint32_t sizes[INPUTS] = {LABELLED, VIEW, VIEW}, view = VIEW;
    const meeting *m = me->meeting;
    float logits_grad[LOGITS];
    float *seen = own_images(m, me->rank, m->images + (IMAGES - VIEW) * IMAGE, &view, 1, false);
    float *own = own_images(m, me->rank, m->images, sizes, INPUTS, m->apart);
    nas_input inputs[INPUTS], taught = {seen, VIEW};
    for (uint32_t i = 0, at = 0; i < INPUTS; at += sizes[i++])
        inputs[i] = (nas_input){own + at * IMAGE, sizes[i]};
    small_select(tutor, m->space, 0);
    nas_engine_forward(tutor, m->net->weights, &taught, 1, &(nas_forward){0}, me->tutor);
    for (uint32_t i = 0; i < SUBNETS; i++) {
        small_select(engine, m->space, i);
        small_fill(logits_grad, LOGITS, 2 + i);
        nas_forward how = {.dropout = 0.2,
                           .seed = 1,
                           .step = 2,
                           .stream = i,
                           .follows = i > 0,
                           .followed = i + 1 < SUBNETS,
                           .apart = m->apart};
        nas_engine_forward(engine, m->net->weights, inputs, INPUTS, &how, me->logits + i * LOGITS);
        nas_engine_backward(engine, m->net->weights, logits_grad, me->gradient);
    }
    free(seen);
    free(own);
}

static void *work(void *context) {
    rank *me = context;
    const meeting *m = me->meeting;
    nas_error err = {0};
    nas_engine *engine, *tutor;
    const nas_share share = {me->rank, m->ranks, gather, me, begin, end};
    int rc = nas_engine_create(m->net, NAS_ENGINE_TRAIN, IMAGES, INPUTS, SMALL_SIDE, SMALL_SIDE,
                               1 + (int)me->rank % 2, &engine, &err);
    if (!rc) rc = nas_engine_create_within(engine, VIEW, &tutor, &err);
    /* Not for one: that is the engine as it is without. */
    if (!rc && m->ranks > 1) rc = nas_engine_share(engine, &share, &err);
    if (!rc && m->ranks > 1) rc = nas_engine_share(tutor, &share, &err);
    if (rc) abort();
    me->gradient = calloc(m->net->size, sizeof *me->gradient);
    train(me, engine, tutor);
    nas_engine_destroy(tutor);
    nas_engine_destroy(engine);
    return NULL;
}

static rank *run(meeting *m, uint32_t ranks) {
    rank *all = calloc(ranks, sizeof *all);
    assert_non_null(all);
    m->ranks = ranks;
    pthread_barrier_init(&m->barrier, NULL, ranks);
    for (uint32_t r = 0; r < ranks; r++) {
        all[r].meeting = m;
        all[r].rank = r;
        assert_int_equal(pthread_create(&all[r].thread, NULL, work, &all[r]), 0);
    }
    for (uint32_t r = 0; r < ranks; r++) pthread_join(all[r].thread, NULL);
    pthread_barrier_destroy(&m->barrier);
    return all;
}

static void free_ranks(rank *all, uint32_t ranks) {
    for (uint32_t r = 0; r < ranks; r++) free(all[r].gradient);
    free(all);
}

static void ranks_change_no_bit(nas_space space, bool apart) {
    static const uint32_t numbers[] = {2, 3, 8, MOST_RANKS};
    nas_supernet *net = small_net(&space);
    float *images = small_random(IMAGES * IMAGE, 1);
    meeting m = {.space = &space, .net = net, .images = images, .apart = apart};
    rank *one = run(&m, 1);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        rank *many = run(&m, numbers[i]);
        for (uint32_t r = 0; r < numbers[i]; r++) {
            assert_memory_equal(many[r].tutor, one->tutor, sizeof one->tutor);
            assert_memory_equal(many[r].logits, one->logits, sizeof one->logits);
            assert_memory_equal(many[r].gradient, one->gradient, net->size * sizeof(float));
        }
        free_ranks(many, numbers[i]);
    }
    assert_true(isfinite(one->gradient[0]) && one->gradient[0] != 0);
    free_ranks(one, 1);
    free(images);
    nas_supernet_destroy(net);
}

static void small_together(void **state) {
    (void)state;
    ranks_change_no_bit(small_space("9"), false);
}

static void small_apart(void **state) {
    (void)state;
    ranks_change_no_bit(small_space("9"), true);
}

static void mobile_together(void **state) {
    (void)state;
    ranks_change_no_bit(small_mobile(), false);
}

static void mobile_apart(void **state) {
    (void)state;
    ranks_change_no_bit(small_mobile(), true);
}

static void deep_together(void **state) {
    (void)state;
    ranks_change_no_bit(small_parse(DEEP_SPACE, SMALL_CHANNELS, SMALL_CLASSES), false);
}

static void deep_apart(void **state) {
    (void)state;
    ranks_change_no_bit(small_parse(DEEP_SPACE, SMALL_CHANNELS, SMALL_CLASSES), true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_together),  cmocka_unit_test(small_apart),
        cmocka_unit_test(mobile_together), cmocka_unit_test(mobile_apart),
        cmocka_unit_test(deep_together),   cmocka_unit_test(deep_apart),
    };
    return cmocka_run_group_tests_name("a batch run by several ranks", tests, NULL, NULL);
}
