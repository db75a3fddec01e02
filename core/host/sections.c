#include "host/sections.h"

#include "space/space.h"

#include <math.h>

#define MOST 9007199254740992.0 /* 2^53: beyond it a double skips integers */

static const nas_option root_options[] = {
    NAS_INT("seed", nas_root_section, seed, "1", 0, MOST, NULL,
            "of every random number of the run"),
    {0},
};

static const nas_option split_options[] = {
    NAS_INT("labelled", nas_split_section, labelled, "250", 1, MOST, "images",
            "training images whose label is used, as many of each class"),
    NAS_INT("validation", nas_split_section, validation, "0", 0, MOST, "images",
            "labelled images that are kept out of training, to choose settings by"),
    NAS_INT("heldout", nas_split_section, heldout, "2000", 0, MOST, "images",
            "unlabelled images that are kept out of training, to score subnets on"),
    {0},
};

static const nas_option augment_options[] = {
    NAS_BOOL(
        "flip", nas_augment_config, flip, "true",
        "mirror half of the images, where the data set says that a mirrored image keeps its class"),
    NAS_FLOAT("crop", nas_augment_config, crop, "0.125", 0, 0.5, NULL,
              "padding before a random crop, as a share of the side"),
    NAS_INT("strong_ops", nas_augment_config, strong_ops, "2", 0, 16, NULL,
            "RandAugment operations on a strong view"),
    NAS_FLOAT("strong_magnitude", nas_augment_config, strong_magnitude, "1", 0, 1, NULL,
              "largest magnitude of an operation"),
    NAS_FLOAT("cutout", nas_augment_config, cutout, "0.5", 0, 1, NULL,
              "side of the square cut out of a strong view, as a share of the image's"),
    {0},
};

static const char *const shapes[] = {"sandwich", "largest", "fixed", NULL};
static const char *const teachers[] = {"auto", "self", "largest", "ema", NULL};
static const char *const distil_losses[] = {"cross_entropy", "alpha", NULL};
static const char *const statistics[] = {"joint", "separate", NULL};
static const char *const schedules[] = {"cosine", "constant", NULL};

static const nas_option train_options[] = {
    NAS_INT("steps", nas_train_config, steps, "1500", 1, 10000000, "steps",
            "length of the training"),
    NAS_INT("batch", nas_train_config, batch, "32", 1, 65536, "images",
            "labelled images in a step"),
    NAS_FLOAT("mu", nas_train_config, mu, "2", 0, 64, NULL,
              "unlabelled images for each labelled one"),
    NAS_ENUM("subnet_sampling", nas_train_config, shape, "\"sandwich\"", shapes,
             "subnets that a step trains: the largest, the smallest and random ones; the largest; "
             "or the one in genome"),
    NAS_INT("subnets", nas_train_config, subnets, "4", 2, 64, "subnets",
            "in a step of the sandwich"),
    NAS_ENUM("teacher", nas_train_config, teacher, "\"auto\"", teachers,
             "network that makes the pseudo-labels; auto: what the loss suggests"),
    NAS_ENUM(
        "batch_statistics", nas_train_config, batch_statistics, "\"separate\"", statistics,
        "of batch norm: labelled images and each view of the student together, or each by itself"),
    NAS_FLOAT("distill", nas_train_config, distill, "0", 0, 100, NULL,
              "weight of learning from the largest subnet on labelled images"),
    NAS_ENUM("distill_loss", nas_train_config, distill_loss, "\"cross_entropy\"", distil_losses,
             "from its softmax: cross-entropy, or AlphaNet's alpha-divergence"),
    NAS_FLOAT("lr", nas_train_config, lr, "0.03", 0, 100, NULL, "learning rate at its highest"),
    NAS_FLOAT("momentum", nas_train_config, momentum, "0.9", 0, 0.9999, NULL, "Nesterov's"),
    NAS_FLOAT("weight_decay", nas_train_config, weight_decay, "5e-4", 0, 1, NULL,
              "on convolution and linear weights"),
    NAS_ENUM("schedule", nas_train_config, schedule, "\"cosine\"", schedules,
             "of the learning rate"),
    NAS_FLOAT("cosine_cycles", nas_train_config, cosine_cycles, "0.4375", 0, 0.5, NULL,
              "half periods of the cosine over the training"),
    NAS_INT("warmup", nas_train_config, warmup, "0", 0, 10000000, "steps",
            "in which the learning rate rises linearly"),
    NAS_FLOAT("clip_norm", nas_train_config, clip_norm, "0", 0, 1e9, NULL,
              "longest gradient; 0: any length"),
    NAS_FLOAT("label_smoothing", nas_train_config, label_smoothing, "0", 0, 0.99, NULL,
              "share of a label's weight that is spread over all classes"),
    NAS_FLOAT("dropout", nas_train_config, dropout, "0", 0, 0.95, NULL,
              "probability, before the classifier"),
    NAS_FLOAT("ema", nas_train_config, ema, "0.999", 0, 0.999999, NULL,
              "decay of the averaged weights that are kept; 0: keep the last ones"),
    NAS_INT("log_every", nas_train_config, log_every, "10", 1, 10000000, "steps",
            "between lines of metrics.jsonl"),
    NAS_INT("checkpoint_every", nas_train_config, checkpoint_every, "0", 0, 10000000, "steps",
            "between checkpoints; 0: only when the run is stopped"),
    {0},
};

