#include "host/sections.h"

#include "data/augment.h"
#include "space/genome.h"
#include "space/restrict.h"

#include <math.h>

#define MOST 9007199254740992.0 /* 2^53: beyond it a double skips integers */

static const nas_option root_options[] = {
    NAS_INT("seed", nas_root_section, seed, "1", 0, MOST, NULL,
            "seed of every random number of the run: the same seed gives the same results"),
    {0},
};

static const char *const all[] = {"all", NULL};
static const char *const balances[] = {"equal", "shares", NULL};
static const char *const heldout_sources[] = {"auto", "train", "unlabelled", NULL};

static const nas_option split_options[] = {
    NAS_COUNT("labelled", nas_split_section, labelled, "250", 1, MOST, "images", all,
              "training images whose labels the run may read; all: every one that is neither for "
              "validation nor held out"),
    NAS_INT(
        "validation", nas_split_section, validation, "0", 0, MOST, "images",
        "labelled images that are kept out of training, so that settings can be compared by their "
        "accuracy on them"),
    NAS_INT(
        "heldout", nas_split_section, heldout, "2000", 0, MOST, "images",
        "images that are kept out of training and are used without their labels, so that a search "
        "can score subnets on them"),
    NAS_ENUM("balance", nas_split_section, balance, "\"equal\"", balances,
             "how labelled and validation images are spread over the classes: equal, as many of "
             "each; shares, by each class's share of the training images, at least one label each"),
    NAS_ENUM("heldout_from", nas_split_section, heldout_from, "\"auto\"", heldout_sources,
             "where held-out images come from: train, the training images; unlabelled, the data "
             "set's images without labels; auto, from these if they are enough, else from those"),
    {0},
};

static const char *const classifiers[] = {"new", "keep", NULL};

static const nas_option init_options[] = {
    NAS_PATH("weights", nas_init_config, weights, "null",
             "file with the weights that the training starts from, as `nashost import` or an "
             "earlier run wrote it; null: they are random"),
    NAS_ENUM("classifier", nas_init_config, classifier, "\"new\"", classifiers,
             "what becomes of the file's classifier: new, a random one for the data set's classes "
             "takes its place; keep, it stays, for the same classes"),
    {0},
};

static const char *const fills[] = {"mean", "edge", "zero", NULL};

static const nas_option augment_options[] = {
    NAS_BOOL("flip", nas_augment_config, flip, "true",
             "whether half of the images, chosen at random, are mirrored left to right; no image "
             "is where "
             "the data set says that mirroring changes the class"),
    NAS_FLOAT(
        "crop", nas_augment_config, crop, "0.125", 0, 0.5, NULL,
        "how far a random crop may shift an image: the padding around it, as a share of its side"),
    NAS_INT("strong_ops", nas_augment_config, strong_ops, "2", 0, 16, NULL,
            "number of RandAugment operations that a strong view goes through"),
    NAS_FLOAT("strong_magnitude", nas_augment_config, strong_magnitude, "1", 0, 1, NULL,
              "largest strength that a RandAugment operation may have, as a share of the strongest "
              "there is"),
    NAS_FLOAT(
        "cutout", nas_augment_config, cutout, "0.5", 0, 1, NULL,
        "largest side of the square that is blanked in a strong view, as a share of the image's "
        "side; 0: none is"),
    NAS_ENUM("fill", nas_augment_config, fill, "\"mean\"", fills,
             "what rotating, shearing and moving a strong view uncovers becomes: mean, the data "
             "set's mean colour; edge, the nearest pixel of the image's edge; zero, black"),
    {0},
};

static const char *const shapes[] = {"sandwich", "largest", "fixed", NULL};
static const char *const teachers[] = {"auto", "self", "largest", "ema", NULL};
static const char *const distil_losses[] = {"cross_entropy", "alpha", NULL};
static const char *const statistics[] = {"joint", "separate", NULL};
static const char *const schedules[] = {"cosine", "constant", NULL};

