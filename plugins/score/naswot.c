/* How differently a subnet's activations treat the images of a batch: log abs det of the kernel K,
 * K[i][j] = number of activations, in any layer, whose inputs have the same sign (> 0 or not) for
 * images i and j. Uses no label. */
#include <nashost/kit/proxy.h>

#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct config {
    int64_t images;
    int weights; /* nas_probe_weights */
} config;

typedef struct kernel {
    uint32_t n;      /* images; 0: not known yet */
    double *agree;   /* [n][n] */
    uint64_t *signs; /* [n][words] of a layer */
    bool failed;     /* out of memory */
} kernel;

/* Packs the signs of one image's values. */
static void pack(const double *before, size_t values, uint64_t *signs) {
    memset(signs, 0, (values + 63) / 64 * sizeof *signs);
    for (size_t i = 0; i < values; i++) signs[i / 64] |= (uint64_t)(before[i] > 0) << (i % 64);
}

static size_t differing(const uint64_t *a, const uint64_t *b, size_t words) {
    size_t count = 0;
    for (size_t i = 0; i < words; i++) count += (size_t)__builtin_popcountll(a[i] ^ b[i]);
    return count;
}

static void add(void *context, const nas_probe_layer *at) {
    kernel *k = context;
    nas_shape out = at->layer->out;
    size_t values = nas_shape_elements(out), words = (values + 63) / 64, n = at->images;
    if (at->layer->activation == NAS_ACT_NONE || k->failed) return;
    if (!k->n) k->agree = calloc(n, n * sizeof *k->agree);
    k->n = at->images;
    k->signs = calloc(n, words * sizeof *k->signs);
    k->failed = !k->agree || !k->signs;
    for (size_t i = 0; i < n && !k->failed; i++)
        pack(at->before + i * values, values, k->signs + i * words);
    for (size_t i = 0; i < n && !k->failed; i++)
        for (size_t j = 0; j <= i; j++)
            k->agree[i * n + j] +=
                (double)(values - differing(k->signs + i * words, k->signs + j * words, words));
    free(k->signs);
}

/* By the eigenvalues, which are not negative; those that are 0 but for rounding count as the
 * smallest that can be told from it, so that images that no activation tells apart cost much, and
 * the score stays finite. */
static int log_det(const kernel *k, double *value, nas_error *err) {
    double *eigen = calloc(k->n, sizeof *eigen);
    if (!eigen) return nas_fail(err, NAS_ERR_MEMORY, "naswot: out of memory");
    lapack_int n = (lapack_int)k->n;
    int rc = NAS_OK;
    /* The lower triangle of rows is LAPACK's upper one of columns. */
    if (LAPACKE_dsyev(LAPACK_COL_MAJOR, 'N', 'U', n, k->agree, n, eigen))
        rc = nas_fail(err, NAS_ERR_NUMERIC, "naswot: the kernel's eigenvalues cannot be found");
    double floor = fmax(eigen[k->n - 1] * k->n * DBL_EPSILON, DBL_MIN);
    *value = 0;
    for (uint32_t i = 0; i < k->n; i++) *value += log(fmax(eigen[i], floor));
    free(eigen);
    return rc;
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const config *me = self;
    kernel k = {0};
    nas_probe probe = {.size = sizeof probe,
                       .images = NAS_PROBE_UNLABELLED,
                       .count = (uint32_t)me->images,
                       .weights = (uint32_t)me->weights,
                       .context = &k,
                       .forward = add};
    int rc = nas_probe_run(subnet, &probe, err);
    if (!rc && k.failed) rc = nas_fail(err, NAS_ERR_MEMORY, "naswot: out of memory");
    if (!rc && !k.n)
        rc = nas_fail(err, NAS_ERR_INPUT, "naswot: the subnet has no activation to look at");
    if (!rc) rc = log_det(&k, value, err);
    free(k.agree);
    return rc;
}

static const nas_option options[] = {
    NAS_PROXY_IMAGES(config, "64", 2, "number of images in the batch that the score looks at"),
    NAS_PROXY_WEIGHTS(config, "initial"),
    {0},
};

static const nas_plugin plugin = {
    NAS_PROXY(score),
    .id = "naswot",
    .version = "0.1.0",
    .summary = "how differently the activations treat the images of a batch",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2006.04647",
    .options = options,
    .config_size = sizeof(config),
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
