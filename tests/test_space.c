/* Search spaces and genomes: parsing, counting, canonical form, JSON. */
#include "base/json.h"
#include "base/rng.h"
#include "space/genome.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *load_file(const char *path) {
    nas_error err = {0};
    json_t *json = NULL;
    if (nas_json_load(path, &json, &err)) fail_msg("%s", err.message);
    return json;
}

static nas_space parse_file(const char *path, uint32_t channels, uint32_t classes) {
    nas_error err = {0};
    nas_space space;
    json_t *json = load_file(path);
    if (nas_space_parse(json, path, channels, classes, &space, &err)) fail_msg("%s", err.message);
    json_decref(json);
    return space;
}

static json_t *parse_text(const char *text) {
    json_error_t where;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &where);
    if (!json) fail_msg("the test's own JSON is wrong: %s: %s", where.text, text);
    return json;
}

/* Sets, or with NULL deletes, the value at a path such as "stages.1.kernel". "" replaces all. */
static void edit(json_t **root, const char *path, const char *value) {
    if (!*path) {
        json_decref(*root);
        *root = parse_text(value);
        return;
    }
    char copy[80], *save = NULL;
    snprintf(copy, sizeof copy, "%s", path);
    json_t *at = *root;
    for (char *key = strtok_r(copy, ".", &save), *next; key; key = next) {
        next = strtok_r(NULL, ".", &save);
        if (next) {
            at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key))
                                   : json_object_get(at, key);
        } else if (!value) {
            assert_int_equal(json_object_del(at, key), 0);
        } else if (json_is_array(at)) {
            assert_int_equal(json_array_set_new(at, (size_t)atoi(key), parse_text(value)), 0);
        } else {
            assert_int_equal(json_object_set_new(at, key, parse_text(value)), 0);
        }
    }
}

typedef struct bad_case {
    const char *path, *value, *message;
} bad_case;

