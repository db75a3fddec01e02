#include "stages/infer.h"

#include "base/memory.h"
#include "data/loader.h"
#include "data/npy.h"
#include "stages/int8.h"
#include "stages/rundir.h"
#include "stages/subnets.h"

#include <stdlib.h>

enum { BATCH = 250 }; /* images run at once */

typedef struct infer {
    const nas_context *context;
    const nas_infer_request *what;
    nas_named subnet;
    nas_arch arch;
    nas_npy_images images;
    float *logits; /* [images.n][classes] */
} infer;

static int check_images(const infer *in, nas_error *err) {
    const nas_dataset_info *info = &in->context->source.info;
    const nas_npy_images *images = &in->images;
    uint32_t side = in->arch.resolution;
    bool whole = images->h == info->height && images->w == info->width;
    bool resized = images->h == side && images->w == side;
    if (images->c == info->channels && (whole || resized)) return NAS_OK;
    char other[64] = "";
    if (info->height != side || info->width != side)
        snprintf(other, sizeof other, ", or %u x %u x %u as the subnet takes them", side, side,
                 info->channels);
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: expected images of %u x %u x %u as in the data set%s; found %u x %u x %u",
                    in->what->input, info->height, info->width, info->channels, other, images->h,
                    images->w, images->c);
}

/* ---- Running ---- */

/* engine is for images of the input's size; room holds BATCH of them. */
static void run_batches(infer *in, nas_evaluator *evaluator, nas_engine *engine, float *room) {
    const nas_context *context = in->context;
    size_t area = (size_t)in->images.h * in->images.w * in->images.c;
    size_t classes = context->source.info.classes;
    nas_evaluator_select(evaluator, &in->subnet.genome);
    nas_engine_select(engine, &in->arch);
    for (uint64_t first = 0; first < in->images.n; first += BATCH) {
        uint64_t count = in->images.n - first < BATCH ? in->images.n - first : BATCH;
        nas_normalise(&context->source, in->images.pixels + first * area, count * area, room);
        nas_engine_infer(engine, context->supernet->weights, &evaluator->stats, room, count,
                         in->logits + first * classes);
    }
}

static int run_float(infer *in, nas_evaluator *evaluator, nas_error *err) {
    const nas_context *context = in->context;
    nas_engine *engine = NULL;
    float *room =
        nas_alloc(BATCH, (size_t)in->images.h * in->images.w * in->images.c * sizeof *room);
    int rc = NAS_OK;
    if (!room) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", in->what->input);
    if (!rc)
        rc = nas_engine_create(context->supernet, NAS_ENGINE_FORWARD, BATCH, 1, in->images.h,
                               in->images.w, context->request->threads, &engine, err);
    if (!rc) run_batches(in, evaluator, engine, room);
    nas_engine_destroy(engine);
    free(room);
    return rc;
}

static int run_int8(infer *in, nas_evaluator *evaluator, nas_error *err) {
    const nas_pixels images = {in->images.pixels, in->images.n, in->images.h, in->images.w};
    nas_folded folded;
    int rc = nas_folded_make(evaluator, &in->subnet.genome, &folded, err);
    if (!rc) rc = nas_int8_calibrate(evaluator, &folded, err);
    if (!rc) rc = nas_int8_logits(evaluator, &folded, &images, in->logits, err);
    nas_folded_free(&folded);
    return rc;
}

static int run(infer *in, nas_error *err) {
    const nas_context *context = in->context;
    nas_evaluator evaluator;
    in->logits = nas_alloc(in->images.n, context->source.info.classes * sizeof *in->logits);
    if (!in->logits)
        return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory for the logits of %llu images",
                        in->what->input, (unsigned long long)in->images.n);
    int rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    rc = in->what->int8 ? run_int8(in, &evaluator, err) : run_float(in, &evaluator, err);
    nas_evaluator_close(&evaluator);
    return rc;
}

/* ---- The stage ---- */

static int print(const infer *in, nas_error *err) {
    const nas_space *space = &in->context->space;
    uint32_t classes = in->context->source.info.classes;
    if (!in->context->request->json) {
        char genome[256];
        nas_genome_short(space, &in->subnet.genome, genome, sizeof genome);
        printf("%s: logits of %llu images in %u classes, subnet %s\n", in->what->logits,
               (unsigned long long)in->images.n, classes, genome);
        return NAS_OK;
    }
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:s, s:o}", "logits", in->what->logits, "images",
                  (json_int_t)in->images.n, "classes", (json_int_t)classes, "subnet",
                  in->subnet.name, "genome", nas_genome_to_json(space, &in->subnet.genome));
    if (json) {
        json_dumpf(json, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
        json_decref(json);
    }
    return json ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", in->what->logits);
}

static int infer_subnet(nas_context *context, infer *in, nas_error *err) {
    const nas_infer_request *what = in->what;
    int rc = nas_subnets_one(&context->space, context->request->out, what->genome, what->platform,
                             &in->subnet, err);
    if (rc) return rc;
    in->arch = nas_genome_decode(&context->space, &in->subnet.genome);
    rc = nas_npy_read(what->input, &in->images, err);
    if (!rc) rc = check_images(in, err);
    if (!rc) rc = nas_context_load(context, err);
    if (!rc) rc = run(in, err);
    if (!rc)
        rc = nas_npy_write(what->logits, in->logits, in->images.n, context->source.info.classes,
                           err);
    return rc ? rc : print(in, err);
}

int nas_infer(const nas_run_request *request, const nas_infer_request *what, nas_error *err) {
    int rc = nas_rundir_trained(request->out, err);
    if (rc) return rc;
    nas_context *context = nas_alloc(1, sizeof *context);
    if (!context) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    infer in = {.context = context, .what = what};
    rc = nas_context_open(request, context, err);
    if (!rc) rc = infer_subnet(context, &in, err);
    nas_npy_free(&in.images);
    free(in.logits);
    nas_context_close(context);
    free(context);
    return rc;
}
