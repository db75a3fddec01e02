#include "stages/verify.h"

#include "base/json.h"
#include "base/memory.h"
#include "data/npy.h"
#include "host/exporter.h"
#include "stages/int8.h"

#include <errno.h>
#include <nashost/kit/child.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCRIPT "tools/check-engine.py"

enum { TIMEOUT_S = 300 };

/* ---- What the engine is given ---- */

typedef struct material {
    char folder[256], images[300], logits[300]; /* paths */
    uint64_t n;
} material;

static void remove_material(const material *m) {
    unlink(m->images);
    unlink(m->logits);
    rmdir(m->folder);
}

static int write_arrays(const nas_verify *v, const material *m, const uint8_t *raw, uint8_t *pixels,
                        float *logits, nas_error *err) {
    const nas_network *net = &v->folded->lowered->network;
    const nas_dataset_info *info = &v->evaluator->context->source.info;
    const nas_pixels images = {raw, m->n, info->height, info->width};
    const nas_pixels whole = {pixels, m->n, net->image.h, net->image.w};
    const nas_npy_images array = {m->n, net->image.h, net->image.w, net->image.c, pixels, NULL};
    int rc = nas_deployed_pixels(net, &images, pixels, err);
    if (!rc)
        rc = nas_deployed_logits(v->evaluator, v->folded, nas_export_int8(v->plugin), &whole,
                                 logits, err);
    if (!rc) rc = nas_npy_write_images(m->images, &array, err);
    return rc ? rc : nas_npy_write(m->logits, logits, m->n, net->classes, err);
}

static int write_material(const nas_verify *v, material *m, nas_error *err) {
    const nas_context *context = v->evaluator->context;
    const nas_network *net = &v->folded->lowered->network;
    const nas_split_sets *split = &context->split;
    bool heldout = split->n_heldout > 0;
    const uint64_t *indices = heldout ? split->heldout : v->evaluator->calibration.drawn;
    uint64_t n = heldout ? split->n_heldout : nas_int8_images(v->evaluator);
    m->n = n < NAS_VERIFY_IMAGES ? n : NAS_VERIFY_IMAGES;
    const nas_images *images = heldout ? nas_context_heldout(context) : &context->source.train;
    const size_t area = nas_source_area(&context->source);
    uint8_t *raw = nas_alloc(m->n, area);
    uint8_t *pixels = nas_alloc(m->n, (size_t)net->image.h * net->image.w * net->image.c);
    float *logits = nas_alloc(m->n, net->classes * sizeof *logits);
    int rc = NAS_ERR_MEMORY;
    if (raw && pixels && logits)
        rc = nas_images_scan(images, area, indices, 0, m->n, raw, err);
    else
        nas_fail(err, rc, "%s: out of memory to verify it", v->path);
    if (!rc) rc = write_arrays(v, m, raw, pixels, logits, err);
    free(raw);
    free(pixels);
    free(logits);
    return rc;
}

/* A fresh folder with both arrays. On failure nothing is left. */
static int make_material(const nas_verify *v, material *m, nas_error *err) {
    const char *base = getenv("TMPDIR");
    if (!base || !*base) base = "/tmp";
    int n = snprintf(m->folder, sizeof m->folder, "%s/nashost-XXXXXX", base);
    if (n < 0 || (size_t)n >= sizeof m->folder || !mkdtemp(m->folder))
        return nas_fail(err, NAS_ERR_IO, "%s: cannot make a folder in %.200s to verify it: %s",
                        v->path, base, strerror(errno));
    snprintf(m->images, sizeof m->images, "%s/x.npy", m->folder);
    snprintf(m->logits, sizeof m->logits, "%s/y.npy", m->folder);
    int rc = write_material(v, m, err);
    if (rc) remove_material(m);
    return rc;
}

/* ---- What it answers ---- */