static const nas_option train_options[] = {
    NAS_INT("steps", nas_train_config, steps, "1500", 1, 10000000, "steps",
            "number of training steps, each of which updates the weights once"),
    NAS_INT("batch", nas_train_config, batch, "32", 1, 65536, "images",
            "number of labelled images in a step"),
    NAS_FLOAT("mu", nas_train_config, mu, "2", 0, 64, NULL,
              "number of unlabelled images in a step for each labelled one"),
    NAS_INT("accumulate", nas_train_config, accumulate, "1", 1, 65536, "parts",
            "number of equal parts in which a step's images go through the network, one after the "
            "other, for so much less memory; each part has batch norm's mean and variance of its "
            "own"),
    NAS_ENUM("subnet_sampling", nas_train_config, shape, "\"sandwich\"", shapes,
             "which subnets a step trains: sandwich, the largest, the smallest and random ones; "
             "largest, the largest alone; fixed, the one that \"genome\" gives"),
    NAS_INT(
        "subnets", nas_train_config, subnets, "4", 2, 64, "subnets",
        "number of subnets that a step trains when subnet_sampling is sandwich, the largest and "
        "the smallest among them"),
    NAS_ENUM(
        "teacher", nas_train_config, teacher, "\"auto\"", teachers,
        "which network makes the pseudo-labels: self, each subnet its own; largest, the largest "
        "subnet; ema, the averaged weights; auto, the one that the loss suggests"),
    NAS_ENUM(
        "batch_statistics", nas_train_config, batch_statistics, "\"separate\"", statistics,
        "which images share batch norm's mean and variance in training: joint, labelled images "
        "and all views of the student; separate, each of these by itself"),
    NAS_FLOAT("distill", nas_train_config, distill, "0", 0, 100, NULL,
              "weight of a further loss by which the other subnets learn from the largest one's "
              "answers on labelled images; 0: none"),
    NAS_ENUM("distill_loss", nas_train_config, distill_loss, "\"cross_entropy\"", distil_losses,
             "how that further loss compares a subnet's probabilities with the largest one's: "
             "cross_entropy, or alpha, AlphaNet's divergence"),
    NAS_FLOAT("lr", nas_train_config, lr, "0.03", 0, 100, NULL, "learning rate at its highest"),
    NAS_FLOAT("lr_classifier", nas_train_config, lr_classifier, "1", 0, 1000, NULL,
              "how many times as fast the classifier learns as the layers before it: a new one has "
              "more to learn than a pretrained trunk"),
    NAS_FLOAT("lr_decay_by_depth", nas_train_config, lr_decay_by_depth, "1", 0, 1, NULL,
              "factor on the learning rate of the last stage, its square on that of the stage "
              "before it, and so on down to the stem: early layers are the most general ones"),
    NAS_INT("freeze_trunk_steps", nas_train_config, freeze_trunk_steps, "0", 0, 10000000, "steps",
            "number of steps at the start in which only the layers after the pooling learn, that "
            "is the classifier and the hidden layers before it"),
    NAS_BOOL("freeze_batch_norm", nas_train_config, freeze_batch_norm, "false",
             "whether batch norm's scale and shift (gamma and beta) keep their initial values; its "
             "mean and variance are the batch's in any case"),
    NAS_FLOAT(
        "momentum", nas_train_config, momentum, "0.9", 0, 0.9999, NULL,
        "Nesterov momentum of the optimiser, stochastic gradient descent: how much of the last "
        "update is kept"),
    NAS_FLOAT("weight_decay", nas_train_config, weight_decay, "5e-4", 0, 1, NULL,
              "L2 weight decay of convolution and linear weights; biases and batch norm have none"),
    NAS_FLOAT(
        "anchor", nas_train_config, anchor, "0", 0, 1, NULL,
        "L2-SP: weight decay towards the initial weights, which replaces the one towards 0 in "
        "all layers but the classifier, and keeps what pretrained weights know; 0: none"),
    NAS_ENUM(
        "schedule", nas_train_config, schedule, "\"cosine\"", schedules,
        "how the learning rate changes over the training, besides the warm-up: cosine, it falls; "
        "constant, it stays"),
    NAS_FLOAT(
        "cosine_cycles", nas_train_config, cosine_cycles, "0.4375", 0, 0.5, NULL,
        "how far the cosine schedule goes by the last step, in half periods: at 0.5 the learning "
        "rate ends at 0"),
    NAS_INT(
        "warmup", nas_train_config, warmup, "0", 0, 10000000, "steps",
        "number of steps at the start in which the learning rate rises linearly to its highest"),
    NAS_FLOAT(
        "clip_norm", nas_train_config, clip_norm, "0", 0, 1e9, NULL,
        "length to which the gradient of all weights together is scaled down if it is longer; 0: "
        "it never is"),
    NAS_FLOAT(
        "label_smoothing", nas_train_config, label_smoothing, "0", 0, 0.99, NULL,
        "label smoothing: the share of a label's weight that is spread evenly over all classes"),
    NAS_FLOAT("logit_adjustment", nas_train_config, logit_adjustment, "0", 0, 10, NULL,
              "logit adjustment for labels of which some classes have more: how much of the log of "
              "their shares is added to the logits that learn from labels (tau), so that the "
              "network's own logits treat all classes alike; 0: none"),
    NAS_FLOAT("dropout", nas_train_config, dropout, "0", 0, 0.95, NULL,
              "dropout: the probability that an input of the classifier is set to 0 in training"),
    NAS_FLOAT("ema", nas_train_config, ema, "0.999", 0, 0.999999, NULL,
              "decay, per step, of the exponential average of the weights, which is what the run "
              "keeps; 0: it keeps the last step's weights"),
    NAS_INT("log_every", nas_train_config, log_every, "10", 1, 10000000, "steps",
            "number of steps from one line of metrics.jsonl to the next"),
    NAS_INT("checkpoint_every", nas_train_config, checkpoint_every, "0", 0, 10000000, "steps",
            "number of steps from one checkpoint to the next; 0: they are written by time alone, "
            "and when "
            "the run is stopped"),
    NAS_FLOAT("checkpoint_seconds", nas_train_config, checkpoint_seconds, "600", 0, 1e9, "s",
              "wall time after which a checkpoint is written at the latest; 0: none is written by "
              "time"),
    {0},
};