static void test_parse_errors(void **state) {
    (void)state;
    static const bad_case cases[] = {
        {"", "[1]", "file.json: expected an object, found array of 1"},
        {"name", NULL, "file.json: name: expected a string of 1 to 39 bytes, found nothing"},
        {"name", "\"1234567890123456789012345678901234567890\"", "name: expected a string"},
        {"name", "7", "name: expected a string of 1 to 39 bytes, found 7"},
        {"resolutoin", "28", "file.json: resolutoin: unknown key; did you mean \"resolution\"?"},
        {"zzz", "28", "file.json: zzz: unknown key"},
        {"resolution", NULL, "resolution: expected an integer or an array of 1 to 8 integers"},
        {"resolution", "[]", "resolution: expected an integer or an array of 1 to 8 integers"},
        {"resolution", "\"28\"", "found \"28\""},
        {"resolution", "3", "resolution: expected an integer from 4 to 1024, found 3"},
        {"resolution", "[28, 2048]", "resolution[1]: expected an integer from 4 to 1024"},
        {"resolution", "[8,9,10,11,12,13,14,15,16]", "found array of 9"},
        {"stem", NULL, "stem: expected an object, found nothing"},
        {"stem.kernel", "[3, 5]",
         "stem.kernel: expected an odd integer from 1 to 7, found array of 2"},
        {"stem.kernel", "4", "stem.kernel: expected an odd integer from 1 to 7, found 4"},
        {"stem.stride", "3", "stem.stride: expected an integer from 1 to 2, found 3"},
        {"stem.stride", NULL, "stem.stride: expected an integer from 1 to 2, found nothing"},
        {"stem.width", "0", "stem.width: expected an integer from 1 to 8192, found 0"},
        {"stem.width", "16.5", "stem.width: expected an integer from 1 to 8192, found 16.5"},
        {"stem.activation", "\"hswish\"", "(did you mean \"h-swish\"?), found \"hswish\""},
        {"stem.activation", "true", "found true"},
        {"stages", "[]", "stages: expected an array of 1 to 10, found array of 0"},
        {"stages", "{}", "stages: expected an array of 1 to 10, found object"},
        {"stages.1", "3", "stages[1]: expected an object, found 3"},
        {"stages.1.kernels", "3", "stages[1].kernels: unknown key; did you mean \"kernel\"?"},
        {"stages.1.kernel", "[3, 4]", "stages[1].kernel[1]: expected an odd integer from 1 to 7"},
        {"stages.1.kernel", "9", "stages[1].kernel: expected an odd integer from 1 to 7, found 9"},
        {"stages.1.kernel", "[5, 3]", "stages[1].kernel[1]: expected more than 5 (choices ascend)"},
        {"stages.2.expand", "[2, 2]", "stages[2].expand[1]: expected more than 2"},
        {"stages.2.expand", "[2, null]", "stages[2].expand[1]: expected a number from 1 to 16"},
        {"stages.2.expand", "[2.5, 2.5]", "stages[2].expand[1]: expected more than 2.5"},
        {"stages.2.expand", "[0.9, 2]", "stages[2].expand[0]: expected a number from 1 to 16"},
        {"stages.2.expand", "\"2\"", "expected a number or an array of 1 to 8 numbers"},
        {"stages.2.expand", "[[2], [2, 4]]",
         "stages[2].expand: expected the choices of 3 blocks, as many as the stage can have, found "
         "those of 2"},
        {"stages.2.kernel", "[[3], [3, 5], 5]", "stages[2].kernel[2]: expected an array of the"},
        {"stages.2.kernel", "[[3], [3, 4], [3]]",
         "stages[2].kernel[1][1]: expected an odd integer"},
        {"stages.2.kernel", "[[3],[3],[3],[3],[3],[3],[3],[3],[3]]", "lists for at most 8 blocks"},
        {"stages.3.depth", "0", "stages[3].depth: expected an integer from 1 to 8, found 0"},
        {"stages.3.depth", "[1, 9]", "stages[3].depth[1]: expected an integer from 1 to 8"},
        {"stages.3.width", "-4", "stages[3].width: expected an integer from 1 to 8192, found -4"},
        {"stages.3.width", "4294967312", "found 4294967312"},
        {"stages.0.squeeze_excite", "1", "stages[0].squeeze_excite: expected true or false"},
        {"stages.0.squeeze_excite", "{\"divisor\": 0}", "squeeze_excite.divisor: expected an int"},
        {"stages.0.squeeze_excite", "{\"of\": \"outer\"}", "expected one of \"inner\", \"input\""},
        {"stages.0.squeeze_excite", "{\"gates\": \"relu\"}", "did you mean \"gate\"?"},
        {"head.hidden_bias", "0", "head.hidden_bias: expected true or false, found 0"},
        {"stages.0.activation", NULL, "stages[0].activation: expected one of"},
        {"stages.0.activation", "\"relu66\"", "(did you mean \"relu6\"?), found \"relu66\""},
        {"padding", "\"valid\"", "padding: expected one of \"symmetric\", \"same\", found"},
        {"kernel_transform", "\"yes\"", "kernel_transform: expected true or false"},
        {"batch_norm_epsilon", "0", "batch_norm_epsilon: expected a number from 1e-08 to 0.1"},
        {"batch_norm_epsilon", "\"1e-3\"", "found \"1e-3\""},
        {"head", "null", "head: expected an object, found null"},
        {"head.widht", "1", "head.widht: unknown key; did you mean \"width\"?"},
        {"head.hidden", "[1, 2, 3]", "head.hidden: expected an array of 0 to 2, found array of 3"},
        {"head.hidden", "[256, 0]", "head.hidden[1]: expected an integer from 1 to 8192, found 0"},
        {"head.hidden_activation", NULL, "head.hidden_activation: expected one of"},
        {"stages.3.width", "8192", "file.json: the largest subnet is too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json = load_file("spaces/quickstart.json");
        edit(&json, cases[i].path, cases[i].value);
        if (i + 1 == sizeof cases / sizeof *cases) edit(&json, "stages.3.expand", "16");
        nas_space space;
        nas_error err = {0};
        assert_int_equal(nas_space_parse(json, "file.json", 1, 10, &space, &err), NAS_ERR_INPUT);
        if (!strstr(err.message, cases[i].message)) {
            fail_msg("%s = %s\n  said: %s\n  not:  %s", cases[i].path, cases[i].value, err.message,
                     cases[i].message);
        }
        json_decref(json);
    }
}

static void test_long_key(void **state) {
    (void)state;
    char key[300];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    json_t *json = load_file("spaces/quickstart.json");
    json_object_set_new(json_object_get(json, "stem"), key, json_true());
    nas_space space;
    nas_error err = {0};
    assert_int_equal(nas_space_parse(json, "f", 1, 10, &space, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "kkk...: unknown key"));
    json_decref(json);
}

static void test_plain_numbers_and_defaults(void **state) {
    (void)state;
    json_t *json = parse_text(
        "{\"name\": \"x\", \"resolution\": 8,"
        "\"stem\": {\"kernel\": 1, \"stride\": 2, \"width\": 4, \"activation\": \"none\"},"
        "\"stages\": [{\"width\": 4, \"stride\": 1, \"depth\": 2, \"kernel\": 5, \"expand\": 3,"
        "\"activation\": \"h-sigmoid\"}], \"head\": {\"width\": 6, \"activation\": \"relu\"}}");
    nas_space space;
    nas_error err = {0};
    assert_int_equal(nas_space_parse(json, "f", 3, 7, &space, &err), NAS_OK);
    json_decref(json);
    assert_int_equal(space.channels, 3);
    assert_int_equal(space.classes, 7);
    assert_int_equal(space.stem.stride, 2);
    assert_int_equal(space.stages[0].kernel.of[0].n, 1);
    assert_int_equal(space.stages[0].kernel.of[1].value[0], 5);
    assert_false(space.stages[0].squeeze_excite);
    assert_int_equal(space.stages[0].activation, NAS_ACT_HSIGMOID);
    assert_int_equal(space.head.n_hidden, 0);
    assert_int_equal(space.padding, NAS_PADDING_SYMMETRIC);
    assert_true(space.batch_norm_epsilon == 1e-5);
    assert_int_equal(space.n_genes, 1 + 2 + 2 * 2);
    assert_true(nas_space_size(&space) == 1);
}

static void test_squeeze_rules(void **state) {
    (void)state;
    json_t *json = load_file("spaces/quickstart.json");
    edit(&json, "stages.1.squeeze_excite",
         "{\"divisor\": 6, \"minimum\": 1, \"round_to\": 8, \"of\": \"input\","
         " \"activation\": \"swish\", \"gate\": \"sigmoid\"}");
    edit(&json, "stages.0.squeeze_excite", "{}");
    edit(&json, "head.hidden_bias", "false");
    nas_space space;
    nas_error err = {0};
    assert_int_equal(nas_space_parse(json, "f", 1, 10, &space, &err), NAS_OK);
    json_decref(json);
    const nas_squeeze_rule own = {NAS_SQUEEZE_INPUT, 6, 1, 8, NAS_ACT_SWISH, NAS_ACT_SIGMOID};
    const nas_squeeze_rule usual = {NAS_SQUEEZE_INNER, 4, 8, 1, NAS_ACT_RELU, NAS_ACT_HSIGMOID};
    assert_true(space.stages[0].squeeze_excite && space.stages[1].squeeze_excite);
    assert_memory_equal(&space.stages[0].squeeze, &usual, sizeof usual);
    assert_memory_equal(&space.stages[1].squeeze, &own, sizeof own);
    assert_memory_equal(&space.stages[2].squeeze, &usual, sizeof usual);
    assert_false(space.head.hidden_bias);
}

static void test_quickstart_genes(void **state) {
    (void)state;
    nas_space space = parse_file("spaces/quickstart.json", 1, 10);
    assert_int_equal(space.n_genes, 1 + (2 + 2) + 3 * (2 + 6));
    assert_string_equal(space.gene_names[0], "resolution");
    assert_string_equal(space.gene_names[1], "stage0.width");
    assert_string_equal(space.gene_names[2], "stage0.depth");
    assert_string_equal(space.gene_names[3], "stage0.block0.kernel");
    assert_string_equal(space.gene_names[4], "stage0.block0.expand");
    assert_string_equal(space.gene_names[28], "stage3.block2.expand");
    assert_int_equal(space.arity[6], 3);
    assert_int_equal(space.arity[7], 2);
    /* Each elastic stage: 6 + 6^2 + 6^3 choices of blocks. */
    assert_true(nas_space_size(&space) == 258.0 * 258 * 258);
    char text[200];
    nas_genome genome = nas_genome_largest(&space);
    nas_genome_short(&space, &genome, text, sizeof text);
    assert_string_equal(text, "r28 16:3x1 24:5x4,5x4,5x4 40:5x4,5x4,5x4 64:5x4,5x4,5x4");
    genome = nas_genome_smallest(&space);
    nas_genome_short(&space, &genome, text, sizeof text);
    assert_string_equal(text, "r28 16:3x1 24:3x2 40:3x2 64:3x2");
    nas_genome_short(&space, &genome, text, 8);
    assert_string_equal(text, "r28 16:");
}

static void test_published_spaces(void **state) {
    (void)state;
    /* Once-for-All: a unit of depth 2, 3 or 4 with 9 choices a block has 9^2 + 9^3 + 9^4. */
    static const char *const mbv3[] = {"spaces/ofa-mbv3.json", "spaces/ofa-mbv3-1.2.json"};
    static const char *const proxyless[] = {"spaces/ofa-proxyless.json",
                                            "spaces/ofa-proxyless-1.3.json"};
    for (int wide = 0; wide < 2; wide++) {
        nas_space space = parse_file(mbv3[wide], 3, 1000);
        assert_true(fabs(nas_space_size(&space) / (7 * pow(7371, 5)) - 1) < 1e-12);
        assert_true(space.kernel_transform && !space.head.hidden_bias);
        assert_int_equal(space.stages[5].width.value[0], wide ? 192 : 160);
        assert_int_equal(space.head.width, wide ? 1152 : 960);
        assert_int_equal(space.stages[2].squeeze.round_to, 8);
        space = parse_file(proxyless[wide], 3, 1000);
        assert_true(fabs(nas_space_size(&space) / (7 * 9 * pow(7371, 5)) - 1) < 1e-12);
        assert_true(space.kernel_transform && space.batch_norm_epsilon == 1e-3);
        assert_int_equal(space.stages[5].width.value[0], wide ? 248 : 192);
        assert_int_equal(space.stem.activation, NAS_ACT_RELU6);
    }
}

/* Two stages with every kind of choice, small enough to list. */
static nas_space small_space(void) {
    json_t *json = parse_text(
        "{\"name\": \"small\", \"resolution\": [8, 12],"
        "\"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 4, \"activation\": \"relu\"},"
        "\"stages\": ["
        "{\"width\": [4, 8], \"stride\": 1, \"depth\": [1, 2], \"kernel\": [3, 5],"
        "\"expand\": [1, 2], \"activation\": \"relu\"},"
        "{\"width\": 8, \"stride\": 2, \"depth\": [1, 3], \"kernel\": 3, \"expand\": [1, 2, 3],"
        "\"squeeze_excite\": true, \"activation\": \"h-swish\"}],"
        "\"head\": {\"width\": 16, \"activation\": \"relu\"}}");
    nas_space space;
    nas_error err = {0};
    if (nas_space_parse(json, "small", 1, 10, &space, &err)) fail_msg("%s", err.message);
    json_decref(json);
    return space;
}

static int compare_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Advances genes like an odometer; false after the last. */
static bool next_genes(const nas_space *space, nas_genome *genome) {
    for (uint32_t g = 0; g < space->n_genes; g++) {
        if (++genome->gene[g] < space->arity[g]) return true;
        genome->gene[g] = 0;
    }
    return false;
}

/* Every assignment of genes: as many distinct texts, and hashes, as nas_space_size says. */
static void test_exhaustive(void **state) {
    (void)state;
    nas_space space = small_space();
    size_t total = 1, n = 0;
    for (uint32_t g = 0; g < space.n_genes; g++) total *= space.arity[g];
    char **texts = calloc(total, sizeof *texts);
    uint64_t *hashes = calloc(total, sizeof *hashes);
    assert_non_null(texts);
    assert_non_null(hashes);
    nas_genome raw = {0};
    do {
        nas_genome genome = raw;
        nas_genome_canonical(&space, &genome);
        assert_true(nas_genome_equal(&space, &raw, &genome));
        assert_true(nas_genome_hash(&space, &raw) == nas_genome_hash(&space, &genome));
        json_t *json = nas_genome_to_json(&space, &raw);
        texts[n] = json_dumps(json, 0);
        nas_genome back;
        nas_error err = {0};
        if (nas_genome_from_json(&space, json, "g", &back, &err)) fail_msg("%s", err.message);
        assert_memory_equal(&back, &genome, sizeof genome);
        json_decref(json);
        hashes[n++] = nas_genome_hash(&space, &genome);
    } while (next_genes(&space, &raw));
    assert_int_equal(n, total);
    qsort(texts, n, sizeof *texts, compare_text);
    qsort(hashes, n, sizeof *hashes, compare_u64);
    size_t distinct = 1, distinct_hashes = 1;
    for (size_t i = 1; i < n; i++) {
        distinct += strcmp(texts[i], texts[i - 1]) != 0;
        distinct_hashes += hashes[i] != hashes[i - 1];
    }
    /* By hand: 2 resolutions x 2 widths x (4 + 4^2) x (3 + 3^3). */
    assert_int_equal(distinct, 2 * 2 * 20 * 30);
    assert_int_equal(distinct_hashes, distinct);
    assert_true(nas_space_size(&space) == (double)distinct);
    for (size_t i = 0; i < n; i++) free(texts[i]);
    free(texts);
    free(hashes);
}

static void test_genome_json_text(void **state) {
    (void)state;
    nas_space space = small_space();
    nas_genome genome = nas_genome_largest(&space);
    json_t *json = nas_genome_to_json(&space, &genome);
    char *text = json_dumps(json, 0);
    assert_string_equal(text, "{\"resolution\": 12, \"stages\": ["
                              "{\"width\": 8, \"blocks\": [{\"kernel\": 5, \"expand\": 2}, "
                              "{\"kernel\": 5, \"expand\": 2}]}, "
                              "{\"width\": 8, \"blocks\": [{\"kernel\": 3, \"expand\": 3}, "
                              "{\"kernel\": 3, \"expand\": 3}, {\"kernel\": 3, \"expand\": 3}]}]}");
    free(text);
    json_decref(json);
}

/* Each block has its own choices, and expansions of any size. */
static void test_blocks_of_their_own(void **state) {
    (void)state;
    json_t *json = load_file("spaces/quickstart.json");
    edit(&json, "stages.1.kernel", "[[3], [3, 5], [7]]");
    edit(&json, "stages.1.expand", "[[4, 6], [2.3333333, 2.5], [1.5]]");
    edit(&json, "stages.1.depth", "[2, 3]");
    nas_space space;
    nas_error err = {0};
    if (nas_space_parse(json, "f", 1, 10, &space, &err)) fail_msg("%s", err.message);
    json_decref(json);
    assert_true(nas_space_size(&space) == (2 * 4 + 2 * 4 * 1) * 258.0 * 258);
    assert_int_equal(space.arity[8], 2); /* of block 0's expansion, and of block 1's two */
    assert_int_equal(space.arity[9], 2);
    assert_int_equal(space.arity[11], 1);
    nas_genome genome = nas_genome_smallest(&space), back;
    char text[200], *whole = nas_genome_text(&space, &genome);
    nas_genome_short(&space, &genome, text, sizeof text);
    assert_string_equal(text, "r28 16:3x1 24:3x4,3x2.33333 40:3x2 64:3x2");
    assert_non_null(
        strstr(whole, "{\"kernel\": 3, \"expand\": 4}, {\"kernel\": 3, \"expand\": 2.33333}"));
    json = json_loads(whole, 0, NULL);
    if (nas_genome_from_json(&space, json, "g", &back, &err)) fail_msg("%s", err.message);
    assert_true(nas_genome_equal(&space, &genome, &back));
    json_decref(json);
    free(whole);
    genome = nas_genome_largest(&space);
    json = nas_genome_to_json(&space, &genome);
    if (nas_genome_from_json(&space, json, "g", &back, &err)) fail_msg("%s", err.message);
    assert_true(nas_genome_equal(&space, &genome, &back));
    edit(&json, "stages.1.blocks.1.expand", "2.4");
    assert_int_equal(nas_genome_from_json(&space, json, "g", &back, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "blocks[1].expand: expected 2.33333 or 2.5, found 2.4"));
    json_decref(json);
    assert_int_equal(nas_inner_width(80, 2.3), 184);
    assert_int_equal(nas_inner_width(24, 3.6666667), 88);
}

static void test_genome_errors(void **state) {
    (void)state;
    static const bad_case cases[] = {
        {"", "7", "g.json: expected an object, found 7"},
        {"resolution", "9", "g.json: resolution: expected 8 or 12, found 9"},
        {"resolution", NULL, "resolution: expected 8 or 12, found nothing"},
        {"resolutions", "8", "resolutions: unknown key; did you mean \"resolution\"?"},
        {"stages", "[]", "stages: expected an array of 2, found array of 0"},
        {"stages.0", "[]", "stages[0]: expected an object, found array of 0"},
        {"stages.0.width", "6", "stages[0].width: expected 4 or 8, found 6"},
        {"stages.0.width", "8.0", "stages[0].width: expected 4 or 8, found 8.0"},
        {"stages.1.width", "16", "stages[1].width: expected 8, found 16"},
        {"stages.1.expand", "1", "stages[1].expand: unknown key"},
        {"stages.1.blocks", "[{}, {}]", "as many as 1 or 3, found array of 2"},
        {"stages.1.blocks", "{}", "stages[1].blocks: expected an array of 1 to 8, found object"},
        {"stages.1.blocks.2", "5", "stages[1].blocks[2]: expected an object, found 5"},
        {"stages.1.blocks.2.expand", "4",
         "stages[1].blocks[2].expand: expected 1, 2 or 3, found 4"},
        {"stages.0.blocks.0.kernel", "7", "stages[0].blocks[0].kernel: expected 3 or 5, found 7"},
        {"stages.0.blocks.0.kernal", "3", "did you mean \"kernel\"?"},
    };
    nas_space space = small_space();
    nas_genome largest = nas_genome_largest(&space);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json = nas_genome_to_json(&space, &largest);
        edit(&json, cases[i].path, cases[i].value);
        nas_genome genome;
        nas_error err = {0};
        assert_int_equal(nas_genome_from_json(&space, json, "g.json", &genome, &err),
                         NAS_ERR_INPUT);
        if (!strstr(err.message, cases[i].message)) {
            fail_msg("%s\n  said: %s\n  not:  %s", cases[i].path, err.message, cases[i].message);
        }
        json_decref(json);
    }
}

