/* Random numbers, threads, memory, near names, the log. */
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/threads.h"

#include <math.h>
#include <nashost/kit/names.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The known answers that the generator's authors publish (Random123, kat_vectors). */
static void test_philox_known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        nas_philox(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void test_streams_differ_in_every_part_of_their_name(void **state) {
    (void)state;
    nas_rng streams[] = {
        nas_rng_open(7, NAS_RNG_TEST, 1, 2),
        nas_rng_open(8, NAS_RNG_TEST, 1, 2),
        nas_rng_open(7 | 1ull << 32, NAS_RNG_TEST, 1, 2),
        nas_rng_open(7, NAS_RNG_SPLIT, 1, 2),
        nas_rng_open(7, NAS_RNG_TEST, 2, 2),
        nas_rng_open(7, NAS_RNG_TEST, 1, 3),
        nas_rng_open(7, NAS_RNG_TEST, 2, 1),
    };
    enum { N = sizeof streams / sizeof *streams };
    uint64_t first[N];
    for (int i = 0; i < N; i++) first[i] = nas_rng_u64(&streams[i]);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) assert_true(first[i] != first[j]);
    nas_rng again = nas_rng_open(7, NAS_RNG_TEST, 1, 2);
    assert_true(nas_rng_u64(&again) == first[0]);
}

/* A stream hands out the blocks of counters 0, 1, ... in order, none twice. */
static void test_a_stream_is_its_blocks(void **state) {
    (void)state;
    nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 6, 7);
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t out[4];
        nas_philox((uint32_t[]){block, 7, 6, NAS_RNG_TEST}, (uint32_t[]){5, 0}, out);
        for (int i = 0; i < 4; i++) assert_int_equal(nas_rng_u32(&rng), out[i]);
    }
}

/* Chi-squared over n classes; its mean is n - 1 and its deviation sqrt(2 (n - 1)). The seed is
 * fixed, so the result is too. */
static void test_below_is_even(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 10, 100};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        nas_rng rng = nas_rng_open(1, NAS_RNG_TEST, s, 0);
        uint32_t n = sizes[s], draws = 2000 * n, seen[100] = {0};
        for (uint32_t i = 0; i < draws; i++) {
            uint32_t value = nas_rng_below(&rng, n);
            assert_true(value < n);
            seen[value]++;
        }
        double chi = 0;
        for (uint32_t i = 0; i < n; i++) chi += pow(seen[i] - 2000.0, 2) / 2000.0;
        assert_true(chi <= n - 1 + 4 * sqrt(2.0 * n));
    }
}

/* Of 3/4 * 2^32 classes, plain multiply-shift would hit those with index = 0 mod 3 twice as often
 * as the others: half of the draws instead of a third. */
static void test_below_rejects_the_uneven_rest(void **state) {
    (void)state;
    nas_rng rng = nas_rng_open(2, NAS_RNG_TEST, 0, 0);
    int multiples = 0;
    for (int i = 0; i < 30000; i++) multiples += nas_rng_below(&rng, 0xC0000000u) % 3 == 0;
    assert_in_range(multiples, 9600, 10400);
}

static void test_uniform_and_normal_moments(void **state) {
    (void)state;
    nas_rng rng = nas_rng_open(3, NAS_RNG_TEST, 0, 0);
    enum { N = 100000 };
    double sum = 0, normal = 0, square = 0, fourth = 0;
    for (int i = 0; i < N; i++) {
        double u = nas_rng_uniform(&rng), x = nas_rng_normal(&rng);
        assert_true(u >= 0 && u < 1 && isfinite(x));
        sum += u;
        normal += x;
        square += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / N - 0.5) < 0.005);
    assert_true(fabs(normal / N) < 0.015);
    assert_true(fabs(square / N - 1) < 0.02);
    assert_true(fabs(fourth / N - 3) < 0.15);
}

