#include "supernet/pretrained.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_AREA = NAS_MAX_KERNEL * NAS_MAX_KERNEL };

typedef struct filling {
    const nas_tensor_file *file;
    const char *path;
    const nas_supernet *supernet;
    nas_real *weights; /* of the supernet's shape, in place of its own until all is well */
    const nas_log *log;
    size_t problems;
} filling;

static bool is_classifier(const nas_parameter *p) {
    return strncmp(p->name, "classifier.", 11) == 0;
}

/* ---- Whether all fits ---- */

/* The stem's inputs may be 1 for 3 or the reverse. */
static bool fits_stem(uint64_t found, uint64_t expected) {
    return (found == 1 || found == 3) && (expected == 1 || expected == 3);
}

static bool fits(const nas_tensor *t, const nas_parameter *p, bool exactly) {
    if (t->ndim != p->ndim) return false;
    for (uint32_t d = 0; d < p->ndim; d++) {
        if (p->ndim == 4 && d == 2 && fits_stem(t->shape[d], p->shape[d])) continue;
        if (exactly ? t->shape[d] != p->shape[d] : t->shape[d] < p->shape[d]) return false;
    }
    /* The centre of a kernel is that of an odd one. */
    return p->ndim < 3 ||
           (t->shape[0] % 2 == 1 && t->shape[0] <= NAS_MAX_KERNEL && t->shape[0] == t->shape[1]);
}

static void check(filling *f, const nas_parameter *p) {
    const nas_tensor *t = nas_tensors_find(f->file, p->name);
    char found[NAS_SHAPE_TEXT], expected[NAS_SHAPE_TEXT];
    uint64_t shape[4];
    if (t && fits(t, p, is_classifier(p))) return;
    f->problems++;
    for (uint32_t d = 0; d < p->ndim; d++) shape[d] = p->shape[d];
    nas_tensor_shape_text(p->ndim, shape, expected);
    if (t) nas_tensor_shape_text(t->ndim, t->shape, found);
    if (t)
        nas_log_line(f->log, NAS_WARNING, "%s: tensor \"%s\" is %s; the space needs %s%s", f->path,
                     p->name, found, is_classifier(p) ? "" : "at least ", expected);
    else
        nas_log_line(f->log, NAS_WARNING, "%s: tensor \"%s\" is missing; the space needs %s",
                     f->path, p->name, expected);
}

/* ---- Copying ---- */

/* Rows of a tensor [rows][columns] that is at least as large. */
static void copy_matrix(const nas_tensor *t, const nas_parameter *p, nas_real *to) {
    size_t columns = p->shape[p->ndim - 1], stride = (size_t)t->shape[t->ndim - 1];
    size_t rows = p->ndim == 1 ? 1 : p->shape[0];
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            to[r * columns + c] = (nas_real)t->data[r * stride + c];
}

/* What channel c of a stem for colour counts for in one for grey: pixels are then divided by the
 * mean of the deviations. */
static double grey_share(const nas_space *space, size_t c) {
    const float *std = space->input.std;
    return std[0] > 0 ? ((double)std[0] + (double)std[1] + (double)std[2]) / 3 / (double)std[c] : 1;
}

/* The stem, [k][k][in][out]. */
static void copy_stem(const nas_space *space, const nas_tensor *t, const nas_parameter *p,
                      nas_real *to) {
    size_t k = p->shape[0], in = p->shape[2], out = p->shape[3];
    size_t from_k = (size_t)t->shape[0], from_in = (size_t)t->shape[2];
    size_t from_out = (size_t)t->shape[3], skip = (from_k - k) / 2;
    for (size_t i = 0; i < k * k * in * out; i++) {
        size_t y = i / (k * in * out) + skip, x = i / (in * out) % k + skip;
        size_t c = i / out % in, o = i % out;
        const float *tap = t->data + (y * from_k + x) * from_in * from_out + o;
        double sum = 0;
        if (in == from_in)
            sum = (double)tap[c * from_out];
        else
            for (size_t j = 0; j < from_in; j++)
                sum += (double)tap[j * from_out] * (from_in == 3 ? grey_share(space, j) : 1);
        to[i] = (nas_real)(in > from_in ? sum / (double)in : sum);
    }
}

/* From a kernel k x k to the centre k - 2 x k - 2, and through the matrix for that size if there is
 * one: y_i = sum over j of m_ij x_j (arXiv 1908.09791, section 3.3). In place. */
static void shrink_kernel(double *kernel, size_t k, const nas_tensor *matrix) {
    double centre[MAX_AREA], *to = kernel;
    size_t side = k - 2, area = side * side;
    for (size_t i = 0; i < area; i++) centre[i] = kernel[(i / side + 1) * k + i % side + 1];
    for (size_t i = 0; i < area; i++) {
        double sum = matrix ? 0 : centre[i];
        for (size_t j = 0; matrix && j < area; j++)
            sum += (double)matrix->data[i * area + j] * centre[j];
        to[i] = sum;
    }
}