static const nas_option use_options[] = {
    NAS_STRING("plugin", nas_use_section, plugin, NULL,
               "id of the plugin, as `nashost plugins` lists it"),
    {0},
};

static const char *const automatic[] = {"auto", NULL};

static const nas_option dataset_options[] = {
    NAS_STRING("plugin", nas_dataset_section, plugin, NULL,
               "id of the plugin, as `nashost plugins` lists it"),
    NAS_COUNT(
        "memory", nas_dataset_section, config.memory, "\"auto\"", 1, MOST, "bytes", automatic,
        "memory that decoded images may take; what does not fit is decoded when it is needed, "
        "with the same results; auto: a quarter of the machine's, or of the container's"),
    {0},
};

static const nas_option export_options[] = {
    NAS_STRING("plugin", nas_export_section, plugin, NULL,
               "id of the plugin, as `nashost plugins` lists it"),
    NAS_BOOL("verify", nas_export_section, verify, "false",
             "whether held-out images then run through the file in the engine that such files are "
             "for, if it is installed, and its logits are compared with the host's: this starts "
             "python3 (docs/export.md)"),
    {0},
};

static const nas_option search_options[] = {
    NAS_STRING("plugin", nas_search_section, plugin, NULL,
               "id of the plugin, as `nashost plugins` lists it"),
    NAS_INT("evaluations", nas_search_section, config.evaluations, "200", 1, 10000000, "subnets",
            "number of subnets that the search scores for each platform"),
    NAS_STRINGS("objectives", nas_search_section, objectives, "null",
                "what the search is to trade: \"score\", then names of constraints, such as "
                "\"latency_ms\"; if it is left out, the score alone counts and the latency breaks "
                "ties"),
    NAS_INT("batch", nas_search_section, config.batch, "1", 1, 65536, "subnets",
            "number of subnets that the strategy is asked for at once; it learns their scores "
            "together, so more than 1 makes it choose with less knowledge"),
    NAS_INT("calibration_images", nas_search_section, config.calibration_images, "1024", 1, 1000000,
            "images",
            "number of training images that a subnet's batch norm is calibrated on before it is "
            "scored"),
    {0},
};

static const nas_option platform_options[] = {
    NAS_STRING("name", nas_platform_section, name, NULL,
               "name of the platform, which its files have as well"),
    {0},
};

const char *const nas_limit_names[NAS_MAX_LIMITS] = {"latency_ms",  "energy_mj", "peak_bytes",
                                                     "flash_bytes", "macs",      "params"};

const nas_option nas_constraints_options[] = {
    NAS_FLOAT("latency_ms", nas_constraints, latency_ms, "null", 1e-9, INFINITY, "ms",
              "most time that a subnet may take for one image on this platform"),
    NAS_FLOAT("energy_mj", nas_constraints, energy_mj, "null", 1e-9, INFINITY, "mJ",
              "most energy that a subnet may take for one image on this platform"),
    NAS_INT("peak_bytes", nas_constraints, peak_bytes, "null", 1, MOST, "bytes",
            "most memory that a subnet's activations may need at once"),
    NAS_INT("flash_bytes", nas_constraints, flash_bytes, "null", 1, MOST, "bytes",
            "most memory that a subnet's weights may need"),
    NAS_INT("macs", nas_constraints, macs, "null", 1, MOST, NULL,
            "most multiply-accumulates (MACs) that a subnet may do for one image"),
    NAS_INT("params", nas_constraints, params, "null", 1, MOST, NULL,
            "most parameters that a subnet may have"),
    {0},
};

#define USE(kind_, key_, parent_, help_)                                                           \
    { .key = key_, .parent = parent_, .help = help_, .options = use_options, .plugin = kind_ }

