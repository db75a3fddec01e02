/* How little the network's answers to the images of a batch hang on the same pixels: with C the
 * correlations of the images' gradients of the sum of logits, and e its eigenvalues, minus the sum
 * of log(e + k) + 1 / (e + k), k = 1e-5. Uses no label. */
#include <nashost/kit/proxy.h>

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

typedef struct config {
    int64_t images;
    int weights; /* nas_probe_weights */
} config;

typedef struct jacobian {
    uint32_t n;
    double *correlation; /* [n][n] */
    bool failed;         /* out of memory */
} jacobian;

/* Takes the mean from a row; returns its length. */
static double centre(double *row, size_t values) {
    double mean = 0, squares = 0;
    for (size_t i = 0; i < values; i++) mean += row[i] / (double)values;
    for (size_t i = 0; i < values; i++) {
        row[i] -= mean;
        squares += row[i] * row[i];
    }
    return sqrt(squares);
}

/* A row without variance has no correlation. It tells nothing of its image, so it counts as equal
 * to every other: a dead network is the worst, not the best. */
static double correlate(const double *a, const double *b, size_t values, double lengths) {
    double dot = 0;
    for (size_t i = 0; i < values; i++) dot += a[i] * b[i];
    return lengths > 0 ? dot / lengths : 1;
}

static void take(void *context, uint32_t n, nas_shape image, const double *images,
                 const double *gradient) {
    jacobian *j = context;
    size_t values = nas_shape_elements(image);
    double *rows = calloc(n, values * sizeof *rows), *length = calloc(n, sizeof *length);
    (void)images;
    j->n = n;
    j->correlation = calloc(n, n * sizeof *j->correlation);
    j->failed = !rows || !length || !j->correlation;
    for (size_t i = 0; i < n && !j->failed; i++) {
        for (size_t v = 0; v < values; v++) rows[i * values + v] = gradient[i * values + v];
        length[i] = centre(rows + i * values, values);
        for (size_t k = 0; k < i; k++)
            j->correlation[i * n + k] =
                correlate(rows + i * values, rows + k * values, values, length[i] * length[k]);
        j->correlation[i * n + i] = 1;
    }
    free(rows);
    free(length);
}

static int spread(const jacobian *j, double *value, nas_error *err) {
    const double k = 1e-5;
    double *eigen = calloc(j->n, sizeof *eigen);
    if (!eigen) return nas_fail(err, NAS_ERR_MEMORY, "jacob_cov: out of memory");
    lapack_int n = (lapack_int)j->n;
    int rc = NAS_OK;
    /* The lower triangle of rows is LAPACK's upper one of columns. */
    if (LAPACKE_dsyev(LAPACK_COL_MAJOR, 'N', 'U', n, j->correlation, n, eigen))
        rc = nas_fail(err, NAS_ERR_NUMERIC,
                      "jacob_cov: the correlations' eigenvalues cannot be found");
    *value = 0;
    for (uint32_t i = 0; i < j->n && !rc; i++) {
        double e = fmax(eigen[i], 0) + k; /* negative by rounding alone */
        *value -= log(e) + 1 / e;
    }
    free(eigen);
    return rc;
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const config *me = self;
    jacobian j = {0};
    nas_probe probe = {.size = sizeof probe,
                       .images = NAS_PROBE_UNLABELLED,
                       .count = (uint32_t)me->images,
                       .weights = (uint32_t)me->weights,
                       .objective = NAS_PROBE_LOGIT_SUM,
                       .context = &j,
                       .input = take};
    int rc = nas_probe_run(subnet, &probe, err);
    if (!rc && j.failed) rc = nas_fail(err, NAS_ERR_MEMORY, "jacob_cov: out of memory");
    if (!rc) rc = spread(&j, value, err);
    free(j.correlation);
    return rc;
}

static const nas_option options[] = {
    NAS_PROXY_IMAGES(config, "64", 2, "number of images in the batch that the score looks at"),
    NAS_PROXY_WEIGHTS(config, "initial"),
    {0},
};

static const nas_plugin plugin = {
    NAS_PROXY(score),
    .id = "jacob_cov",
    .version = "0.1.0",
    .summary = "how little the answers to a batch's images hang on the same pixels",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2006.04647v1; as a score: https://arxiv.org/abs/2101.08134",
    .options = options,
    .config_size = sizeof(config),
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
