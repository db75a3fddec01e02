/* EfficientNet-Lite (0 to 4) by the names of its PyTorch versions: an EfficientNet with relu6 and
 * without squeeze-excite. */
#include <nashost/kit/family.h>

static const nas_family_part parts[] = {
    {"stem", "_conv_stem", "_bn0", NULL},
    {"head", "_conv_head", "_bn1", NULL},
    {"classifier", "_fc", NULL, NULL},
    {0},
};

static const nas_family_part block_parts[] = {
    {"expand", "_expand_conv", "_bn0", NULL},
    {"depthwise", "_depthwise_conv", "_bn1", NULL},
    {"project", "_project_conv", "_bn2", NULL},
    {"reduce", "_se_reduce", NULL, NULL}, /* of an EfficientNet that is none of these */
    {0},
};

static const nas_family family = {
    .name = "efficientnet-lite",
    .n_stages = 7,
    .stages = {{1, "relu6"},
               {2, "relu6"},
               {2, "relu6"},
               {2, "relu6"},
               {1, "relu6"},
               {2, "relu6"},
               {1, "relu6"}},
    .activation = "relu6",
    .padding = "same",
    .epsilon = 1e-3,
    .mean = {127.0 / 255, 127.0 / 255, 127.0 / 255},
    .std = {128.0 / 255, 128.0 / 255, 128.0 / 255},
    .parts = parts,
    .block_parts = block_parts,
    .block_prefix = "_blocks.",
    .block_suffix = ".",
};

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host, (void)config, (void)err;
    return nas_family_create(&family, self);
}

static const nas_plugin plugin = {
    NAS_FAMILY_PLUGIN,
    .id = "efficientnet_lite",
    .version = "0.1.0",
    .summary = "EfficientNet-Lite 0 to 4 from PyTorch (names such as _conv_stem)",
    .source = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
    .create = create,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
