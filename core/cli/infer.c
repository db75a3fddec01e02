#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "data/loader.h"
#include "data/npy.h"
#include "run/context.h"
#include "run/photos.h"
#include "run/rundir.h"
#include "stages/int8.h"

#include <math.h>
#include <nashost/kit/logits.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: nashost infer DIR --input PATH [--logits Y.npy] [--genome FILE | --platform NAME]\n"
    "                     [options]\n"
    "       nashost infer --weights FILE --input X.npy --logits Y.npy [--genome FILE]\n"
    "\n"
    "Runs images through one subnet of a finished training, its batch norm calibrated: what the\n"
    "subnet's exports should answer, and tells their classes. DIR is the run directory.\n"
    "\n"
    "  --input PATH      a PNG, JPEG or WebP file, a folder of them, or a NumPy array of type\n"
    "                    uint8, [n][height][width][channels], at the data set's size or at the\n"
    "                    subnet's resolution, whose name ends in .npy\n"
    "  --logits Y.npy    an array to write: float32, [n][classes]\n"
    "  --weights FILE    a file that `nashost import` wrote, run by its own statistics of batch\n"
    "                    norm; images are at the subnet's resolution\n"
    "  --int8            answer as exports with the option \"dtype\": \"int8\" do\n"
    "  --weight-bits N   with --int8: as those with this option do, 7 or 8; if not given, 8\n"
    "  --genome FILE     a JSON file with a genome or a {\"genome\": ...}\n"
    "  --platform NAME   the subnet that was found for this platform of the pipeline; if neither\n"
    "                    is given, the largest subnet\n"
    "  --threads N       threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --plugins FILE    a further manifest of plugins; may be given again\n"
    "  --json            print the result as JSON\n";

/* ---- The work ---- */

enum { BATCH = 250 }; /* images run at once */

typedef struct infer {
    const nas_context *context;
    const nas_infer_request *what;
    nas_named subnet;
    nas_arch arch;
    nas_photos photos;     /* n 0: the input is an array */
    nas_npy_images images; /* those that are run */
    float *logits;         /* [images.n][classes] */
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
    if (!rc) folded.lowered->network.weight_bits = in->what->weight_bits;
    if (!rc) rc = nas_int8_logits(evaluator, &folded, &images, in->logits, err);
    nas_folded_free(&folded);
    return rc;
}

static int run_images(infer *in, nas_error *err) {
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

/* What image i shows. */
static json_t *answer_json(const infer *in, uint64_t i) {
    const nas_dataset_info *info = &in->context->source.info;
    const float *logits = in->logits + i * info->classes;
    size_t best = nas_argmax(logits, info->classes);
    double sum = 0;
    for (uint32_t c = 0; c < info->classes; c++)
        sum += exp((double)logits[c] - (double)logits[best]);
    json_t *json = json_object();
    nas_json_put(&json, "image",
                 in->photos.n ? nas_text_json(in->photos.paths[i]) : nas_count_json(i));
    nas_json_put(&json, "label", json_integer((json_int_t)best));
    nas_json_put(&json, "class", nas_text_json(info->class_names ? info->class_names[best] : NULL));
    nas_json_put(&json, "confidence", nas_number_json(1 / sum));
    return json;
}

static json_t *answers_json(const infer *in) {
    json_t *json = json_array();
    for (uint64_t i = 0; i < in->images.n; i++) nas_json_add(&json, answer_json(in, i));
    return json;
}

static json_t *infer_json(const infer *in) {
    json_t *json = json_object();
    nas_json_put(&json, "logits", nas_text_json(in->what->logits));
    nas_json_put(&json, "images", nas_count_json(in->images.n));
    nas_json_put(&json, "classes", nas_count_json(in->context->source.info.classes));
    nas_json_put(&json, "subnet", nas_text_json(in->subnet.name));
    nas_json_put(&json, "genome", nas_genome_to_json(&in->context->space, &in->subnet.genome));
    if (in->photos.n || !in->what->logits) nas_json_put(&json, "answers", answers_json(in));
    return json;
}

static bool is_array(const char *input) {
    size_t n = strlen(input);
    return n > 4 && strcmp(input + n - 4, ".npy") == 0;
}

/* Pictures become what the data set's are. */
static int read_images(infer *in, nas_error *err) {
    const nas_context *context = in->context;
    const nas_dataset_info *info = &context->source.info;
    if (is_array(in->what->input)) {
        int rc = nas_npy_read(in->what->input, &in->images, err);
        return rc ? rc : check_images(in, err);
    }
    if (info->height != info->width)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: pictures are cut to squares, and the data set's are %u x %u; give "
                        "them as a .npy file",
                        in->what->input, info->height, info->width);
    int rc = nas_photos_read(context->request->registry, &context->dataset, in->what->input,
                             info->height, info->channels, &in->photos, err);
    in->images = (nas_npy_images){in->photos.n,   info->height,      info->width,
                                  info->channels, in->photos.pixels, NULL};
    return rc;
}