/* The file's matrix from a depthwise kernel k x k to the next smaller one, or NULL. */
static const nas_tensor *find_matrix(const nas_tensor_file *file, const nas_parameter *p,
                                     size_t k) {
    char name[NAS_TENSOR_NAME + 24];
    size_t area = (k - 2) * (k - 2), block = strlen(p->name) - strlen(".conv");
    snprintf(name, sizeof name, "%.*s.matrix%zuto%zu", (int)block, p->name, k, k - 2);
    const nas_tensor *t = nas_tensors_find(file, name);
    return t && t->ndim == 2 && t->shape[0] == area && t->shape[1] == area ? t : NULL;
}

/* A depthwise kernel, [k][k][c]. */
static void copy_depthwise(const nas_tensor_file *file, const nas_tensor *t, const nas_parameter *p,
                           nas_real *to) {
    size_t k = p->shape[0], channels = p->shape[2], from_k = (size_t)t->shape[0];
    double kernel[MAX_AREA] = {0};
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < from_k * from_k; i++)
            kernel[i] = (double)t->data[i * (size_t)t->shape[2] + c];
        for (size_t side = from_k; side > k; side -= 2)
            shrink_kernel(kernel, side, find_matrix(file, p, side));
        for (size_t i = 0; i < k * k; i++) to[i * channels + c] = (nas_real)kernel[i];
    }
}

static void copy(const filling *f, const nas_parameter *p) {
    const nas_tensor *t = nas_tensors_find(f->file, p->name);
    nas_real *to = f->weights + p->offset;
    if (p->ndim == 4)
        copy_stem(&f->supernet->space, t, p, to);
    else if (p->ndim == 3)
        copy_depthwise(f->file, t, p, to);
    else
        copy_matrix(t, p, to);
}

int nas_pretrained_fill(const nas_tensor_file *file, const char *path, bool new_classifier,
                        nas_supernet *supernet, const nas_log *log, nas_error *err) {
    filling f = {file, path, supernet, NULL, log, 0};
    for (uint32_t i = 0; i < supernet->n_parameters; i++)
        if (!new_classifier || !is_classifier(&supernet->parameters[i]))
            check(&f, &supernet->parameters[i]);
    if (f.problems)
        return nas_fail(
            err, NAS_ERR_INPUT,
            "%s: %zu tensors are missing or do not fit the space \"%s\"; leave \"space\" "
            "out to take the file's own, or narrow it",
            path, f.problems, supernet->space.name);
    f.weights = supernet->weights;
    for (uint32_t i = 0; i < supernet->n_parameters; i++)
        if (!new_classifier || !is_classifier(&supernet->parameters[i]))
            copy(&f, &supernet->parameters[i]);
    return NAS_OK;
}

/* ---- Running statistics ---- */

static const nas_tensor *find_statistic(const nas_tensor_file *file, const char *path,
                                        const nas_layer *layer, const char *part, nas_error *err) {
    char name[NAS_TENSOR_NAME];
    nas_layer_tensor_name(layer, part, name);
    const nas_tensor *t = nas_tensors_find(file, name);
    if (t && t->ndim == 1 && t->shape[0] >= layer->out.c) return t;
    nas_fail(
        err, NAS_ERR_INPUT,
        "%s: tensor \"%s\": expected %u numbers or more, found %s; only imported networks keep "
        "batch norm's statistics",
        path, name, layer->out.c, t ? "another shape" : "nothing");
    return NULL;
}

static int add_statistics(const nas_tensor_file *file, const char *path, const nas_layer *layer,
                          nas_bn_stats *stats, nas_error *err) {
    const nas_tensor *mean = find_statistic(file, path, layer, NAS_PRETRAINED_MEAN, err);
    if (!mean) return NAS_ERR_INPUT;
    const nas_tensor *variance = find_statistic(file, path, layer, NAS_PRETRAINED_VARIANCE, err);
    if (!variance) return NAS_ERR_INPUT;
    for (uint32_t c = 0; c < layer->out.c; c++) {
        stats->mean[stats->n] = (nas_real)mean->data[c];
        stats->var[stats->n++] = (nas_real)variance->data[c];
    }
    return NAS_OK;
}

int nas_pretrained_stats(const nas_tensor_file *file, const char *path, const nas_space *space,
                         const nas_genome *genome, nas_bn_stats *stats, nas_error *err) {
    nas_layer layers[NAS_MAX_LAYERS];
    nas_role roles[NAS_MAX_LAYERS];
    nas_arch arch = nas_genome_decode(space, genome);
    uint32_t n = nas_layout(space, &arch, layers, roles);
    size_t channels = 0;
    for (uint32_t i = 0; i < n; i++)
        if (nas_layer_has_norm(&layers[i])) channels += layers[i].out.c;
    *stats = (nas_bn_stats){.mean = nas_alloc(channels, sizeof(nas_real)),
                            .var = nas_alloc(channels, sizeof(nas_real))};
    int rc = stats->mean && stats->var
                 ? NAS_OK
                 : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory for its statistics", path);
    for (uint32_t i = 0; i < n && !rc; i++)
        if (nas_layer_has_norm(&layers[i])) rc = add_statistics(file, path, &layers[i], stats, err);
    if (!rc) return NAS_OK;
    free(stats->mean);
    free(stats->var);
    *stats = (nas_bn_stats){0};
    return rc;
}
