/* A family of pretrained networks: how a checkpoint names its tensors, and what it does not tell.
 */
#include <nashost/kit/family.h>

/* Outside of blocks: the name of the weight, and of batch norm. */
static const nas_family_part parts[] = {
    {"stem", "stem.conv", "stem.norm", NULL},
    {"head", "head.conv", "head.norm", NULL},
    {"classifier", "head.fc", NULL, NULL},
    {0},
};

/* In block N, behind "blocks.N.". */
static const nas_family_part block_parts[] = {
    {"expand", "expand.conv", "expand.norm", NULL},
    {"depthwise", "depthwise.conv", "depthwise.norm", NULL},
    {"project", "project.conv", "project.norm", NULL},
    {0},
};

/* Widths, kernels, expansions and numbers of blocks are read from the shapes. */
static const nas_family family = {
    .name = "@ID@",
    .n_stages = 2,
    .stages = {{1, "relu"}, {2, "relu"}},
    .activation = "relu",
    .padding = "symmetric",
    .epsilon = 1e-5,
    .mean = {0.485, 0.456, 0.406},
    .std = {0.229, 0.224, 0.225},
    .parts = parts,
    .block_parts = block_parts,
    .block_prefix = "blocks.",
    .block_suffix = ".",
};

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host, (void)config, (void)err;
    return nas_family_create(&family, self);
}

static const nas_plugin plugin = {
    NAS_FAMILY_PLUGIN,
    .id = "@ID@",
    .version = "0.1.0",
    .summary = "a family of pretrained networks",
    .source = "where the networks are described",
    .create = create,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