static uint32_t draw(void *context, uint32_t n) {
    return nas_rng_below(context, n);
}

static void test_random(void **state) {
    (void)state;
    enum { DRAWS = 6000 };
    nas_space space = small_space();
    nas_rng rng = nas_rng_open(1, NAS_RNG_TEST, 0, 0);
    double depth_two = 0, kernel[2] = {0}, expand[3] = {0};
    for (int i = 0; i < DRAWS; i++) {
        nas_genome genome = nas_genome_random(&space, draw, &rng), canonical = genome;
        nas_genome_canonical(&space, &canonical);
        assert_memory_equal(&genome, &canonical, sizeof genome);
        for (uint32_t g = 0; g < space.n_genes; g++) {
            assert_true(genome.gene[g] < space.arity[g]);
        }
        nas_arch arch = nas_genome_decode(&space, &genome);
        if (arch.depth[0] == 2) {
            depth_two++;
            kernel[arch.block[0][1].kernel == 5]++;
        }
        if (arch.depth[1] == 3) expand[(int)arch.block[1][2].expand - 1]++;
    }
    /* Five standard deviations of a share near 1/2 in DRAWS / 2 draws. */
    double slack = 5 * sqrt(0.25 / (DRAWS / 2));
    assert_true(fabs(depth_two / DRAWS - 0.5) < slack);
    assert_true(fabs(kernel[1] / depth_two - 0.5) < slack);
    double deep = expand[0] + expand[1] + expand[2];
    for (int i = 0; i < 3; i++) assert_true(fabs(expand[i] / deep - 1.0 / 3) < slack);
}