const nas_section nas_sections[NAS_SECTIONS] = {
    [NAS_AT_ROOT] = {NULL, NAS_SECTIONS,
                     "what a run of nashost does: train one supernet, then search a subnet for "
                     "each platform and export it",
                     .options = root_options},
    [NAS_AT_SCHEMA] = {"$schema", NAS_AT_ROOT,
                       "path of a file that holds what `nashost schema` prints, by which an editor "
                       "explains and checks the other keys",
                       .type = "string"},
    [NAS_AT_DATASET] = {"dataset", NAS_AT_ROOT,
                        "the data set: the plugin that reads the images and their labels, and its "
                        "options",
                        .options = dataset_options, .plugin = NAS_KIND_DATASET},
    [NAS_AT_SPLIT] = {"split", NAS_AT_ROOT, "which training images are used for what",
                      .options = split_options},
    [NAS_AT_INIT] = {"init", NAS_AT_ROOT, "what the weights are before the training",
                     .options = init_options},
    [NAS_AT_SPACE] = {"space", NAS_AT_ROOT,
                      "the search space, that is the family of networks: a preset's name, a file, "
                      "or an object as in spaces/README.md; if not given, that of init.weights",
                      .type = "string", .form = nas_space_schema},
    [NAS_AT_SPACE_RESTRICT] = {"space_restrict", NAS_AT_ROOT,
                               "which of the space's choices the run uses, if not all: a narrower "
                               "space has fewer subnets that share weights",
                               .type = "null", .form = nas_restrict_schema},
    [NAS_AT_AUGMENT] = {"augment", NAS_AT_ROOT,
                        "how training images are varied at random: weak views are flipped and "
                        "cropped, strong views go through RandAugment and cutout as well",
                        .options = augment_options},
    [NAS_AT_TRAIN] = {"train", NAS_AT_ROOT,
                      "how the supernet, which holds the weights of every subnet, is trained",
                      .options = train_options},
    [NAS_AT_GENOME] = {"genome", NAS_AT_TRAIN,
                       "the one subnet that is trained when subnet_sampling is \"fixed\": "
                       "{\"resolution\", \"stages\"}",
                       .type = "null", .form = nas_genome_schema},
    [NAS_AT_SSL] = USE(
        NAS_KIND_SSL, "ssl", NAS_AT_TRAIN,
        "the training loss, which says what unlabelled images teach: its plugin and its options"),
    [NAS_AT_SEARCH] = {"search", NAS_AT_ROOT,
                       "how subnets are found: the search strategy's plugin and its options, and "
                       "how many subnets it may try",
                       .options = search_options, .plugin = NAS_KIND_SEARCH},
    [NAS_AT_SCORE] = USE(NAS_KIND_SCORE, "score", NAS_AT_SEARCH,
                         "the score by which a search tells which subnet is better, without "
                         "training it: its plugin and its options"),
    [NAS_AT_PLATFORMS] = {"platforms", NAS_AT_ROOT,
                          "a target device, for which the search finds one subnet: a model of what "
                          "subnets cost on it, and the limits of these costs",
                          .options = platform_options, .min = 1, .max = NAS_MAX_PLATFORMS},
    [NAS_AT_HARDWARE] = USE(NAS_KIND_HARDWARE, "hardware", NAS_AT_PLATFORMS,
                            "the cost model of the platform, which predicts or measures a subnet's "
                            "latency, energy and memory: its plugin and its options"),
    [NAS_AT_CONSTRAINTS] =
        {"constraints", NAS_AT_PLATFORMS,
         "the most that a subnet may cost on the platform; a cost that is left out has no limit",
         .options = nas_constraints_options},
    [NAS_AT_PLATFORM_EXPORT] =
        {"export", NAS_AT_PLATFORMS,
         "a format that this platform's subnet is written in: its plugin and its options; without "
         "the list, those of the pipeline's export",
         .options = export_options, .plugin = NAS_KIND_EXPORT, .max = NAS_MAX_EXPORTS},
    [NAS_AT_EXPORT] =
        {"export", NAS_AT_ROOT,
         "a format that the subnets of platforms without an export of their own are written in: "
         "its plugin and its options",
         .options = export_options, .plugin = NAS_KIND_EXPORT, .max = NAS_MAX_EXPORTS},
};

void nas_section_nested(nas_section_id id, const char **keys) {
    size_t n = 0;
    for (int i = 0; i < NAS_SECTIONS && n < NAS_MAX_NESTED - 2; i++)
        if (nas_sections[i].parent == id) keys[n++] = nas_sections[i].key;
    if (nas_sections[id].plugin) keys[n++] = "options";
    keys[n] = NULL;
}