static void test_shuffle_is_a_permutation(void **state) {
    (void)state;
    uint64_t order[50], moved = 0;
    bool seen[50] = {false};
    for (uint64_t i = 0; i < 50; i++) order[i] = i;
    nas_rng rng = nas_rng_open(4, NAS_RNG_TEST, 0, 0);
    nas_rng_shuffle(&rng, order, 50);
    for (uint64_t i = 0; i < 50; i++) {
        assert_true(order[i] < 50 && !seen[order[i]]);
        seen[order[i]] = true;
        moved += order[i] != i;
    }
    assert_true(moved > 40);
    nas_rng_shuffle(&rng, order, 0); /* touches nothing */
}

/* All 6 orders of 3 items are equally likely. */
static void test_shuffle_is_even(void **state) {
    (void)state;
    int seen[3][3] = {{0}};
    nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 0, 0);
    for (int i = 0; i < 6000; i++) {
        uint64_t order[] = {0, 1, 2};
        nas_rng_shuffle(&rng, order, 3);
        seen[order[0]][order[1]]++;
    }
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            if (a != b) assert_in_range(seen[a][b], 880, 1120);
}

typedef struct sums {
    float part[100];
    int visits[100], thread[100];
} sums;

static void add_chunk(void *context, int chunk, int thread) {
    sums *s = context;
    s->visits[chunk]++;
    s->thread[chunk] = thread;
    for (int i = 1; i <= 1000; i++) s->part[chunk] += 1.0f / (float)(chunk * 1000 + i);
}

static void test_parallel_visits_every_chunk_once(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 5};
    static const int chunks[] = {0, 1, 3, NAS_CHUNKS};
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        float first = 0;
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
            sums s = {.part = {0}};
            float total = 0;
            nas_pool *pool;
            assert_int_equal(nas_pool_create(threads[t], &pool, NULL), NAS_OK);
            nas_parallel(pool, chunks[c], t == 1, add_chunk, &s);
            nas_pool_destroy(pool);
            for (int i = 0; i < 100; i++) {
                assert_int_equal(s.visits[i], i < chunks[c]);
                assert_in_range(s.thread[i], 0, threads[t] - 1);
                total += s.part[i];
            }
            if (t == 0) first = total;
            assert_memory_equal(&total, &first, sizeof total);
        }
    }
    assert_in_range(nas_threads_default(), 1, NAS_CHUNKS);
}

/* Loops of different lengths on one pool: no chunk of one may run as another's. */
static void count_chunk(void *context, int chunk, int thread) {
    (void)thread;
    ((int *)context)[chunk]++;
}

static void test_parallel_loops_follow_each_other(void **state) {
    (void)state;
    nas_pool *pool;
    assert_int_equal(nas_pool_create(4, &pool, NULL), NAS_OK);
    for (int i = 0; i < 20000; i++) {
        int visits[NAS_CHUNKS] = {0}, chunks = i % (NAS_CHUNKS + 1);
        nas_parallel(pool, chunks, i % 3 == 0, count_chunk, visits);
        for (int c = 0; c < NAS_CHUNKS; c++) assert_int_equal(visits[c], c < chunks);
    }
    nas_pool_destroy(pool);
}

static void test_alloc(void **state) {
    (void)state;
    assert_null(nas_alloc(SIZE_MAX, 2));
    assert_null(nas_alloc(SIZE_MAX / 4 + 2, 4)); /* wraps to 4 bytes */
    assert_null(nas_alloc(SIZE_MAX, 1));         /* wraps when rounded up */
    static const size_t counts[] = {0, 1, 63, 64, 65, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        unsigned char *memory = nas_alloc(counts[i], 3);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % NAS_ALIGN, 0);
        for (size_t j = 0; j < counts[i] * 3; j++) assert_int_equal(memory[j], 0);
        free(memory);
    }
}

