/* MobileNetV3, large and small (arXiv 1905.02244), by the names of torchvision. */
#include <nashost/kit/family.h>
#include <stdio.h>
#include <string.h>

/* Stem, blocks and head are numbered through; the head is behind the last block. */
static uint32_t head_number(const nas_checkpoint *checkpoint) {
    char name[NAS_IMPORT_NAME];
    uint32_t n = 1;
    do snprintf(name, sizeof name, "features.%u.block.0.0.weight", n);
    while (nas_checkpoint_find(checkpoint, name) && ++n);
    return n;
}

static const nas_checkpoint_tensor *find(const nas_checkpoint *checkpoint, uint32_t block,
                                         uint32_t part, const char *end) {
    char name[NAS_IMPORT_NAME];
    snprintf(name, sizeof name, "features.%u.block.%u.%s", block + 1, part, end);
    return nas_checkpoint_find(checkpoint, name);
}

/* A block's parts are numbered through, and only the depthwise and the projecting one are always
 * there. */
static void name_in_block(const nas_checkpoint *checkpoint, const nas_import_target *target,
                          char *name) {
    char prefix[32], depthwise[8], depthwise_norm[8], project[8], project_norm[8], fc1[8], fc2[8];
    const nas_checkpoint_tensor *first = find(checkpoint, target->block, 0, "0.weight");
    uint32_t at = first && first->ndim == 4 && first->shape[1] == 1 ? 0 : 1;
    uint32_t last = at + (find(checkpoint, target->block, at + 1, "fc1.weight") ? 2 : 1);
    const nas_family_part parts[] = {
        {"expand", at ? "0.0" : NULL, at ? "0.1" : NULL, NULL},
        {"depthwise", depthwise, depthwise_norm, NULL},
        {"reduce", fc1, NULL, NULL},
        {"excite", fc2, NULL, NULL},
        {"project", project, project_norm, NULL},
        {0},
    };
    snprintf(prefix, sizeof prefix, "features.%u.block.", target->block + 1);
    snprintf(depthwise, sizeof depthwise, "%u.0", at);
    snprintf(depthwise_norm, sizeof depthwise_norm, "%u.1", at);
    snprintf(fc1, sizeof fc1, "%u.fc1", at + 1);
    snprintf(fc2, sizeof fc2, "%u.fc2", at + 1);
    snprintf(project, sizeof project, "%u.0", last);
    snprintf(project_norm, sizeof project_norm, "%u.1", last);
    nas_family_name(parts, prefix, target, name);
}

static void name_tensor(const nas_checkpoint *checkpoint, const nas_import_target *target,
                        char *name) {
    char head[24], head_norm[24];
    const nas_family_part parts[] = {
        {"stem", "features.0.0", "features.0.1", NULL},
        {"head", head, head_norm, NULL},
        {"hidden0", "classifier.0", NULL, NULL},
        {"classifier", "classifier.3", NULL, NULL},
        {0},
    };
    if (target->block != NAS_IMPORT_NO_BLOCK) {
        name_in_block(checkpoint, target, name);
        return;
    }
    uint32_t number = head_number(checkpoint);
    snprintf(head, sizeof head, "features.%u.0", number);
    snprintf(head_norm, sizeof head_norm, "features.%u.1", number);
    nas_family_name(parts, "", target, name);
}

#define ALIKE                                                                                      \
    .activation = "h-swish", .padding = "symmetric", .epsilon = 1e-3,                              \
    .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225},                                   \
    .squeeze_excite = "{\"round_to\": 8}", .hidden_activation = "h-swish", .locate = name_tensor

static const nas_family families[] = {
    {.name = "mobilenetv3-large",
     .n_stages = 6,
     .stages =
         {{1, "relu"}, {2, "relu"}, {2, "relu"}, {2, "h-swish"}, {1, "h-swish"}, {2, "h-swish"}},
     ALIKE},
    {.name = "mobilenetv3-small",
     .n_stages = 5,
     .stages = {{2, "relu"}, {2, "relu"}, {2, "h-swish"}, {1, "h-swish"}, {2, "h-swish"}},
     ALIKE},
};

static void *family_of(const nas_checkpoint *checkpoint) {
    bool mine = false;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        void *family = (void *)(uintptr_t)&families[i];
        nas_family_recognise(family, checkpoint, &mine, NULL);
        if (mine) return family;
    }
    return NULL;
}

static int recognise(void *self, const nas_checkpoint *checkpoint, bool *mine, nas_error *err) {
    (void)self, (void)err;
    *mine = family_of(checkpoint) != NULL;
    return NAS_OK;
}

static int describe(void *self, const nas_checkpoint *checkpoint, nas_import_network *network,
                    nas_error *err) {
    void *family = family_of(checkpoint);
    (void)self;
    if (family) return nas_family_describe(family, checkpoint, network, err);
    return nas_fail(err, NAS_ERR_INPUT,
                    "expected the 5 or 6 stages of MobileNetV3 in torchvision's names "
                    "(features.0.0, features.1.block.0.0, ...)");
}

static int locate(void *self, const nas_checkpoint *checkpoint, const nas_import_target *target,
                  char *name, nas_error *err) {
    (void)self, (void)err;
    name_tensor(checkpoint, target, name);
    return NAS_OK;
}

static const nas_import_api api = {.size = sizeof api,
                                   .recognise = recognise,
                                   .describe = describe,
                                   .locate = locate,
                                   .spare = nas_family_spare};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_IMPORT,
    .id = "torchvision_mobilenetv3",
    .version = "0.1.0",
    .summary = "MobileNetV3, large and small, from torchvision",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1905.02244",
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