static void test_squeeze_width(void **state) {
    (void)state;
    static const struct {
        uint32_t inner, input, plain, mobilenet, efficientnet;
    } cases[] = {/* MobileNetV3 small and large (torchvision): 8, 24, 64, 24, 32, 120, 168, 240. */
                 {4, 4, 8, 8, 1},          {16, 16, 8, 8, 4},       {36, 12, 9, 16, 3},
                 {72, 24, 18, 24, 6},      {96, 24, 24, 24, 6},     {120, 40, 30, 32, 10},
                 {240, 40, 60, 64, 10},    {144, 48, 36, 40, 12},   {480, 80, 120, 120, 20},
                 {672, 112, 168, 168, 28}, {960, 160, 240, 240, 40}};
    nas_squeeze_rule plain = {0, 4, 8, 1, NAS_ACT_RELU, NAS_ACT_HSIGMOID}, mobilenet = plain;
    nas_squeeze_rule efficientnet = {NAS_SQUEEZE_INPUT, 4, 1, 1, NAS_ACT_SWISH, NAS_ACT_SIGMOID};
    mobilenet.round_to = 8;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t inner = cases[i].inner, input = cases[i].input;
        assert_int_equal(nas_squeeze_width(&plain, inner, input), cases[i].plain);
        assert_int_equal(nas_squeeze_width(&mobilenet, inner, input), cases[i].mobilenet);
        assert_int_equal(nas_squeeze_width(&efficientnet, inner, input), cases[i].efficientnet);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_errors),
        cmocka_unit_test(test_long_key),
        cmocka_unit_test(test_plain_numbers_and_defaults),
        cmocka_unit_test(test_squeeze_rules),
        cmocka_unit_test(test_quickstart_genes),
        cmocka_unit_test(test_published_spaces),
        cmocka_unit_test(test_exhaustive),
        cmocka_unit_test(test_genome_json_text),
        cmocka_unit_test(test_genome_errors),
        cmocka_unit_test(test_blocks_of_their_own),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_squeeze_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
