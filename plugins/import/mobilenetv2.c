/* MobileNetV2 (arXiv 1801.04381) by the names of torchvision. */
#include <nashost/kit/family.h>
#include <stdio.h>
#include <string.h>

static const nas_family_part classifier[] = {{"classifier", "classifier.1", NULL, NULL}, {0}};

/* A block without an expanding convolution has its others one place earlier. */
static const nas_family_part expanded[] = {
    {"expand", "0.0", "0.1", NULL},
    {"depthwise", "1.0", "1.1", NULL},
    {"project", "2", "3", NULL},
    {0},
};
static const nas_family_part plain[] = {
    {"depthwise", "0.0", "0.1", NULL},
    {"project", "1", "2", NULL},
    {0},
};
static const nas_family_part ends[] = {{"stem", "0", "1", NULL}, {"head", "0", "1", NULL}, {0}};

/* Stem, blocks and head are numbered through; the head is behind the last block. */
static uint32_t head_number(const nas_checkpoint *checkpoint) {
    char name[NAS_IMPORT_NAME];
    uint32_t n = 1;
    do snprintf(name, sizeof name, "features.%u.conv.0.0.weight", n);
    while (nas_checkpoint_find(checkpoint, name) && ++n);
    return n;
}

static void name_tensor(const nas_checkpoint *checkpoint, const nas_import_target *target,
                        char *name) {
    char prefix[32], fourth[NAS_IMPORT_NAME];
    if (target->block != NAS_IMPORT_NO_BLOCK) {
        snprintf(prefix, sizeof prefix, "features.%u.conv.", target->block + 1);
        snprintf(fourth, sizeof fourth, "%s3.weight", prefix);
        if (nas_checkpoint_find(checkpoint, fourth))
            nas_family_name(expanded, prefix, target, name);
        else
            nas_family_name(plain, prefix, target, name);
        return;
    }
    bool stem = strcmp(target->layer, "stem") == 0, head = strcmp(target->layer, "head") == 0;
    snprintf(prefix, sizeof prefix, "features.%u.", head ? head_number(checkpoint) : 0);
    if (stem || head)
        nas_family_name(ends, prefix, target, name);
    else
        nas_family_name(classifier, "", target, name);
}

static const nas_family family = {
    .name = "mobilenetv2",
    .n_stages = 7,
    .stages = {{1, "relu6"},
               {2, "relu6"},
               {2, "relu6"},
               {2, "relu6"},
               {1, "relu6"},
               {2, "relu6"},
               {1, "relu6"}},
    .activation = "relu6",
    .padding = "symmetric",
    .epsilon = 1e-5,
    .mean = {0.485, 0.456, 0.406},
    .std = {0.229, 0.224, 0.225},
    .locate = name_tensor,
};

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host, (void)config, (void)err;
    return nas_family_create(&family, self);
}

static const nas_plugin plugin = {
    NAS_FAMILY_PLUGIN,
    .id = "mobilenetv2",
    .version = "0.1.0",
    .summary = "MobileNetV2 from torchvision",
    .source = "https://arxiv.org/abs/1801.04381",
    .create = create,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