static const nas_option use_options[] = {
    NAS_STRING("plugin", nas_use_section, plugin, NULL, "id of the plugin"),
    {0},
};

static const nas_option search_options[] = {
    NAS_STRING("plugin", nas_search_section, plugin, NULL, "id of the plugin"),
    NAS_INT("evaluations", nas_search_section, config.evaluations, "200", 1, 10000000, "subnets",
            "scored for each platform"),
    NAS_INT("batch", nas_search_section, config.batch, "16", 1, 65536, "subnets",
            "asked for at once"),
    NAS_INT("calibration_images", nas_search_section, config.calibration_images, "1024", 1, 1000000,
            "images", "that batch norm is calibrated on before a subnet is scored"),
    {0},
};

static const nas_option platform_options[] = {
    NAS_STRING("name", nas_platform_section, name, NULL, "names the platform and its files"),
    {0},
};

const nas_option nas_constraints_options[] = {
    NAS_FLOAT("latency_ms", nas_constraints, latency_ms, "null", 1e-9, INFINITY, "ms",
              "most time for one image"),
    NAS_FLOAT("energy_mj", nas_constraints, energy_mj, "null", 1e-9, INFINITY, "mJ",
              "most energy for one image"),
    NAS_INT("peak_bytes", nas_constraints, peak_bytes, "null", 1, MOST, "bytes",
            "most activation memory"),
    NAS_INT("flash_bytes", nas_constraints, flash_bytes, "null", 1, MOST, "bytes",
            "most memory for weights"),
    NAS_INT("macs", nas_constraints, macs, "null", 1, MOST, NULL,
            "most multiply-accumulates for one image"),
    NAS_INT("params", nas_constraints, params, "null", 1, MOST, NULL, "most parameters"),
    {0},
};

#define USE(kind_, key_, parent_, help_)                                                           \
    { .key = key_, .parent = parent_, .help = help_, .options = use_options, .plugin = kind_ }

const nas_section nas_sections[NAS_SECTIONS] = {
    [NAS_AT_ROOT] = {NULL, NAS_SECTIONS, "what a run of nashost does", .options = root_options},
    [NAS_AT_SCHEMA] = {"$schema", NAS_AT_ROOT, "for editors: what `nashost schema` prints",
                       .type = "string"},
    [NAS_AT_DATASET] = USE(NAS_KIND_DATASET, "dataset", NAS_AT_ROOT, "what reads the images"),
    [NAS_AT_SPLIT] = {"split", NAS_AT_ROOT, "which training images are used for what",
                      .options = split_options},
    [NAS_AT_SPACE] = {"space", NAS_AT_ROOT,
                      "the family of networks: a preset's name, a file, or an object as in "
                      "spaces/README.md",
                      .type = "string", .form = nas_space_schema, .required = true},
    [NAS_AT_AUGMENT] = {"augment", NAS_AT_ROOT, "how training images are varied",
                        .options = augment_options},
    [NAS_AT_TRAIN] = {"train", NAS_AT_ROOT, "the training of the supernet",
                      .options = train_options},
    [NAS_AT_GENOME] = {"genome", NAS_AT_TRAIN,
                       "the subnet of subnet_sampling \"fixed\": {\"resolution\", \"stages\"}",
                       .type = "null", .form = nas_genome_schema},
    [NAS_AT_SSL] = USE(NAS_KIND_SSL, "ssl", NAS_AT_TRAIN, "the loss"),
    [NAS_AT_SEARCH] = {"search", NAS_AT_ROOT, "how subnets are found", .options = search_options,
                       .plugin = NAS_KIND_SEARCH},
    [NAS_AT_SCORE] = USE(NAS_KIND_SCORE, "score", NAS_AT_SEARCH, "what subnets are judged by"),
    [NAS_AT_PLATFORMS] = {"platforms", NAS_AT_ROOT, "a device, and what a subnet may cost on it",
                          .options = platform_options, .min = 1, .max = NAS_MAX_PLATFORMS},
    [NAS_AT_HARDWARE] =
        USE(NAS_KIND_HARDWARE, "hardware", NAS_AT_PLATFORMS, "what tells a subnet's costs"),
    [NAS_AT_CONSTRAINTS] = {"constraints", NAS_AT_PLATFORMS, "the most that a subnet may cost",
                            .options = nas_constraints_options},
    [NAS_AT_EXPORT] = {"export", NAS_AT_ROOT, "a format that chosen subnets are written in",
                       .options = use_options, .plugin = NAS_KIND_EXPORT, .max = NAS_MAX_EXPORTS},
};

void nas_section_nested(nas_section_id id, const char **keys) {
    size_t n = 0;
    for (int i = 0; i < NAS_SECTIONS && n < NAS_MAX_NESTED - 2; i++)
        if (nas_sections[i].parent == id) keys[n++] = nas_sections[i].key;
    if (nas_sections[id].plugin) keys[n++] = "options";
    keys[n] = NULL;
}