static int infer_subnet(nas_context *context, infer *in, nas_error *err) {
    const nas_infer_request *what = in->what;
    int rc = nas_subnets_one(&context->space, context->request->out, what->genome, what->platform,
                             &in->subnet, err);
    if (rc) return rc;
    in->context = context;
    in->arch = nas_genome_decode(&context->space, &in->subnet.genome);
    rc = read_images(in, err);
    if (!rc) rc = nas_context_load(context, err);
    if (!rc) rc = run_images(in, err);
    if (!rc && what->logits)
        rc = nas_npy_write(what->logits, in->logits, in->images.n, context->source.info.classes,
                           err);
    return rc;
}

int nas_infer(const nas_run_request *request, const nas_infer_request *what, json_t **result,
              nas_error *err) {
    nas_context *context;
    infer in = {.what = what};
    *result = NULL;
    int rc = nas_context_create(request, &context, err);
    if (!rc) rc = infer_subnet(context, &in, err);
    if (!rc && !(*result = infer_json(&in)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", what->input);
    nas_photos_free(&in.photos);
    nas_npy_free(&in.images);
    free(in.logits);
    nas_context_destroy(context);
    return rc;
}

/* ---- The subcommand ---- */

static void print_answers(const json_t *answers) {
    size_t i;
    json_t *answer;
    json_array_foreach(answers, i, answer) {
        const char *image = json_string_value(json_object_get(answer, "image"));
        const char *name = json_string_value(json_object_get(answer, "class"));
        long long label = (long long)json_integer_value(json_object_get(answer, "label"));
        if (image)
            printf("%s: ", image);
        else
            printf("image %zu: ", i);
        if (name)
            printf("%s", name);
        else
            printf("class %lld", label);
        printf(", %.1f %%\n", 100 * json_number_value(json_object_get(answer, "confidence")));
    }
}

int nas_infer_print(const json_t *result, nas_error *err) {
    (void)err;
    const json_t *genome = json_object_get(result, "genome");
    const char *logits = json_string_value(json_object_get(result, "logits"));
    print_answers(json_object_get(result, "answers"));
    if (!logits) return NAS_OK;
    printf("%s: logits of %lld images in %lld classes, subnet %s\n", logits,
           (long long)json_integer_value(json_object_get(result, "images")),
           (long long)json_integer_value(json_object_get(result, "classes")),
           nas_show_cell(genome, NAS_SHOW_GENOME).text);
    return NAS_OK;
}

static int check(const nas_args *args, nas_error *err) {
    const char *missing = !args->input ? "input" : args->weights && !args->logits ? "logits" : NULL;
    if (missing)
        return nas_fail(err, NAS_ERR_INPUT, "infer: --%s is missing; see `nashost infer --help`",
                        missing);
    if (args->weights && (args->positional || args->platform || args->int8))
        return nas_fail(
            err, NAS_ERR_INPUT,
            "infer: --weights stands for a run directory; leave out DIR, --platform and "
            "--int8, or --weights");
    if (!args->weights && !args->positional)
        return nas_fail(err, NAS_ERR_INPUT, "infer: DIR is missing; see `nashost infer --help`");
    if (args->weight_bits && !args->int8)
        return nas_fail(err, NAS_ERR_INPUT, "infer: --weight-bits is of --int8; give both");
    return nas_args_one_genome("infer", args, err);
}

static int run_directory(const nas_args *args, const nas_infer_request *what, json_t **result,
                         nas_error *err) {
    nas_run_dir run = {0};
    int rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_run_dir_open(args, &run, err);
    if (!rc) rc = nas_infer(&run.request, what, result, err);
    nas_run_dir_close(&run);
    return rc;
}

static int run_infer(const nas_args *args, nas_error *err) {
    const nas_infer_request what = {
        .genome = args->n_genomes ? args->genomes[0] : NULL,
        .platform = args->platform,
        .input = args->input,
        .int8 = args->int8,
        .weights = args->weights,
        .weight_bits = (uint32_t)args->weight_bits,
        .logits = args->logits,
    };
    int threads = args->threads ? args->threads : nas_threads_default();
    json_t *result;
    int rc = check(args, err);
    if (!rc)
        rc = args->weights ? nas_infer_weights(&what, threads, &result, err)
                           : run_directory(args, &what, &result, err);
    return rc ? rc : nas_cli_result(args, result, nas_infer_print, err);
}

int nas_cli_infer(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "infer",
        .operands = "[DIR]",
        .flags = NAS_FLAG_INPUT | NAS_FLAG_LOGITS | NAS_FLAG_WEIGHTS | NAS_FLAG_GENOME |
                 NAS_FLAG_PLATFORM | NAS_FLAG_INT8 | NAS_FLAG_WEIGHT_BITS | NAS_FLAG_THREADS |
                 NAS_FLAG_PLUGINS,
        .help = help,
        .alone = true,
        .run = run_infer,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