static void test_nearest_name(void **state) {
    (void)state;
    static const char *const names[] = {"threshold", NULL,         "temperature",
                                        "mu",        "batch_size", "ema"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"threshold", "threshold"},
        {"treshold", "threshold"},
        {"thresholds", "threshold"},
        {"htreshold", "threshold"},
        {"temprature", "temperature"},
        {"batchsize", "batch_size"},
        {"batch-size", "batch_size"},
        {"um", "mu"},
        {"eam", "ema"},
        {"learning_rate", NULL},
        {"", "mu"},
        {"Ema", "ema"},
        {"tmepreatrue", "temperature"}, /* three swaps in 11 letters */
        {"thrxyzold", "threshold"},     /* three letters of 9 */
        {"thwxyzold", NULL},            /* four of 9 */
        {"bat", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = nas_nearest(cases[i].word, names, sizeof names / sizeof *names);
        if (cases[i].nearest) {
            assert_non_null(found);
            assert_string_equal(found, cases[i].nearest);
        } else {
            assert_null(found);
        }
    }
    assert_null(nas_nearest("mu", NULL, 0));
    assert_string_equal(nas_nearest("ac", (const char *const[]){"ab", "ad"}, 2), "ab");
}

static void *log_many(void *log) {
    for (int i = 0; i < 200; i++) nas_log_line(log, NAS_WARNING, "%s-%s", "one", "piece");
    return NULL;
}

static void test_log(void **state) {
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    nas_log log = {.stream = open_memstream(&text, &bytes), .level = NAS_INFO};
    assert_non_null(log.stream);
    nas_log_line(&log, NAS_DEBUG, "dropped");
    nas_log_line(&log, NAS_INFO, "step %d", 3);
    nas_log_line(&log, NAS_WARNING, "%s", "two\nlines\x1b");
    assert_string_equal(text, "step 3\nwarning: two lines \n");
    char wide[3000];
    memset(wide, 'x', sizeof wide);
    wide[sizeof wide - 1] = '\0';
    fseek(log.stream, 0, SEEK_SET);
    nas_log_line(&log, NAS_INFO, "%s", wide);
    assert_int_equal(bytes, 1201);
    assert_string_equal(text + 1196, "x...\n");
    nas_log_line(NULL, NAS_WARNING, "dropped");
    nas_log_line(&(nas_log){.stream = NULL}, NAS_WARNING, "dropped");
    fclose(log.stream);
    free(text);
}

static void test_log_lines_of_threads_do_not_mix(void **state) {
    (void)state;
    nas_log log = {.stream = tmpfile(), .level = NAS_DEBUG};
    assert_non_null(log.stream);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &log), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    rewind(log.stream);
    char line[100];
    int lines = 0;
    for (; fgets(line, sizeof line, log.stream); lines++)
        assert_string_equal(line, "warning: one-piece\n");
    assert_int_equal(lines, 800);
    fclose(log.stream);
}

/* A message is one line, whatever a file's words hold. */
static void test_error_is_one_line(void **state) {
    (void)state;
    nas_error err;
    assert_int_equal(nas_fail(&err, NAS_ERR_INPUT, "a.json: %s: unknown key", "x\ny\033[31m"),
                     NAS_ERR_INPUT);
    assert_string_equal(err.message, "a.json: x y [31m: unknown key");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_one_line),
        cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_streams_differ_in_every_part_of_their_name),
        cmocka_unit_test(test_a_stream_is_its_blocks),
        cmocka_unit_test(test_below_is_even),
        cmocka_unit_test(test_below_rejects_the_uneven_rest),
        cmocka_unit_test(test_uniform_and_normal_moments),
        cmocka_unit_test(test_shuffle_is_a_permutation),
        cmocka_unit_test(test_shuffle_is_even),
        cmocka_unit_test(test_parallel_visits_every_chunk_once),
        cmocka_unit_test(test_parallel_loops_follow_each_other),
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_nearest_name),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_log_lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