static bool agrees(const nas_verify *v, const json_t *answer) {
    double images = json_number_value(json_object_get(answer, "images"));
    double same = json_number_value(json_object_get(answer, "same_answers"));
    const json_t *difference = json_object_get(answer, "largest_difference");
    double largest = json_number_value(json_object_get(answer, "largest_logit"));
    if (nas_export_int8(v->plugin)) return images > 0 && same >= 0.9 * images;
    return json_is_number(difference) && json_number_value(difference) <= 0.01 * largest;
}

static int read_answer(const nas_verify *v, char *output, json_t **json, nas_error *err) {
    static const char *const keys[] = {"engine", "images", "same_answers", "largest_difference",
                                       "largest_logit"};
    json_t *answer;
    int rc = nas_child_answer(output, &answer, err);
    if (rc) return rc;
    const char *missing = json_string_value(json_object_get(answer, "missing"));
    if (missing) nas_json_put(json, "skipped", nas_text_json(missing));
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !missing; i++) {
        json_t *value = json_object_get(answer, keys[i]);
        nas_json_put(json, keys[i], value ? json_incref(value) : json_null());
    }
    if (!missing) nas_json_put(json, "agrees", json_boolean(agrees(v, answer)));
    json_decref(answer);
    return NAS_OK;
}

static void put_failed(const nas_verify *v, json_t **json, const char *why) {
    nas_log_line(v->evaluator->context->request->log, NAS_WARNING, "%s is not verified: %s",
                 v->file, why);
    nas_json_put(json, "failed", nas_text_json(why));
    nas_json_put(json, "agrees", json_false());
}

static int run_script(const nas_verify *v, char **words, json_t **json, nas_error *err) {
    nas_child c = {.out = -1, .err = -1, .output = malloc(NAS_CHILD_OUTPUT + 1)};
    nas_error why = {0};
    char text[sizeof why.message + NAS_CHILD_TAIL];
    if (!c.output) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory to verify it", v->path);
    int rc = nas_child_start(words, &c, &why);
    bool started = !rc;
    if (!rc) rc = nas_child_collect(&c, TIMEOUT_S, &why);
    if (!rc) rc = read_answer(v, c.output, json, &why);
    snprintf(text, sizeof text, "%s%s%s", nas_child_line(why.message),
             rc && c.n_tail ? "; its standard error ends with: " : "", nas_child_line(c.tail));
    free(c.output);
    if (rc == NAS_ERR_MEMORY) return nas_fail(err, rc, "%s", why.message);
    if (rc && !started) nas_json_put(json, "skipped", nas_text_json(text));
    if (rc && started) put_failed(v, json, text);
    return NAS_OK;
}

static int run_engine(const nas_verify *v, char *script, json_t **json, nas_error *err) {
    const char *python = getenv("NASHOST_PYTHON");
    material m = {.n = 0};
    int rc = make_material(v, &m, err);
    if (rc) return rc;
    char *program = strdup(python && *python ? python : "python3"), *path = strdup(v->path);
    char *words[] = {program, script, path, m.images, m.logits, NULL};
    rc = program && path ? run_script(v, words, json, err)
                         : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", v->path);
    free(program);
    free(path);
    remove_material(&m);
    return rc;
}

int nas_verify_file(const nas_verify *v, json_t **json, nas_error *err) {
    const nas_registry *registry = v->evaluator->context->request->registry;
    bool allowed = nas_registry_services(registry)->allow_commands;
    char *script = nas_registry_file(registry, SCRIPT);
    int rc = NAS_OK;
    *json = json_object();
    nas_json_put(json, "file", nas_text_json(v->file));
    if (!allowed)
        nas_json_put(json, "skipped",
                     json_string("no program is started without --allow-commands"));
    else if (!script)
        nas_json_put(json, "skipped", json_string(SCRIPT " is beside no plugins.json"));
    else
        rc = run_engine(v, script, json, err);
    free(script);
    if (!rc && !*json) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", v->path);
    if (!rc) return rc;
    json_decref(*json);
    *json = NULL;
    return rc;
}
